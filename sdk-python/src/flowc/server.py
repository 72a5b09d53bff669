"""The server of the protocol (`docs/flight-protocol.md`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyarrow import flight

from .chain import Chain
from .describe import describe
from .exchange import Exchange
from .failure import as_problem, failed_json
from .invocation import Invocation, messages
from .load import load
from .problem import Cancelled, Problem, StepFailed
from .wire import (
    description_json,
    dumps,
    opening_from_json,
    problem_json,
    progress_json,
    request,
    schema_from_text,
    signature_json,
    steps_from_json,
)

if TYPE_CHECKING:
    from .description import Opening
    from .memory import Memory


class StageServer(flight.FlightServerBase):
    """Answers what flowc asks about the stages that can be imported, and runs them."""

    def __init__(self, location: str, memory: Memory) -> None:
        self._memory = memory
        # Calls may come as soon as it listens, which the base class starts.
        self._invocations: dict[str, Invocation] = {}
        super().__init__(location)

    def do_action(self, _context: Any, action: Any) -> list[bytes]:
        """Signature and description."""
        return [dumps(_answer(action.type, action.body.to_pybytes()))]

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """An invocation."""
        exchange = Exchange(reader, writer, context.is_cancelled, self._memory)
        try:
            exchange.end(self._outcome(descriptor.command, exchange))
        except Cancelled:
            pass
        finally:
            exchange.close()

    def _outcome(self, opening: bytes, exchange: Exchange) -> dict[str, Any]:
        try:
            return self._invoke(request(opening), exchange)
        except StepFailed as failed:
            return _last_words(failed.error) | ({} if failed.step is None else {"step": failed.step})
        except Cancelled:
            raise
        except BaseException as error:
            return _last_words(error)

    def _invoke(self, fields: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
        opening = opening_from_json(fields)
        chain = Chain(steps_from_json(fields, opening), exchange)
        try:
            chain.open()
            self._run(chain, opening, exchange)
        finally:
            chain.close()
        rows = chain.rows()
        return {"finished": True} | ({"rows": rows} if rows else {})

    def _run(self, chain: Chain, opening: Opening, exchange: Exchange) -> None:
        invocation = Invocation(opening, exchange)
        self._invocations[opening.invocation] = invocation
        try:
            exchange.open(opening)
            for output, batch, settled in chain.results(invocation.inlets()):
                invocation.write(output, batch, settled)
            invocation.wait_until_taken()
        finally:
            del self._invocations[opening.invocation]
            invocation.give_up()

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """An input beside the main one."""
        _, name, _, number = (part.decode() for part in descriptor.path)
        stream, codec = self._invocation(name).put(int(number))
        rows = 0
        try:
            for chunk in reader:
                for batch in map(codec.unpack, self._memory.batches(chunk, codec.schema)):
                    stream.put(batch)
                    rows += batch.num_rows
                    writer.write(progress_json(consumed=rows))
        except Cancelled:
            # What lies in blocks is given back.
            for chunk in reader:
                self._memory.batches(chunk, codec.schema)
            return
        except BaseException:
            stream.give_up()
            raise
        if context.is_cancelled():
            stream.give_up()
        else:
            stream.end()

    def do_get(self, _context: Any, ticket: Any) -> flight.FlightDataStream:
        """An output beside the first one."""
        fields = json.loads(ticket.ticket)
        stream = self._invocation(fields["invocation"]).outputs[fields["output"]]
        found: Any = messages(stream, self._memory.outbox(stream.schema))
        return flight.GeneratorStream(stream.schema, found)

    def _invocation(self, name: str) -> Invocation:
        if name not in self._invocations:
            raise flight.FlightServerError(f"no invocation `{name}` is open")
        return self._invocations[name]


def _last_words(error: BaseException) -> dict[str, Any]:
    return problem_json(error) if isinstance(error, Problem) else failed_json(error)


def _answer(question: str, body: bytes) -> Any:
    """The answer to an action. Whatever goes wrong is a problem of the stage."""
    try:
        fields = request(body)
        stage = load(fields["stage"])
        if question == "flowc.signature":
            return signature_json(stage)
        if question == "flowc.describe":
            inputs = [schema_from_text(schema) for schema in fields["inputs"]]
            return description_json(describe(stage, fields["config"], inputs))
    except Exception as error:
        return problem_json(as_problem(error))
    raise flight.FlightServerError(f"no action `{question}`")
