"""The exchange of an invocation: its main input, its first output, its log, and how it ends."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from .boundaries import Boundaries
from .problem import Cancelled
from .serialization import ARROW, Codec
from .wire import BOUNDARY, dumps, is_boundary, progress_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .description import Opening
    from .memory import Memory
    from .regions import Block


WORD_SECONDS = 0.01
"""How often it is said within a message how far the stage has come."""


class Exchange:
    """Reads and writes in the thread of its handler, straight from and to the stream."""

    def __init__(self, reader: Any, writer: Any, is_cancelled: Callable[[], bool], memory: Memory) -> None:
        self.schema = pa.schema([])
        self._inbound = self._outbound = Codec(ARROW, self.schema)
        self.rows = 0
        self.is_cancelled = is_cancelled
        self.boundaries = Boundaries(is_cancelled)
        self._reader = reader
        self._writer = writer
        self._memory = memory
        self._read: Iterator[pa.RecordBatch] = iter(())
        self._is_at_boundary = False
        self._is_opened = False
        self._early: list[dict[str, Any]] = []
        self._consumed = 0
        self._is_picking = False
        self._settled = 0
        self._told = (0, 0)
        self._told_at = time.monotonic()
        # The code may print in other threads, and batches of an async stage are read in another one.
        self._writing = threading.RLock()
        self._reading = threading.Lock()

    def open(self, opening: Opening) -> None:
        """Says that the inputs may come."""
        self.schema = opening.main_schema()
        self._inbound = Codec(opening.serialization, self.schema)
        self._outbound = Codec(opening.serialization, opening.outputs[0].written)
        self._is_picking = opening.outputs[0].rows.relation == "subset"
        self._outbox = self._memory.outbox(self._outbound.schema)
        with self._writing:
            self._tell({"opened": True, "boundaries": True})
            self._tell_early()
            self._write(self._writer.begin, self._outbound.schema)

    def read(self) -> pa.RecordBatch | None:
        """The next batch of the main input."""
        with self._reading:
            while True:
                # A message may stand for many batches. If the process ends in one of them, flowc says which.
                if time.monotonic() > self._told_at + WORD_SECONDS:
                    self.flush()
                for batch in map(self._inbound.unpack, self._read):
                    self.rows += batch.num_rows
                    return batch
                self.flush()
                if self._is_at_boundary:
                    self._reach_boundary()
                try:
                    chunk = self._reader.read_chunk()
                except StopIteration:
                    break
                self._read = self._memory.batches(chunk, self._inbound.schema)
                self._is_at_boundary = is_boundary(chunk)
        if self.is_cancelled():
            raise Cancelled
        return None

    def release(self, rows: int) -> None:
        """Notes it; it is said with the next batch that is written, or before the next one is read."""
        self._consumed += rows

    def flush(self) -> None:
        """Says how far the stage has come, if it was not said yet."""
        with self._writing:
            progress = self._progress(None)
            if progress is not None:
                self._write(self._writer.write_metadata, progress)

    def write(self, batch: pa.RecordBatch, settled: int | None) -> None:
        """Sends a batch of the first output."""
        batch = self._outbound.pack(batch)
        block = self._outbox.put(batch)
        with self._writing:
            self.settle(settled or 0)
            progress = self._progress(block)
            if block is not None:
                self._write(self._writer.write_metadata, progress)
            elif progress is not None:
                self._write(self._writer.write_with_metadata, batch, progress)
            else:
                self._write(self._writer.write_batch, batch)

    def settle(self, rows: int) -> None:
        """Notes that none of the first rows will be picked any more; it is said as `release` is."""
        if self._is_picking:
            self._settled = rows

    def log(self, step: int | None, level: str, text: str) -> None:
        """Sends a line of the log at once, so that it is there if the stage hangs."""
        line: dict[str, Any] = {"log": [[level, text]]} | ({} if step is None else {"step": step})
        with self._writing:
            if self._is_opened:
                self._tell(line)
            else:
                self._early.append(line)

    def end(self, last: dict[str, Any]) -> None:
        """Sends the last message, and waits until the client has closed its side.

        If the stream ended while the client still sends, some clients would not see the message.
        """
        consumed = {"consumed": self._consumed} if self._consumed != self._told[0] else {}
        with self._writing:
            self._tell_early()
            self._tell(consumed | last)
        with self._reading:
            self._drain()

    def close(self) -> None:
        """Lets go of the stream, which is gone when the handler returns."""
        with self._reading, self._writing:
            self._writer = None
        self.boundaries.close()

    def _reach_boundary(self) -> None:
        """Answers the boundary that follows the rows that were read."""
        self._is_at_boundary = False
        self.boundaries.reach()
        with self._writing:
            self._write(self._writer.write_metadata, BOUNDARY)

    def _drain(self) -> None:
        try:
            while True:
                # What lies in a block is given back.
                self._memory.batches(self._reader.read_chunk(), self.schema)
        except StopIteration:
            pass

    def _progress(self, block: Block | None) -> bytes | None:
        """Metadata that says how many rows are consumed and settled, if that is news, and where the batch lies."""
        consumed, settled = self._consumed, self._settled
        told, self._told = self._told, (consumed, settled)
        self._told_at = time.monotonic()
        is_news = consumed != told[0], settled != told[1]
        return progress_json(consumed if is_news[0] else None, settled if is_news[1] else None, block)

    def _tell_early(self) -> None:
        """Sends what was said before anything could be."""
        self._is_opened = True
        while self._early:
            self._tell(self._early.pop(0))

    def _tell(self, message: dict[str, Any]) -> None:
        self._write(self._writer.write_metadata, dumps(message))

    def _write(self, write: Callable[..., None], *arguments: Any) -> None:
        try:
            write(*arguments)
        except (flight.FlightError, pa.ArrowException, OSError) as error:
            if self.is_cancelled():
                raise Cancelled from error
            raise
