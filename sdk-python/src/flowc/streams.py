"""The inputs and outputs of an invocation that have streams of their own: bounded queues between two handlers."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from .problem import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from .work import Inlet

T = TypeVar("T")

MOST_BATCHES = 2
POLL_SECONDS = 0.2
"""How often one who waits looks whether anybody still waits for the result."""


class Stream(Generic[T]):
    """A queue between the handler of an exchange and that of one of its streams."""

    def __init__(self, schema: pa.Schema, is_cancelled: Callable[[], bool]) -> None:
        self.schema = schema
        self._is_cancelled = is_cancelled
        self._batches: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_bounded = True
        self._is_ended = False
        self._is_taken = False
        self._is_given_up = False

    def put(self, batch: T) -> None:
        """Adds a batch; waits for room."""
        with self._changed:
            self._wait(lambda: len(self._batches) < MOST_BATCHES or not self._is_bounded)
            self._batches.append(batch)
            self._changed.notify_all()

    def get(self) -> T | None:
        """Takes a batch; waits for one. None at the end."""
        with self._changed:
            self._wait(lambda: bool(self._batches) or self._is_ended)
            batch = self._batches.popleft() if self._batches else None
            self._is_taken = batch is None
            self._changed.notify_all()
            return batch

    def end(self) -> None:
        """There are no more batches."""
        self._change("_is_ended", True)

    def give_up(self) -> None:
        """Whoever waits for the other side, or will, is cancelled."""
        self._change("_is_given_up", True)

    def unbind(self) -> None:
        """Takes all that comes, from now on."""
        self._change("_is_bounded", False)

    def wait_until_taken(self) -> None:
        """Waits until the other side has seen the end."""
        with self._changed:
            self._wait(lambda: self._is_taken)

    def all(self) -> Iterator[T]:
        """All batches. One who stops early has given the stream up."""
        try:
            while (batch := self.get()) is not None:
                yield batch
        except Cancelled:
            return
        finally:
            if not self._is_taken:
                self.give_up()

    def _change(self, name: str, value: bool) -> None:
        with self._changed:
            setattr(self, name, value)
            self._changed.notify_all()

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        while not is_ready():
            if self._is_given_up or self._is_cancelled():
                raise Cancelled
            self._changed.wait(POLL_SECONDS)


class StreamInlet:
    """Reads a stream. What is taken off the wire counts as consumed, so there is nothing to release."""

    def __init__(self, stream: Stream[pa.RecordBatch]) -> None:
        self.schema = stream.schema
        self.rows = 0
        self._stream = stream

    def read(self) -> pa.RecordBatch | None:
        """The next batch."""
        batch = self._stream.get()
        self.rows += 0 if batch is None else batch.num_rows
        return batch

    def release(self, rows: int) -> None:
        """Nothing to do."""

    def flush(self) -> None:
        """Nothing to do."""


class LaterInlet:
    """An input that comes after others. Whoever reads it can't be waiting for those, so they may hold all they get."""

    def __init__(self, inlet: Inlet, before: Sequence[Stream[pa.RecordBatch]]) -> None:
        self.schema = inlet.schema
        self.release, self.flush = inlet.release, inlet.flush
        self._inlet = inlet
        self._before = before

    @property
    def rows(self) -> int:
        """As the input has it."""
        return self._inlet.rows

    def read(self) -> pa.RecordBatch | None:
        """The next batch."""
        for stream in self._before:
            stream.unbind()
        return self._inlet.read()
