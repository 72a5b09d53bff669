"""Dynamic batching: rows are gathered until there are enough of them, or the first has waited long enough."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING

import pyarrow as pa

from .convert import batch_of
from .problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .boundaries import Boundaries
    from .model import Batching
    from .work import Inlet


@contextmanager
def gathered(inlet: Inlet, batching: Batching | None, boundaries: Boundaries) -> Iterator[Inlet]:
    """The inlet with its rows gathered, or as it is where that is not asked for."""
    if batching is None:
        yield inlet
        return
    gathering = Gathering(inlet, batching)
    boundaries.before_others(lambda: gathering.hand_on(boundaries))
    try:
        yield gathering
    finally:
        gathering.close()


class Gathering:
    """An inlet whose batches are cut anew, of rows that a thread reads from another inlet.

    A read of that other one takes as long as it takes, and in a chain it runs the steps before; in a thread of its own
    it can't hold up a batch that is due. The thread reads on while fewer rows wait than make a batch. So no more than
    that waits here, and one more of the batches that come.
    """

    def __init__(self, inlet: Inlet, batching: Batching) -> None:
        self.schema, self.flush = inlet.schema, inlet.flush
        self.rows = 0
        self._inlet, self._batching = inlet, batching
        self._waiting: deque[tuple[float, pa.RecordBatch]] = deque()
        """What was read and not handed on, with the time when it came."""
        self._count = 0
        self._changed = threading.Condition()
        self._has_started = self._is_ended = self._is_closed = False
        self._is_read = self._is_at_boundary = False
        """Whether somebody waits for a batch, and whether it is due however few rows there are."""
        self._error: BaseException | None = None

    def read(self) -> pa.RecordBatch | None:
        """The next batch, as soon as it is due."""
        self._start()
        with self._changed:
            self._is_read = True
            self._changed.notify_all()
            while not self._is_due():
                self._changed.wait(self._patience())
            self._is_read = False
            if self._error is not None:
                raise self._error
            parts = self._take()
            self._changed.notify_all()
        self.rows += sum(part.num_rows for part in parts)
        return _joined(parts)

    def release(self, rows: int) -> None:
        """Nothing to do: rows are released when they come, or a batch could wait for rows that there is no room for."""

    def hand_on(self, boundaries: Boundaries) -> None:
        """Has all rows that wait be read, and waits until whoever reads asks for more."""
        with self._changed:
            self._is_at_boundary = True
            self._changed.notify_all()
            boundaries.wait(self._changed, lambda: self._is_closed or (self._is_read and not self._waiting))
            self._is_at_boundary = False

    def close(self) -> None:
        """Nobody reads any more. The thread ends with the read that it is in: with the client, if not before."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _start(self) -> None:
        """Not before somebody reads, since the inputs before this one come first."""
        if not self._has_started:
            self._has_started = True
            # The context says whose log is written to.
            threading.Thread(target=copy_context().run, args=[self._gather], daemon=True).start()

    def _gather(self) -> None:
        try:
            while self._has_room():
                batch = self._inlet.read()
                if batch is None:
                    break
                self._inlet.release(batch.num_rows)
                self._add(batch)
            self._end(None)
        except BaseException as error:  # whatever it is, it is the reader's to handle
            self._end(error)

    def _has_room(self) -> bool:
        """Waits until more rows are wanted. False if none ever are."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._count < self._batching.rows)
            return not self._is_closed

    def _add(self, batch: pa.RecordBatch) -> None:
        with self._changed:
            if batch.num_rows:
                self._waiting.append((time.monotonic(), batch))
                self._count += batch.num_rows
                self._changed.notify_all()

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            self._is_ended, self._error = True, error
            self._changed.notify_all()

    def _is_due(self) -> bool:
        is_over = self._is_ended or self._is_closed or (self._is_at_boundary and bool(self._waiting))
        return is_over or self._count >= self._batching.rows or self._patience() == 0

    def _patience(self) -> float | None:
        """For how many seconds the first row may still wait; without rows there is nothing to hurry for."""
        if not self._waiting:
            return None
        left = self._waiting[0][0] + self._batching.seconds - time.monotonic()
        return min(max(left, 0), threading.TIMEOUT_MAX)

    def _take(self) -> list[pa.RecordBatch]:
        """The rows of the next batch; none at the end."""
        parts, room = [], self._batching.rows
        while self._waiting and room:
            came, batch = self._waiting.popleft()
            parts.append(batch.slice(0, room))
            if batch.num_rows > room:
                self._waiting.appendleft((came, batch.slice(room)))
            room -= parts[-1].num_rows
        self._count -= self._batching.rows - room
        return parts


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch | None:
    """The same rows in one batch; copied only where they came in several."""
    if len(parts) < 2:
        return parts[0] if parts else None
    try:
        columns = [pa.concat_arrays(arrays) for arrays in zip(*(part.columns for part in parts), strict=True)]
    except pa.ArrowInvalid as error:
        total = sum(part.nbytes for part in parts) / 2**30
        message = f"the {total:.1f} GiB of the rows that a call is to get don't fit into one batch: {error}"
        raise Problem(message, help="ask for fewer `rows` in `Batching`") from error
    return batch_of(columns, parts[0].schema, sum(part.num_rows for part in parts))
