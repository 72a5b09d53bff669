"""The stages of an invocation, adjacent ones of a pipeline: each draws the rows that it needs from the one before.

So they take turns in one thread, and one batch is on its way at a time. A stage by itself is a chain of one step.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .load import load
from .log import Log, logging_to
from .passage import Passage
from .problem import Cancelled, StepFailed
from .secrets import giving
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from .description import Step
    from .exchange import Exchange
    from .work import Inlet, Result

T = TypeVar("T")


class Chain:
    """The steps of an invocation."""

    def __init__(self, steps: Sequence[Step], exchange: Exchange) -> None:
        numbers = [*range(len(steps) - 1), None]
        self._exchange = exchange
        self._links = [_Link(step, number, exchange) for step, number in zip(steps, numbers, strict=True)]
        for link in self._links:
            exchange.boundaries.before_others(link.log.restart)

    def open(self) -> None:
        """Loads the stages, and gives them their configs."""
        for link in self._links:
            link.open()

    def results(self, inlets: Sequence[Inlet]) -> Iterator[Result]:
        """What the last step gives."""
        first, *later = self._links
        below: Callable[[int], None] = self._exchange.settle
        for above, link in reversed(list(zip(self._links, later, strict=False))):
            passage = Passage(link.step, above, None, below)
            link.start([passage], passage)
            below = passage.skip
        main = first.step.opening.main
        if main is None or first.step.is_plain:
            first.start(inlets, None)
        else:
            passage = Passage(first.step, _frames(inlets[main]), inlets[main], below)
            first.start([*inlets[:main], passage, *inlets[main + 1 :]], passage)
        return self._links[-1]

    def close(self) -> None:
        """Ends what was not drawn to its end, and says the rest of the logs."""
        for link in reversed(self._links):
            link.close()
        for link in self._links:
            link.log.close()

    def rows(self) -> list[int]:
        """How many rows each step but the last one gave."""
        return [link.rows for link in self._links[:-1]]


class _Link:
    """A step at work."""

    def __init__(self, step: Step, number: int | None, exchange: Exchange) -> None:
        self.step = step
        self.log = Log(partial(exchange.log, number))
        self.rows = 0
        self._number, self._is_cancelled = number, exchange.is_cancelled
        self._boundaries = exchange.boundaries
        self._results: Generator[Result, None, None] | None = None

    def open(self) -> None:
        step = self.step
        self._work = self._within(lambda: Work(load(step.stage), step.opening, self._is_cancelled, self._boundaries))

    def start(self, inlets: Sequence[Inlet], passage: Passage | None) -> None:
        results = self._work.results(inlets)
        self._results = results if passage is None else passage.after(results)

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        result = self._within(self._next)
        if result is None:
            raise StopIteration
        self.rows += result[1].num_rows
        return result

    def _next(self) -> Result | None:
        return None if self._results is None else next(self._results, None)

    def close(self) -> None:
        # In a thread of an `async` step it may be at work; it ends when the client does.
        with suppress(ValueError):
            if self._results is not None:
                self._results.close()

    def _within(self, call: Callable[[], T]) -> T:
        """Calls the author's code: what it says goes to its log, and what it raises is this step's failure.

        It is given the secrets of its step."""
        try:
            return logging_to(self.log, partial(giving, self.step.opening.secrets, call))
        except (StepFailed, Cancelled):
            raise
        except BaseException as error:  # `sys.exit()` in a stage is a failure too
            raise StepFailed(self._number, error) from None


def _frames(inlet: Inlet) -> Iterator[Result]:
    """The main input as frames."""
    while (batch := inlet.read()) is not None:
        yield 0, batch, inlet.rows
