"""How much may be sent to a stage before it has taken it."""

from __future__ import annotations

import threading
from collections import deque

import pyarrow as pa


class Credit:
    """Counts bytes that are on their way. A batch that is larger than the credit goes alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._rows = 0
        self._sent: deque[tuple[int, int]] = deque()
        self._changed = threading.Condition()
        self._is_cancelled = False

    def take(self, batch: pa.RecordBatch) -> bool:
        """Waits until this batch may be sent. False if it may not be any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_cancelled or sum(size for _, size in self._sent) < self.most)
            self._rows += batch.num_rows
            self._sent.append((self._rows, batch.nbytes))
            return not self._is_cancelled

    def consumed(self, rows: int) -> None:
        """The stage has taken the first rows."""
        with self._changed:
            while self._sent and self._sent[0][0] <= rows:
                self._sent.popleft()
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nothing more is to be sent."""
        with self._changed:
            self._is_cancelled = True
            self._changed.notify_all()
