"""Blocks: places in a region of shared memory, each lent by the side that writes it until the other gives it back."""

from __future__ import annotations

import os
import socket
import threading
from bisect import bisect_left
from collections import deque
from mmap import ACCESS_READ, mmap
from select import select

ALIGNMENT = 64
FILE = 1 << 63
"""Marks a number that brings a file."""


class Room:
    """Which places of a region are lent."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._lent: list[tuple[int, int]] = []
        """Where each block starts and ends, in order."""

    def take(self, length: int) -> int | None:
        """The first place that is long enough; None if there is none now."""
        start = 0
        for number, (first, end) in enumerate([*self._lent, (self.size, self.size)]):
            if start + length <= first:
                self._lent.insert(number, (start, start + length))
                return start
            start = -(-end // ALIGNMENT) * ALIGNMENT
        return None

    def give_back(self, offset: int) -> None:
        """Its reader needs the block no more."""
        number = bisect_left(self._lent, (offset, 0))
        if number < len(self._lent) and self._lent[number][0] == offset:
            del self._lent[number]


class Releases:
    """The socket on which both sides say which blocks they need no more: an offset is a number of 8 bytes.

    A number whose highest bit is set brings a file.
    """

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self._peer = peer
        self._unsaid: deque[int] = deque()
        self._hearing = threading.Lock()
        self._received = b""
        self._offsets: list[int] = []
        self._files: list[tuple[int, mmap | None]] = []
        self._is_over = False

    def say(self, offset: int) -> None:
        """Gives a block back. For destructors, which run anywhere: it takes no lock, never waits, and never fails."""
        self._unsaid.append(offset)
        self.say_all()

    def say_all(self) -> None:
        """Says what the socket had no room for."""
        while self._unsaid:
            try:
                offset = self._unsaid.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                self._peer.send(offset.to_bytes(8, "little"), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._unsaid.appendleft(offset)
                return
            except OSError:  # nobody is there to be told
                return

    def heard(self) -> list[int]:
        """The blocks that were given back since this was asked last."""
        with self._hearing:
            self._receive()
            offsets, self._offsets = self._offsets, []
            return offsets

    def files(self) -> list[tuple[int, mmap | None]]:
        """The files that came since this was asked last, with their numbers."""
        with self._hearing:
            self._receive()
            files, self._files = self._files, []
            return files

    def wait(self, seconds: float) -> bool:
        """Waits until there is more to hear. False if there was not in this time."""
        return bool(self._offsets or select([] if self._is_over else [self._peer], [], [], seconds)[0])

    def _receive(self) -> None:
        """One message may end before a file that comes after it, so all are received."""
        while not self._is_over:
            try:
                received, descriptors, _, _ = socket.recv_fds(self._peer, 64 << 10, 1)
            except BlockingIOError:
                return
            except OSError:
                received, descriptors = b"", []
            self._is_over = not received
            self._sort(received, descriptors)

    def _sort(self, received: bytes, descriptors: list[int]) -> None:
        """A descriptor comes with the last number of what is received."""
        self._received += received
        whole = len(self._received) // 8 * 8
        numbers, self._received = self._received[:whole], self._received[whole:]
        for at in range(0, whole, 8):
            number = int.from_bytes(numbers[at : at + 8], "little")
            if number & FILE:
                self._files.append((number ^ FILE, _mapped(descriptors)))
            else:
                self._offsets.append(number)


def _mapped(descriptors: list[int]) -> mmap | None:
    """The file that came; none if this process has no room for it, which is told when its batches are asked for."""
    if not descriptors:
        return None
    descriptor = descriptors.pop()
    try:
        return mmap(descriptor, 0, access=ACCESS_READ)
    except OSError:
        return None
    finally:
        os.close(descriptor)
