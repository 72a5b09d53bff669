"""From what the code returns to what is sent: one emitter per output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from .convert import to_batch, to_batches, to_mask
from .forms import MASK, example, no_outputs
from .pieces import pieces
from .problem import Breach, WrongForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .description import Sent
    from .model import Output


class Emitter(Protocol):
    """Checks and converts what the code gives for an output."""

    rows: int
    """How many were given so far: new ones, or the input's that values were for."""

    def batches(self, value: Any) -> Iterator[pa.RecordBatch]:
        """What is to be sent of it."""

    def settled(self) -> int | None:
        """How many rows of the input, counted from the first, no later batch refers to."""

    def check(self, rows: int) -> None:
        """All that concerns this many rows of the input must have been given."""


class NewRows:
    """The stage's own rows."""

    def __init__(self, name: str, sent: Sent) -> None:
        self.name, self.schema, self.rows = name, sent.written, 0

    def batches(self, value: Any) -> Iterator[pa.RecordBatch]:
        """The rows as they are."""
        for batch in to_batches(value, self.schema, self.rows):
            self.rows += batch.num_rows
            yield batch

    def settled(self) -> None:
        """They refer to none."""

    def check(self, rows: int) -> None:
        """New rows owe nothing to the input."""


class SameRows:
    """Columns for the input's rows, in order."""

    def __init__(self, name: str, sent: Sent) -> None:
        self.name, self.schema, self.rows = name, sent.written, 0

    def batches(self, value: Any) -> Iterator[pa.RecordBatch]:
        """The columns of the next rows."""
        batch = to_batch(value, self.schema, self.rows, of_input=True)
        self.rows += batch.num_rows
        yield batch

    def settled(self) -> int:
        """Those that have their values."""
        return self.rows

    def check(self, rows: int) -> None:
        """Every row must have its values."""
        if self.rows != rows:
            if not self.rows:
                raise Breach(
                    f"output `{self.name}`: nothing was returned; it adds columns to {rows} rows; {_each(self.schema)}"
                )
            given = f"output `{self.name}` adds columns to {rows} rows, and {self.rows} values were returned"
            raise Breach(f"{given}; {_each(self.schema)}")


class PickedRows:
    """Numbers of rows, made of masks for the input's rows, in order."""

    def __init__(self, name: str, sent: Sent) -> None:
        self.name, self.schema, self.rows = name, sent.written, 0

    def batches(self, value: Any) -> Iterator[pa.RecordBatch]:
        """The numbers of the rows that are picked among the next ones."""
        mask = to_mask(value, self.rows)
        numbers = pc.indices_nonzero(mask)
        if self.rows:
            numbers = pc.add(numbers, pa.scalar(self.rows, pa.uint64()))
        self.rows += len(mask)
        yield pa.RecordBatch.from_arrays([numbers], schema=self.schema)

    def settled(self) -> int:
        """Those that there were masks for."""
        return self.rows

    def check(self, rows: int) -> None:
        """Every row must be picked or not."""
        if self.rows != rows:
            if not self.rows:
                raise Breach(f"output `{self.name}`: nothing was returned; it picks among {rows} rows; {MASK}")
            raise Breach(
                f"output `{self.name}` picks among {rows} rows, and masks for {self.rows} were returned; {MASK}"
            )


def _each(schema: pa.Schema) -> str:
    return f"return a value for each, such as {example(schema)}"


EMITTERS: dict[str, Callable[[str, Sent], Emitter]] = {"new": NewRows, "same": SameRows, "subset": PickedRows}


class Emitters:
    """Those of all outputs."""

    def __init__(self, outputs: Sequence[Output], sent: Sequence[Sent]) -> None:
        self.outputs = outputs
        self.emitters: list[Emitter] = [
            EMITTERS[one.rows.relation](port.name, one) for port, one in zip(outputs, sent, strict=True)
        ]

    def batches(self, value: Any) -> Iterator[tuple[int, pa.RecordBatch, int | None]]:
        """What is to be sent of one value that the code gave: output, batch, and what is settled with it."""
        for number, part in self._parts(value):
            try:
                for batch, settled in self._settling(self.emitters[number], part):
                    yield number, batch, settled
            except Breach as breach:
                raise type(breach)(f"output `{self.outputs[number].name}`: {breach}") from breach.__cause__

    def _settling(self, emitter: Emitter, value: Any) -> Iterator[tuple[pa.RecordBatch, int | None]]:
        """What is to be sent, in pieces that can be, of which the last settles what it concerns."""
        before, first = emitter.settled(), emitter.rows
        for batch in emitter.batches(value):
            *others, last = pieces(batch, first)
            yield from ((piece, before) for piece in others)
            before, first = emitter.settled(), emitter.rows
            yield last, before

    def check(self, rows: int) -> None:
        """All that concerns this many rows of the input must have been given."""
        for emitter in self.emitters:
            emitter.check(rows)

    def _parts(self, value: Any) -> Iterator[tuple[int, Any]]:
        """The value, per output. Nothing is no rows, which an output may have at any time."""
        return ((number, part) for number, part in enumerate(self._by_output(value)) if part is not None)

    def _by_output(self, value: Any) -> Sequence[Any]:
        if len(self.outputs) == 1 and not (isinstance(value, tuple) and hasattr(value, "_fields")):
            return [value]
        if isinstance(value, Mapping):
            names = [port.name for port in self.outputs]
            unknown = ", ".join(f"`{name}`" for name in value if name not in names)
            if unknown:
                raise WrongForm(f"there is no output {unknown}; {no_outputs(value, names)}")
            return [value.get(port.name) for port in self.outputs]
        if isinstance(value, tuple) and len(value) == len(self.outputs):
            return value
        raise no_outputs(value, [port.name for port in self.outputs])
