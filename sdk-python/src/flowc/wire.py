"""The JSON of the protocol (`docs/flight-protocol.md`), version 1."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .description import (
    ROW,
    Column,
    Description,
    InputDescription,
    Opening,
    OutputDescription,
    Rows,
    Sent,
    Step,
)
from .failure import LONGEST_MESSAGE
from .problem import Problem, Problems
from .secrets import Secrets
from .serialization import ARROW, OFFERED
from .texts import shortened

if TYPE_CHECKING:
    from .model import Stage

PROTOCOL = 1
MOST_PROBLEMS = 100
"""That are told at once."""

Json = Any


BOUNDARY = b'{"boundary":true}'
"""Metadata that says that all rows before have come, or all that comes of them."""


def dumps(message: Json) -> bytes:
    """A message."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def progress_json(
    consumed: int | None = None, settled: int | None = None, block: tuple[int, int] | None = None
) -> bytes | None:
    """What goes with a batch: how many rows have been taken, and will not be picked any more, and where it lies.

    None if that is nothing.
    """
    fields = []
    if consumed is not None:
        fields.append(b'"consumed":%d' % consumed)
    if settled is not None:
        fields.append(b'"settled":%d' % settled)
    if block is not None:
        fields.append(b'"block":[%d,%d]' % block)
    return b"{%b}" % b",".join(fields) if fields else None


def is_boundary(chunk: Any) -> bool:
    """Whether a message says that a boundary follows it."""
    metadata = chunk.app_metadata
    return metadata is not None and bool(json.loads(metadata.to_pybytes()).get("boundary"))


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
    first, *others = problem.all if isinstance(problem, Problems) else [problem]
    also = [_problem_json(one) for one in others[: MOST_PROBLEMS - 1]]
    return {"problem": _problem_json(first) | ({"also": also} if also else {})}


def _problem_json(problem: Problem) -> Json:
    fields = {"message": problem.message, "config_path": problem.config_path, "help": problem.help}
    return {name: shortened(str(value), LONGEST_MESSAGE) for name, value in fields.items() if value is not None}


def signature_json(stage: Stage) -> dict[str, Json]:
    """The answer to `flowc.signature`."""
    return {
        "protocol": PROTOCOL,
        "doc": stage.doc,
        "inputs": [port.name for port in stage.inputs],
        "outputs": [port.name for port in stage.outputs],
        "config_schema": stage.config.schema(),
        "chains": True,
        "serializations": list(OFFERED),
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
        "secrets": dict(opening.secrets),
        "phase": opening.phase,
        "part": opening.part,
        "inputs": [{"schema": schema_to_text(schema)} for schema in opening.inputs],
        "main": opening.main,
        "serialization": opening.serialization,
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
        serialization=_serialization(fields.get("serialization", ARROW)),
        secrets=_secrets(fields),
    )


def _serialization(name: str) -> str:
    if name not in OFFERED:
        raise Problem(f"the stage takes batches as {', '.join(OFFERED)}, not as {name}")
    return name


def _secrets(fields: dict[str, Json]) -> Secrets:
    return Secrets(fields.get("secrets"))


def steps_from_json(fields: dict[str, Json], opening: Opening) -> list[Step]:
    """The stages of an invocation: one, or those of a chain."""
    if not fields.get("steps"):
        return [Step(fields["stage"], opening, (), (), opening.outputs[0].written, is_plain=True)]
    is_picking = opening.outputs[0].rows.relation == "subset"
    steps: list[Step] = []
    schema, has_numbers = opening.main_schema(), False
    for step in fields["steps"]:
        picks_first = is_picking and not has_numbers and rows_from_json(step["rows"]).relation == "subset"
        steps.append(_step(step, opening if not steps else None, schema, has_numbers, picks_first))
        schema, has_numbers = steps[-1].schema, has_numbers or picks_first
    return steps


def _step(
    fields: dict[str, Json], first: Opening | None, before: pa.Schema, has_numbers: bool, picks_first: bool
) -> Step:
    """A step of a chain.

    Where the rows of a chain are picked, the numbers of the main input's rows go along, as the first column of frames:
    they are those that the first step which picks any has sent.
    """
    opening = _opening_of_step(fields, first)
    written = opening.outputs[0].written
    is_subset = opening.outputs[0].rows.relation == "subset"
    numbers = [Column(is_kept=has_numbers, place=0)] if has_numbers or picks_first else []
    shifts = {"kept": int(has_numbers), "written": int(is_subset)}
    frame = [
        Column(origin == "kept", place + shifts[origin])
        for column in fields["frame"]
        for origin, place in column.items()
    ]
    columns = (*numbers, *frame)
    schema = pa.schema([(before if column.is_kept else written).field(column.place) for column in columns])
    return Step(fields["stage"], opening, tuple(place + has_numbers for place in fields["reads"]), columns, schema)


def _opening_of_step(fields: dict[str, Json], first: Opening | None) -> Opening:
    """The opening of a step's stage, as if it were alone. Only that of the first may have more than one input."""
    schema, rows = schema_from_text(fields["input"]), rows_from_json(fields["rows"])
    written = schema_from_text(fields["written"])
    sent = Sent(rows, pa.schema([ROW, *written]) if rows.relation == "subset" else written)
    if first is None or first.main is None:
        return Opening(fields["config"], fields["phase"], 0, (schema,), (sent,), main=0, secrets=_secrets(fields))
    inputs = (*first.inputs[: first.main], schema, *first.inputs[first.main + 1 :])
    config, phase, secrets = fields["config"], fields["phase"], _secrets(fields)
    return replace(first, config=config, phase=phase, inputs=inputs, outputs=(sent,), secrets=secrets)
