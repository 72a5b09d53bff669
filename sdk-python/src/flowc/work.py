"""One invocation: rows come in through inlets, pass through the author's code, and go out through an outlet."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from .concurrent import run_by_batch, run_once
from .emit import Emitters
from .frames import to_frame
from .instance import Instance, open_instance
from .model import Given

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

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


class Outlet(Protocol):
    """Where the rows of all outputs go."""

    def write(self, output: int, batch: pa.RecordBatch, settled: int | None) -> None:
        """Sends a batch; waits while there is no room for it. Of the first `settled` rows no more will be picked."""

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the rows any more."""


class Work:
    """An opened invocation."""

    def __init__(self, stage: Stage, opening: Opening) -> None:
        self.concurrency = stage.concurrency
        self.instance: Instance = open_instance(stage, opening)
        self.emitters = Emitters(stage.outputs_in(opening.phase), opening.outputs)
        self._rows_of = stage.input_of_rows()

    def run(self, inlets: Sequence[Inlet], outlet: Outlet) -> None:
        """All of it, from the first batch to the last."""
        arguments, by_batch = self._arguments(inlets)
        self._call(arguments, by_batch, outlet)
        for unread in filter(inspect.isgenerator, arguments.values()):
            unread.close()
        for inlet in inlets:
            for _ in batches(inlet):
                pass
        if self.instance.finish is not None:
            self.send(self.instance.finish(), outlet)
        self.emitters.check(inlets[self._rows_of].rows if inlets else 0)

    def _call(self, arguments: dict[str, Any], by_batch: tuple[Parameter, Inlet] | None, outlet: Outlet) -> None:
        if self.instance.call.is_async:
            asyncio.run(
                run_once(self, arguments, outlet)
                if by_batch is None
                else run_by_batch(self, arguments, *by_batch, outlet)
            )
        elif by_batch is None:
            self.send(self.instance.work(**arguments), outlet)
        else:
            self._call_by_batch(arguments, *by_batch, outlet)

    def _call_by_batch(self, arguments: dict[str, Any], parameter: Parameter, inlet: Inlet, outlet: Outlet) -> None:
        work, is_stateless = self.instance.work, self.instance.finish is None
        while (batch := inlet.read()) is not None:
            arguments[parameter.name] = to_frame(batch, parameter.frame)
            value = work(**arguments)
            if inspect.isgenerator(value):
                self.send(value, outlet)
                inlet.release(batch.num_rows)
            else:
                inlet.release(batch.num_rows)
                self.send(value, outlet)
            if is_stateless:
                self.emitters.check(inlet.rows)

    def _arguments(self, inlets: Sequence[Inlet]) -> tuple[dict[str, Any], tuple[Parameter, Inlet] | None]:
        """What the code is called with; the input that comes batch by batch stands apart."""
        arguments, by_batch = {}, None
        for parameter, inlet in zip(self.instance.call.parameters, inlets, strict=True):
            if parameter.given is Given.BATCH:
                by_batch = (parameter, inlet)
            else:
                arguments[parameter.name] = _argument(parameter, inlet)
        return arguments, by_batch

    def send(self, value: Any, outlet: Outlet) -> None:
        """Sends what the code gave: one value, or as many as a generator makes."""
        for one in value if inspect.isgenerator(value) else [value]:
            for output, batch, settled in self.emitters.batches(one):
                outlet.write(output, batch, settled)


def batches(inlet: Inlet, frame: Frame = "arrow") -> Generator[Any, None, None]:
    """The batches of an inlet; each is released when the next one is asked for, or none any more."""
    while (batch := inlet.read()) is not None:
        try:
            yield to_frame(batch, frame)
        finally:
            inlet.release(batch.num_rows)


def _argument(parameter: Parameter, inlet: Inlet) -> Any:
    if parameter.given is Given.BATCHES:
        return batches(inlet, parameter.frame)
    table = pa.Table.from_batches(batches(inlet), inlet.schema)
    if parameter.given is Given.ONE and parameter.frame == "arrow":
        return one_batch(table)
    return to_frame(table, parameter.frame)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """All rows of a table in one batch."""
    whole = table.combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], table.schema)
