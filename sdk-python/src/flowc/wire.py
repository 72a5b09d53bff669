"""The JSON of the protocol (`docs/flight-protocol.md`), version 1."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .description import Description, InputDescription, Opening, OutputDescription, Rows, Sent
from .problem import Problem

if TYPE_CHECKING:
    from .model import Stage

PROTOCOL = 1

Json = Any


def dumps(message: Json) -> bytes:
    """A message."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def consumed_json(rows: int) -> bytes:
    """That the first rows have been taken."""
    return b'{"consumed":%d}' % rows


def settled_json(rows: int) -> bytes:
    """That none of the first rows will be picked any more."""
    return b'{"settled":%d}' % rows


def both_json(consumed: int, settled: int) -> bytes:
    """Both."""
    return b'{"consumed":%d,"settled":%d}' % (consumed, settled)


def request(body: bytes) -> dict[str, Json]:
    """A request of a version that we speak."""
    fields: dict[str, Json] = json.loads(body)
    if fields.get("protocol") != PROTOCOL:
        raise Problem(f"the stage speaks version {PROTOCOL} of the protocol, not {fields.get('protocol')}")
    return fields


def schema_to_text(schema: pa.Schema) -> str:
    """A schema as an encapsulated IPC message in base64."""
    return base64.b64encode(schema.serialize()).decode()


def schema_from_text(text: str) -> pa.Schema:
    """The reverse."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def problem_json(problem: Problem) -> dict[str, Json]:
    """A problem; fields that are not there are left out."""
    fields = {"message": problem.message, "config_path": problem.config_path, "help": problem.help}
    return {"problem": {name: value for name, value in fields.items() if value is not None}}


def signature_json(stage: Stage) -> dict[str, Json]:
    """The answer to `flowc.signature`."""
    return {
        "protocol": PROTOCOL,
        "doc": stage.doc,
        "inputs": [port.name for port in stage.inputs],
        "outputs": [port.name for port in stage.outputs],
        "config_schema": stage.config.schema(),
    }


def description_json(description: Description) -> dict[str, Json]:
    """The answer to `flowc.describe`."""
    inputs = [{"class": port.needs, "reads": list(port.reads), "keys": list(port.keys)} for port in description.inputs]
    return {
        "inputs": inputs,
        "outputs": [_output_json(port) for port in description.outputs],
        "partial": None if description.partial is None else schema_to_text(description.partial),
        "parts": description.parts,
    }


def _output_json(port: OutputDescription) -> Json:
    columns = ["written" if passed is None else {"passed": passed} for passed in port.passed]
    return {"schema": schema_to_text(port.schema), "rows": rows_json(port.rows), "columns": columns}


def rows_json(rows: Rows) -> Json:
    """`"new"`, or the relation with the number of an input."""
    return "new" if rows.relation == "new" else {rows.relation: rows.input}


def rows_from_json(rows: Json) -> Rows:
    """The reverse."""
    if rows == "new":
        return Rows("new")
    ((relation, number),) = rows.items()
    return Rows(relation, number)


def description_from_json(fields: dict[str, Json]) -> Description:
    """A description out of its JSON."""
    inputs = [
        InputDescription(port["class"], tuple(port["reads"]), tuple(port.get("keys", ()))) for port in fields["inputs"]
    ]
    partial = fields.get("partial")
    return Description(
        inputs=tuple(inputs),
        outputs=tuple(_output_from_json(port) for port in fields["outputs"]),
        partial=None if partial is None else schema_from_text(partial),
        parts=fields.get("parts", 1),
    )


def _output_from_json(port: dict[str, Json]) -> OutputDescription:
    passed = tuple(None if column == "written" else column["passed"] for column in port["columns"])
    return OutputDescription(schema_from_text(port["schema"]), rows_from_json(port["rows"]), passed)


def opening_json(opening: Opening) -> dict[str, Json]:
    """An opening, without the fields that every request has."""
    return {
        "invocation": opening.invocation,
        "config": opening.config,
        "phase": opening.phase,
        "part": opening.part,
        "inputs": [{"schema": schema_to_text(schema)} for schema in opening.inputs],
        "main": opening.main,
        "outputs": [
            {"rows": rows_json(port.rows), "written": schema_to_text(port.written)} for port in opening.outputs
        ],
    }


def opening_from_json(fields: dict[str, Json]) -> Opening:
    """The opening of a request."""
    return Opening(
        config=fields["config"],
        phase=fields["phase"],
        part=fields["part"],
        inputs=tuple(schema_from_text(port["schema"]) for port in fields["inputs"]),
        outputs=tuple(
            Sent(rows_from_json(port["rows"]), schema_from_text(port["written"])) for port in fields["outputs"]
        ),
        main=fields["main"],
        invocation=fields["invocation"],
    )
