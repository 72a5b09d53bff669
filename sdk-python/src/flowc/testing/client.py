"""A small client of the protocol: what flowc does with a server of stages, as far as tests need it."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from ..description import InputDescription, Opening
from ..memory import Memory
from ..problem import Problem
from ..secrets import Secrets
from ..serialization import Codec
from ..wire import PROTOCOL, description_from_json, dumps, opening_json, progress_json, schema_to_text
from .credit import Credit

if TYPE_CHECKING:
    from ..regions import Outbox

NAMES = itertools.count()


@dataclass
class Ended:
    """What came of an invocation."""

    outputs: list[list[pa.RecordBatch]]
    """Per output what the stage sent, before flowc picks rows and attaches columns."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """All metadata, in order."""

    @property
    def last(self) -> dict[str, Any]:
        """The last message: `finished`, `problem` or `failed`."""
        return self.messages[-1] if self.messages else {}

    @property
    def log(self) -> list[tuple[str, str]]:
        """Levels and texts."""
        return [(level, text) for message in self.messages for level, text in message.get("log", [])]

    @property
    def consumed(self) -> int:
        """Rows of the main input that the stage said it has consumed."""
        return max((message.get("consumed", 0) for message in self.messages), default=0)

    @property
    def settled(self) -> list[int]:
        """How many rows the stage said it would pick none of any more, each time that it did."""
        return [message["settled"] for message in self.messages if "settled" in message]


class Client:
    """Asks a server about its stages, and runs them."""

    def __init__(self, location: str, stage: str = "", memory: Memory | None = None) -> None:
        self.flight = flight.connect(location)
        self.stage = stage
        self.memory = memory or Memory()

    def signature(self) -> dict[str, Any]:
        """What the stage is."""
        return self._ask("flowc.signature")

    def describe(self, config: Mapping[str, Any], inputs: Sequence[pa.Schema]) -> Any:
        """What the stage does with this config and these inputs; raises its problem."""
        schemas = [schema_to_text(schema) for schema in inputs]
        return description_from_json(self._ask("flowc.describe", config=config, inputs=schemas))

    def opening(self, config: Mapping[str, Any], inputs: Sequence[pa.Schema], part: int = 0) -> Opening:
        """An opening of the phase `run`, as flowc would make it of the description."""
        description = self.describe(config, inputs)
        reads = [
            pa.schema([schema.field(number) for number in port.reads])
            for schema, port in zip(inputs, description.inputs, strict=True)
        ]
        return Opening(
            config=dict(config),
            phase="run",
            part=part,
            inputs=tuple(reads),
            outputs=tuple(port.sent() for port in description.outputs),
            main=_main(description.inputs),
            invocation=f"invocation {next(NAMES)}",
        )

    def exchange(self, opening: Opening, credit: int = 8 << 20, steps: Sequence[Any] = ()) -> tuple[Any, Any]:
        """Opens an invocation: a writer and a reader. Whoever uses them does the rest. `steps` are those of a chain."""
        request = opening_json(opening) | {"protocol": PROTOCOL, "stage": self.stage, "credit": credit, "steps": steps}
        writer, reader = self.flight.do_exchange(flight.FlightDescriptor.for_command(dumps(request)))
        writer.begin(Codec(opening.serialization, opening.main_schema()).schema)
        return writer, reader

    def run(
        self,
        inputs: Sequence[pa.Table],
        config: Mapping[str, Any] | None = None,
        credit: int = 8 << 20,
        secrets: Mapping[str, str] | None = None,
    ) -> Ended:
        """Runs an invocation over all columns that the stage reads of these inputs."""
        opening = self.opening(config or {}, [table.schema for table in inputs])
        opening = replace(opening, secrets=Secrets(secrets))
        read = [table.select(schema.names) for table, schema in zip(inputs, opening.inputs, strict=True)]
        return self.invoke(opening, read, credit)

    def invoke(
        self, opening: Opening, inputs: Sequence[pa.Table], credit: int = 8 << 20, steps: Sequence[Any] = ()
    ) -> Ended:
        """Runs an invocation over these rows."""
        return _Invoked(self, opening, inputs, credit, self.exchange(opening, credit, steps)).ended()

    def _ask(self, question: str, **fields: Any) -> dict[str, Any]:
        body = dumps({"protocol": PROTOCOL, "stage": self.stage, **fields})
        (answer,) = self.flight.do_action(flight.Action(question, body))
        found: dict[str, Any] = json.loads(answer.body.to_pybytes())
        if "problem" in found:
            raise Problem(**found["problem"])
        return found


def _main(inputs: Sequence[InputDescription]) -> int | None:
    """The input that comes on the exchange: the one that drives the stage, or the last."""
    driving = [number for number, port in enumerate(inputs) if port.needs not in ("whole", "keyed")]
    return driving[0] if driving else len(inputs) - 1 if inputs else None


def send(writer: Any, outbox: Outbox, batch: pa.RecordBatch) -> None:
    """Sends a batch, in a block if there is room."""
    block = outbox.put(batch)
    if block is None:
        writer.write_batch(batch)
    else:
        writer.write_metadata(progress_json(block=block))


def taken(chunk: Any, memory: Memory) -> pa.RecordBatch | None:
    """The batch of a message. What lies in a block is copied, so that the block is given back, as flowc does it."""
    batch = next(memory.batches(chunk, pa.schema([])), None)
    if not batch or chunk.data:
        return batch
    return pa.ipc.read_record_batch(batch.serialize(), batch.schema)


class _Invoked:
    def __init__(
        self, client: Client, opening: Opening, inputs: Sequence[pa.Table], credit: int, exchange: tuple[Any, Any]
    ) -> None:
        self.client, self.opening, self.inputs = client, opening, inputs
        self.result = Ended([[] for _ in opening.outputs])
        self.credit = Credit(credit)
        self.writer, self.reader = exchange

    def ended(self) -> Ended:
        threads = []
        for message in self._messages():
            if message.get("opened"):
                threads = [threading.Thread(target=self._send)]
                threads += [threading.Thread(target=self._take, args=[number]) for number in self._others()]
                for thread in threads:
                    thread.start()
        self.credit.cancel()
        if "finished" not in self.result.last:
            self.reader.cancel()
        for thread in threads:
            thread.join()
        return self.result

    def _others(self) -> range:
        return range(1, len(self.opening.outputs))

    def _messages(self) -> Any:
        """Metadata of the exchange, until the last one; batches are kept."""
        for chunk in self.reader:
            batch = taken(chunk, self.client.memory)
            if batch is not None:
                self.result.outputs[0].append(self._codec(self.opening.outputs[0].written).unpack(batch))
            if chunk.app_metadata is not None:
                message = json.loads(chunk.app_metadata.to_pybytes())
                self.result.messages.append(message)
                self.credit.consumed(message.get("consumed", 0))
                yield message
                if not {"finished", "problem", "failed"}.isdisjoint(message):
                    return

    def _send(self) -> None:
        try:
            for number, table in enumerate(self.inputs):
                if number != self.opening.main:
                    self._put(number, table)
            if self.opening.main is not None:
                codec = self._codec(self.opening.main_schema())
                outbox = self.client.memory.outbox(codec.schema)
                for batch in self.inputs[self.opening.main].to_batches():
                    if not self.credit.take(batch):
                        return
                    send(self.writer, outbox, codec.pack(batch))
            self.writer.done_writing()
        except (flight.FlightError, pa.ArrowException):
            pass  # the stage has ended before its input

    def _put(self, number: int, table: pa.Table) -> None:
        path = flight.FlightDescriptor.for_path("flowc", self.opening.invocation, "input", str(number))
        codec = self._codec(table.schema)
        writer, answers = self.client.flight.do_put(path, codec.schema)
        outbox = self.client.memory.outbox(codec.schema)
        for batch in table.to_batches():
            send(writer, outbox, codec.pack(batch))
            answers.read()  # type: ignore[attr-defined]  # the stubs name another class
        writer.done_writing()
        writer.close()

    def _take(self, number: int) -> None:
        ticket = {"protocol": PROTOCOL, "stage": "", "invocation": self.opening.invocation, "output": number}
        reader = self.client.flight.do_get(flight.Ticket(dumps(ticket)))
        codec = self._codec(self.opening.outputs[number].written)
        batches = (taken(chunk, self.client.memory) for chunk in reader)
        self.result.outputs[number].extend(codec.unpack(batch) for batch in batches if batch is not None)

    def _codec(self, schema: pa.Schema) -> Codec:
        return Codec(self.opening.serialization, schema)
