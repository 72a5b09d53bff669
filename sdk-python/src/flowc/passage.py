"""The rows on their way through a step of a chain: some columns go to its stage, others go past it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from .convert import batch_of
from .problem import Breach

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from .description import Step
    from .work import Inlet, Result


@dataclass
class Held:
    """A frame that the stage has read, until it has answered for all rows."""

    first: int
    end: int
    columns: pa.RecordBatch
    """Those that go past the stage."""
    settled: int
    """How many rows of the main input no frame after it refers to."""


class Passage:
    """Leads frames through a step. To its stage it is an inlet."""

    def __init__(self, step: Step, frames: Iterator[Result], inlet: Inlet | None, below: Callable[[int], None]) -> None:
        """`inlet` is where the frames before the first step come from; `below` is told what is settled without rows."""
        self.schema = step.opening.main_schema()
        self.rows = 0
        self._step, self._frames, self._inlet, self._below = step, frames, inlet, below
        self._past = [column.place for column in step.frame if column.is_kept]
        self._written = [column.place for column in step.frame if not column.is_kept]
        self._held: deque[Held] = deque()
        self._answered = 0
        self._settled = 0
        # Some stages read in another thread than they answer in.
        self._holding = threading.Lock()

    def read(self) -> pa.RecordBatch | None:
        """What the stage reads of the next frame."""
        for _, frame, settled in self._frames:
            if frame.num_rows:
                return self._read(frame, settled or 0)
            self.skip(settled or 0)
        return None

    def release(self, rows: int) -> None:
        """Rows of the main input count when the first step has taken them."""
        if self._inlet is not None:
            self._inlet.release(rows)

    def flush(self) -> None:
        """The same."""
        if self._inlet is not None:
            self._inlet.flush()

    def skip(self, settled: int) -> None:
        """The step before has settled rows without giving any."""
        with self._holding:
            if self._held:
                self._held[-1].settled = settled
            else:
                self._settled = settled
                self._below(settled)

    def after(self, results: Iterator[Result]) -> Generator[Result, None, None]:
        """The frames after the step, made of its stage's results."""
        follow = {"new": self._new, "same": self._same, "subset": self._subset}[self._relation]
        for _, written, settled in results:
            yield from follow(written, settled or 0)

    @property
    def _relation(self) -> str:
        return self._step.opening.outputs[0].rows.relation

    def _read(self, frame: pa.RecordBatch, settled: int) -> pa.RecordBatch:
        first, self.rows = self.rows, self.rows + frame.num_rows
        if self._relation != "new":
            with self._holding:
                self._held.append(Held(first, self.rows, frame.select(self._past), settled))
        return _as(self.schema, frame.select(self._step.reads))

    def _new(self, written: pa.RecordBatch, _settled: int) -> Iterator[Result]:
        yield 0, self._frame(written, written), None

    def _same(self, written: pa.RecordBatch, _settled: int) -> Iterator[Result]:
        at = 0
        while at < written.num_rows:
            if not self._held:
                raise Breach(f"the stage adds columns to {self.rows} rows, and more values were returned")
            held = self._held[0]
            rows = min(held.end - self._answered, written.num_rows - at)
            past = _part(held.columns, self._answered - held.first, rows)
            self._answered += rows
            is_done = self._answered == held.end
            settled = held.settled if is_done else self._settled
            yield 0, self._frame(past, _part(written, at, rows)), settled
            at += rows
            self._let_go(int(is_done), settled)

    def _subset(self, written: pa.RecordBatch, settled: int) -> Iterator[Result]:
        with self._holding:
            all_held = list(self._held)
        frames = self._picked(written, all_held)
        done = [held for held in all_held if held.end <= settled]
        told = self._settled
        for frame in frames[:-1]:
            yield 0, frame, told
        if frames:
            told = done[-1].settled if done else told
            yield 0, frames[-1], told
        self._let_go(len(done), told)

    def _let_go(self, done: int, told: int) -> None:
        """Forgets the first frames, and says what is settled by that, if that was not told with their rows.

        Not before those rows have reached the end of the chain: until then nothing of it is settled for good.
        """
        with self._holding:
            for _ in range(done):
                self._settled = self._held.popleft().settled
            if self._settled != told:
                self._below(self._settled)

    def _picked(self, written: pa.RecordBatch, all_held: list[Held]) -> list[pa.RecordBatch]:
        """The rows that are picked, by the frame that holds them."""
        numbers, at, frames = written.column(0), 0, []
        for held in all_held:
            until = bisect_left(numbers, held.end, lo=at, key=methodcaller("as_py"))
            if until > at:
                ours = _part(written, at, until - at)
                frames.append(self._frame(_taken(held, ours.column(0)), ours))
            at = until
        if at < len(numbers):
            raise Breach(f"the stage picks among {self.rows} rows, and a longer mask was returned")
        return frames

    def _frame(self, past: pa.RecordBatch, written: pa.RecordBatch) -> pa.RecordBatch:
        if not self._past:
            return _as(self._step.schema, written.select(self._written))
        kept = iter(past.columns)
        columns = [next(kept) if column.is_kept else written.column(column.place) for column in self._step.frame]
        return pa.RecordBatch.from_arrays(columns, schema=self._step.schema)


def _as(schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same columns under their names in this schema."""
    return batch if batch.schema.equals(schema) else batch_of(batch.columns, schema, batch.num_rows)


def _part(batch: pa.RecordBatch, first: int, rows: int) -> pa.RecordBatch:
    return batch if rows == batch.num_rows else batch.slice(first, rows)


def _taken(held: Held, numbers: pa.Array[pa.UInt64Scalar]) -> pa.RecordBatch:
    """Those rows; without a copy where they are next to each other."""
    first, last = numbers[0].as_py(), numbers[-1].as_py()
    if last - first + 1 == len(numbers):
        return _part(held.columns, first - held.first, len(numbers))
    if not held.columns.num_columns:
        return held.columns
    return held.columns.take(pc.subtract(numbers, pa.scalar(held.first, pa.uint64())))
