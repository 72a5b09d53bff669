"""An invocation as the server holds it: its exchange, and the streams beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .serialization import Codec
from .streams import LaterInlet, Stream, StreamInlet
from .wire import BOUNDARY, progress_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from .description import Opening
    from .exchange import Exchange
    from .regions import Outbox
    from .work import Inlet


Settling: TypeAlias = "tuple[pa.RecordBatch | None, int | None]"
"""A batch, and how many rows are settled with it, if that is to be said. Without a batch it is a boundary."""
Message: TypeAlias = "pa.RecordBatch | tuple[pa.RecordBatch, bytes]"
"""A batch, or one with metadata."""


class Invocation:
    """Joins the streams of an invocation."""

    def __init__(self, opening: Opening, exchange: Exchange) -> None:
        self.exchange = exchange
        self.main = opening.main
        self._serialization = opening.serialization
        others = [number for number in range(len(opening.inputs)) if number != opening.main]
        self.inputs: dict[int, Stream[pa.RecordBatch]] = {
            number: Stream(opening.inputs[number], exchange.is_cancelled) for number in others
        }
        sent = list(enumerate(opening.outputs[1:], 1))
        self.outputs: dict[int, Stream[Settling]] = {
            number: Stream(self._codec(output.written).schema, exchange.is_cancelled) for number, output in sent
        }
        self._packing = {number: self._codec(output.written) for number, output in sent}
        exchange.boundaries.before_others(self._reach_boundary)
        self._picking = {number for number, output in sent if output.rows.relation == "subset"}

    def inlets(self) -> list[Inlet]:
        """One per input, in the order of the inputs."""
        before: list[Stream[pa.RecordBatch]] = []
        inlets: dict[int, Inlet] = {}
        for number, stream in self.inputs.items():
            inlets[number] = LaterInlet(StreamInlet(stream), tuple(before)) if before else StreamInlet(stream)
            before.append(stream)
        if self.main is not None:
            inlets[self.main] = LaterInlet(self.exchange, before) if before else self.exchange
        return [inlets[number] for number in sorted(inlets)]

    def put(self, number: int) -> tuple[Stream[pa.RecordBatch], Codec]:
        """An input beside the main one, and what its batches are unpacked with."""
        stream = self.inputs[number]
        return stream, self._codec(stream.schema)

    def _codec(self, schema: pa.Schema) -> Codec:
        return Codec(self._serialization, schema)

    def write(self, output: int, batch: pa.RecordBatch, settled: int | None) -> None:
        """Sends a batch."""
        if output == 0:
            self.exchange.write(batch, settled)
            return
        batch = self._packing[output].pack(batch)
        self.outputs[output].put((batch, settled if output in self._picking else None))

    def _reach_boundary(self) -> None:
        """Says on the outputs beside the first one that all has come. The exchange says it on the first."""
        for stream in self.outputs.values():
            stream.put((None, None))

    def wait_until_taken(self) -> None:
        """Ends the other outputs, and waits until their readers have seen it."""
        for stream in self.outputs.values():
            stream.end()
        for stream in self.outputs.values():
            stream.wait_until_taken()

    def give_up(self) -> None:
        """Whoever still waits at a stream is sent away."""
        for stream in self.inputs.values():
            stream.give_up()
        for output in self.outputs.values():
            output.give_up()


def messages(stream: Stream[Settling], outbox: Outbox) -> Iterator[Message]:
    """An output as its reader is sent it. A batch that lies in a block leaves a message without rows."""
    for batch, settled in stream.all():
        if batch is None:
            yield outbox.empty, BOUNDARY
            continue
        block = outbox.put(batch)
        metadata = progress_json(settled=settled, block=block)
        rows = batch if block is None else outbox.empty
        yield rows if metadata is None else (rows, metadata)
