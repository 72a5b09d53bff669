"""Runs a stage in this process, by the rules of the server and of the engine."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from ..declare import stage_of
from ..describe import describe
from ..description import Opening, Rows, Sent
from ..model import Batching
from ..secrets import Secrets, given
from ..work import Work
from .assemble import Assembly, recut, table_of
from .shapes import check_agreement

if TYPE_CHECKING:
    from ..description import Description
    from ..model import Phase, Stage

Input = pa.Table | pa.RecordBatch | Sequence[pa.RecordBatch]


def run(
    stage: Callable[..., Any],
    inputs: Mapping[str, Input] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    batch_rows: int | None = None,
) -> dict[str, pa.Table]:
    """Runs a stage over these inputs; gives a table per output, as the stages below it would get them.

    The inputs count as one segment, and come in the batches that they are given in, or in batches of `batch_rows`. A
    combining stage gets each batch as a segment of its own; its partials are merged in trees of several shapes, which
    must agree. A stage that gathers its rows gets as many as it asks for, or `batch_rows` where that is less, whatever
    the time. Of a stage without inputs, all parts are run. `secrets` are what `flowc.secret` gives. What the stage
    prints and logs is not caught.
    """
    declared = stage_of(stage)
    if declared is None:
        raise TypeError(f"{stage!r} is no stage; decorate it with @flowc.stage")
    declared = replace(declared, batch=_timeless(declared.batch, batch_rows))
    tables = _named_inputs(declared, inputs or {}, batch_rows)
    # Through JSON, so that a test has the values that a pipeline would give.
    return _Tested(declared, json.loads(json.dumps(dict(config or {}))), tables, Secrets(secrets)).run()


def _timeless(batch: Batching | None, batch_rows: int | None) -> Batching | None:
    """The same at any speed, so that a test sees the same calls each time."""
    return None if batch is None else Batching(min(batch.rows, batch_rows or batch.rows), math.inf)


def _named_inputs(stage: Stage, inputs: Mapping[str, Input], batch_rows: int | None) -> list[pa.Table]:
    names = [port.name for port in stage.inputs]
    if sorted(names) != sorted(inputs):
        raise TypeError(f"stage `{stage.name}` has the inputs {names or 'none'}, not {list(inputs) or 'none'}")
    tables = (table_of(inputs[name]) for name in names)
    return [recut(table, batch_rows) if batch_rows else table for table in tables]


class _Tested:
    def __init__(self, stage: Stage, config: dict[str, Any], inputs: list[pa.Table], secrets: Secrets) -> None:
        self.stage, self.config, self.inputs, self.secrets = stage, config, inputs, secrets
        self.description: Description = describe(stage, config, [table.schema for table in inputs])
        self.read = [
            table.select(list(port.reads)) for table, port in zip(inputs, self.description.inputs, strict=True)
        ]

    def run(self) -> dict[str, pa.Table]:
        if self.description.partial is not None:
            outputs = self.combine()
        else:
            parts = [self.invoke("run", self.read, part) for part in range(self.description.parts)]
            outputs = [pa.concat_tables(list(tables)) for tables in zip(*parts, strict=True)]
        return dict(zip([port.name for port in self.stage.outputs], outputs, strict=True))

    def invoke(self, phase: Phase, inputs: list[pa.Table], part: int = 0) -> list[pa.Table]:
        described = self.description.outputs
        sent = tuple(port.sent() for port in described)
        if phase in ("partial", "merge"):
            sent = (Sent(Rows("new"), cast("pa.Schema", self.description.partial)),)
        schemas = tuple(table.schema for table in inputs)
        opening = Opening(self.config, phase, part, schemas, sent, secrets=self.secrets)
        batches: list[list[pa.RecordBatch]] = [[] for _ in sent]
        with given(self.secrets):
            for output, batch, _ in Work(self.stage, opening).results([_Given(table) for table in inputs]):
                batches[output].append(batch)
        if phase in ("partial", "merge"):
            return [pa.Table.from_batches(batches[0], sent[0].written)]
        return [Assembly(port, self.inputs).table(kept) for port, kept in zip(described, batches, strict=True)]

    def combine(self) -> list[pa.Table]:
        segments = [pa.Table.from_batches([batch]) for batch in self.read[0].to_batches()] or [self.read[0]]
        partials = [self.invoke("partial", [segment])[0] for segment in segments]
        whole = self.invoke("partial", [self.read[0]])[0]

        def merge(tables: Iterable[pa.Table]) -> pa.Table:
            return self.invoke("merge", [pa.concat_tables(tables)])[0]

        def finish(table: pa.Table) -> list[pa.Table]:
            return self.invoke("finish", [table])

        return check_agreement(whole, partials, merge, finish)


class _Given:
    """An inlet of a table's batches."""

    def __init__(self, table: pa.Table) -> None:
        self.schema, self.rows = table.schema, 0
        self._batches = iter(table.to_batches())

    def read(self) -> pa.RecordBatch | None:
        batch = next(self._batches, None)
        self.rows += 0 if batch is None else batch.num_rows
        return batch

    def release(self, rows: int) -> None:
        pass

    def flush(self) -> None:
        pass
