"""Blocks: places in a region of shared memory, each lent by the side that writes it until the other gives it back."""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections import deque
from select import select

ALIGNMENT = 64


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
    """The socket on which both sides say which blocks they need no more: an offset is a number of 8 bytes."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self._peer = peer
        self._unsaid: deque[int] = deque()
        self._received = b""
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
        """The blocks that were given back since this was asked last. Not for several threads at once."""
        self._receive()
        whole = len(self._received) // 8 * 8
        offsets, self._received = self._received[:whole], self._received[whole:]
        return [int.from_bytes(offsets[at : at + 8], "little") for at in range(0, whole, 8)]

    def wait(self, seconds: float) -> bool:
        """Waits until there is more to hear. False if there was not in this time."""
        return bool(select([] if self._is_over else [self._peer], [], [], seconds)[0])

    def _receive(self) -> None:
        try:
            received = self._peer.recv(64 << 10)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        self._received += received
        self._is_over = not received
