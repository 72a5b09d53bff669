"""Boundaries of an invocation: flowc waits there for all that comes of the rows before.

A stage that is called batch by batch has given all of that when it asks for the next batch. Whoever reads ahead of it,
in a thread or for a larger batch, holds something back, and says here when that is out.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from .problem import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.2
"""How often one who waits looks whether anybody still waits for the result."""


class Boundaries:
    """What is to be done before a boundary is answered."""

    def __init__(self, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        self._is_cancelled = is_cancelled
        self._steps: deque[Callable[[], None]] = deque()

    def before_others(self, step: Callable[[], None]) -> None:
        """Has this done at each boundary, before what was asked for so far.

        Rows are drawn through the stages, so a stage begins before those that it draws from: what is asked for first
        comes last.
        """
        self._steps.appendleft(step)

    def reach(self) -> None:
        """Does all of it."""
        for step in tuple(self._steps):
            step()

    def close(self) -> None:
        """There are no more boundaries. What was to be done at them is let go."""
        self._steps.clear()

    def wait(self, changed: threading.Condition, is_out: Callable[[], bool]) -> None:
        """Waits under a condition that is held."""
        while not is_out():
            if self._is_cancelled():
                raise Cancelled
            changed.wait(POLL_SECONDS)
