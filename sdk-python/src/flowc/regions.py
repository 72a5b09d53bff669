"""The regions of shared memory: batches that come are used where they lie, and those that go are laid out in blocks."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from .blocks import Room
from .files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    from .blocks import Releases

LEAST = 64 << 10
"""Bytes of a batch that is worth a block."""
PATIENCE_SECONDS = 0.2
"""How long one who needs room waits for the next block that is given back."""

WRITING = pa.ipc.IpcWriteOptions()
"""Those that it has anyway. Looking for them in the environment takes longer than a small batch."""

Block: TypeAlias = "tuple[int, int]"
"""Offset and length."""


class Inbox:
    """The region that is read."""

    def __init__(self, mapping: mmap, releases: Releases) -> None:
        self._region = pa.py_buffer(mapping)
        self._releases = releases
        self._files = Files()

    def batch(self, offset: int, length: int) -> pa.RecordBatch:
        """The batch of a block, which is given back when nothing refers to its rows any more."""
        buffer = pa.foreign_buffer(self._region.address + offset, length, _Lent(self, offset))
        return pa.ipc.open_stream(buffer).read_next_batch()

    def stored(self, stored: dict[str, Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Batches of a file that was handed over."""
        for number, mapping in self._releases.files():
            self._files.put(number, mapping)
        return self._files.batches(stored, schema)

    def give_back(self, offset: int) -> None:
        """A block is needed no more."""
        self._releases.say(offset)

    def catch_up(self) -> None:
        """Says what could not be said before."""
        self._releases.say_all()


class _Lent:
    """Lives while any array refers to the block, and keeps it mapped."""

    __slots__ = ("_inbox", "_offset")

    def __init__(self, inbox: Inbox, offset: int) -> None:
        self._inbox, self._offset = inbox, offset

    def __del__(self) -> None:
        self._inbox.give_back(self._offset)


class Region:
    """The region that is written."""

    def __init__(self, mapping: mmap, releases: Releases) -> None:
        self._bytes = memoryview(mapping)
        self._room = Room(len(mapping))
        self._releases = releases
        # Outputs have threads of their own. One waits at a time, or the small would keep out the large.
        self._taking = threading.Lock()

    def take(self, length: int) -> int | None:
        """Where there is room for a block. None if there is not, and nothing is given back for a while.

        Others may wait for what this one would send, so it does not wait for good.
        """
        if length > self._room.size:
            return None
        with self._taking:
            self._hear()
            while (offset := self._room.take(length)) is None:
                if not self._releases.wait(PATIENCE_SECONDS):
                    return None
                self._hear()
            return offset

    def bytes(self, offset: int, length: int) -> pa.Buffer:
        """The block, to be written."""
        return pa.py_buffer(self._bytes[offset : offset + length])

    def _hear(self) -> None:
        for offset in self._releases.heard():
            self._room.give_back(offset)


class Outbox:
    """Lays out the batches of one stream in the region that is written, where that pays."""

    def __init__(self, region: Region | None, schema: pa.Schema) -> None:
        self._schema, self._head = schema, schema.serialize().size
        self._region = region
        if region is not None and self._has_dictionaries():
            self._region = None

    @cached_property
    def empty(self) -> pa.RecordBatch:
        """A batch without rows."""
        return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in self._schema], schema=self._schema)

    def put(self, batch: pa.RecordBatch) -> Block | None:
        """The block where the batch lies now. None if it has to travel."""
        if self._region is None:
            return None
        length = self._head + pa.ipc.get_record_batch_size(batch)
        offset = self._region.take(length) if length >= LEAST else None
        if offset is None:
            return None
        sink = pa.FixedSizeBufferWriter(self._region.bytes(offset, length))
        pa.ipc.new_stream(sink, self._schema, options=WRITING).write_batch(batch)
        return offset, length

    def _has_dictionaries(self) -> bool:
        """Whether more than the schema goes before a batch: every block would hold it anew, as messages need not."""
        sink = pa.MockOutputStream()
        pa.ipc.new_stream(sink, self._schema).write_batch(self.empty)
        return sink.size() > self._head + pa.ipc.get_record_batch_size(self.empty)
