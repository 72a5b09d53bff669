"""A stage at work: rows come in through inlets, and what the author's code makes of them is drawn from it."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pyarrow as pa

from .boundaries import Boundaries
from .concurrent import in_thread, run_by_batch, run_once
from .emit import Emitters
from .failure import naming
from .frames import to_frame
from .gather import gathered
from .instance import Instance, open_instance
from .model import Given
from .problem import Problem, WrongForm
from .texts import as_declared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from .description import Opening
    from .frames import Frame
    from .model import Parameter, Stage


class Inlet(Protocol):
    """Where the rows of an input come from."""

    schema: pa.Schema

    @property
    def rows(self) -> int:
        """Rows that were read so far."""

    def read(self) -> pa.RecordBatch | None:
        """The next batch; waits for it. None at the end."""

    def release(self, rows: int) -> None:
        """The next rows, of those that were read, have been taken: there is room for more."""

    def flush(self) -> None:
        """Says what was released, if it was not said yet. Reading does that too."""


Result: TypeAlias = "tuple[int, pa.RecordBatch, int | None]"
"""An output, a batch of it, and how many rows of the input it is settled for: no later batch refers to those."""


class Work:
    """An opened stage. It does no more than its results are asked for."""

    def __init__(
        self,
        stage: Stage,
        opening: Opening,
        is_cancelled: Callable[[], bool] = lambda: False,
        boundaries: Boundaries | None = None,
    ) -> None:
        self.boundaries = boundaries or Boundaries()
        self.concurrency, self.batching = stage.concurrency, stage.batch
        self.instance: Instance = open_instance(stage, opening)
        self.emitters = Emitters(stage.outputs_in(opening.phase), opening.outputs)
        self._rows_of = stage.input_of_rows()
        self._is_cancelled = is_cancelled

    def results(self, inlets: Sequence[Inlet]) -> Generator[Result, None, None]:
        """All of them, from the first batch to the last."""
        parameters = self.instance.call.parameters
        pairs = zip(parameters, inlets, strict=True)
        inlets = [as_declared(inlet, parameter.columns) for parameter, inlet in pairs]
        arguments, by_batch = self._arguments(inlets)
        yield from self._called(arguments, by_batch)
        for argument in arguments.values():
            if isinstance(argument, Batches):
                argument.release()
        for inlet in inlets:
            for _ in Batches(inlet):
                pass
        if self.instance.finish is not None:
            yield from self.given(self.instance.finish())
        self.emitters.check(inlets[self._rows_of].rows if inlets else 0)

    def _called(self, arguments: dict[str, Any], by_batch: tuple[Parameter, Inlet] | None) -> Iterator[Result]:
        if self.instance.call.is_async:
            results = run_by_batch(self, arguments, *by_batch) if by_batch else run_once(self, arguments)
            return in_thread(results, self._is_cancelled)
        if by_batch is None:
            return self.given(self.instance.work(**arguments))
        return self._called_by_batch(arguments, *by_batch)

    def _called_by_batch(self, arguments: dict[str, Any], parameter: Parameter, inlet: Inlet) -> Iterator[Result]:
        with gathered(inlet, self.batching, self.boundaries) as calls:
            while (batch := calls.read()) is not None:
                arguments[parameter.name] = to_frame(batch, parameter.frame)
                with self.naming_rows(parameter, calls.rows - batch.num_rows, calls.rows):
                    yield from self._called_with(arguments, calls, batch.num_rows)

    def _called_with(self, arguments: dict[str, Any], inlet: Inlet, rows: int) -> Iterator[Result]:
        value = self.instance.work(**arguments)
        # Rows are released when what they gave was found good: flowc blames the first that are not.
        if inspect.isgenerator(value):
            yield from self.given(value)
            self.check(inlet.rows)
            inlet.release(rows)
        else:
            results = self.checked([value], inlet.rows)
            inlet.release(rows)
            yield from results

    def checked(self, values: Sequence[Any], rows: int) -> list[Result]:
        """The results of calls for so many rows of the input in all, which are what they should be."""
        results = [result for value in values for result in self.given(value)]
        self.check(rows)
        return results

    def check(self, rows: int) -> None:
        """All that concerns so many rows must have been given, unless the rest comes at the end."""
        if self.instance.finish is None:
            self.emitters.check(rows)

    def naming_rows(self, parameter: Parameter, first: int, end: int) -> AbstractContextManager[None]:
        """What goes wrong in a call with gathered rows says which they are: they are in no batch that anybody sent."""
        if self.batching is None:
            return nullcontext()
        return naming(f"in rows {first + 1} to {end} of input `{parameter.name}`")

    def _arguments(self, inlets: Sequence[Inlet]) -> tuple[dict[str, Any], tuple[Parameter, Inlet] | None]:
        """What the code is called with; the input that comes batch by batch stands apart."""
        arguments, by_batch = {}, None
        for parameter, inlet in zip(self.instance.call.parameters, inlets, strict=True):
            if parameter.given is Given.BATCH:
                by_batch = (parameter, inlet)
            else:
                arguments[parameter.name] = _argument(parameter, inlet)
        return arguments, by_batch

    def given(self, value: Any) -> Iterator[Result]:
        """The results of what the code gave: one value, or as many as a generator makes."""
        if not inspect.isgenerator(value):
            yield from self.emitters.batches(value)
            return
        for one in value:
            try:
                yield from self.emitters.batches(one)
            except WrongForm as wrong:
                raise WrongForm(
                    f"{wrong}; each thing that a generator yields is taken so, as if it were returned"
                ) from None


class Batches:
    """The batches of an inlet; each is released when the next one is asked for.

    Not when nobody asks any more: who fails has not taken the last one.
    """

    def __init__(self, inlet: Inlet, frame: Frame = "arrow") -> None:
        self._inlet, self._frame = inlet, frame
        self._held = 0

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Any:
        self.release()
        batch = self._inlet.read()
        if batch is None:
            raise StopIteration
        self._held = batch.num_rows
        return to_frame(batch, self._frame)

    def release(self) -> None:
        """The last one has been taken."""
        self._inlet.release(self._held)
        self._held = 0


def _argument(parameter: Parameter, inlet: Inlet) -> Any:
    if parameter.given is Given.BATCHES:
        return Batches(inlet, parameter.frame)
    table = pa.Table.from_batches(Batches(inlet), inlet.schema)
    if parameter.given is Given.ONE and parameter.frame == "arrow":
        return one_batch(table)
    return to_frame(table, parameter.frame)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """All rows of a table in one batch."""
    whole = table.combine_chunks().to_batches()
    if len(whole) > 1:
        # A column of texts or bytes has at most 2 GiB in one array: it stays in several.
        raise Problem(
            f"all rows are to come in one batch, and their {table.nbytes / 2**30:.1f} GiB don't fit into one",
            help="annotate the input as an Iterator[pyarrow.RecordBatch] or a pyarrow.Table",
        )
    return whole[0] if whole else pa.RecordBatch.from_pylist([], table.schema)
