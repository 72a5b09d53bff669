"""The memory that flowc shares with a program, as flowc makes it."""

from __future__ import annotations

import fcntl
import os
import socket
from mmap import mmap

from ..memory import VERSION, Memory

F_SEAL_FUTURE_WRITE = 16
"""`fcntl` has it from Python 3.13 on."""
CONNECTS_WITHIN_SECONDS = 30


class Sharing:
    """Two regions, for one program that connects."""

    def __init__(self, path: str, size: int) -> None:
        self._ours, ours = _region(size, F_SEAL_FUTURE_WRITE)
        self._theirs, theirs = _region(size)
        self._descriptors = [ours, theirs]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(CONNECTS_WITHIN_SECONDS)
        self._listener.bind(path)
        self._listener.listen()

    def accept(self) -> Memory:
        """Sends the regions to the program; gives our side of them."""
        with self._listener:
            peer, _ = self._listener.accept()
        socket.send_fds(peer, [VERSION], self._descriptors)
        for descriptor in self._descriptors:
            os.close(descriptor)
        return Memory.of(peer, self._theirs, self._ours)


def _region(size: int, seals: int = 0) -> tuple[mmap, int]:
    descriptor = os.memfd_create("flowc", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(descriptor, size)
    mapping = mmap(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | seals)
    return mapping, descriptor
