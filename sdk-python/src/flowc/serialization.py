"""What batches are made of on the wire (`docs/flight-protocol.md`): Arrow as it is, Parquet files, or lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

ARROW = "arrow"
OFFERED = (ARROW, "parquet", "json")
PACKED = pa.schema([pa.field("batch", pa.large_binary(), nullable=False)])
"""The one column of a stream of packed batches."""


class Codec:
    """Packs the batches of one stream, or unpacks them."""

    def __init__(self, serialization: str, schema: pa.Schema) -> None:
        self._format = FORMATS[serialization] if serialization != ARROW and schema.names else None
        self._due, self._rows = schema, 0
        self.schema = schema if self._format is None else PACKED
        """The columns of what travels."""

    def pack(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch as it travels."""
        if self._format is None:
            return batch
        packed = self._format[0](batch, self._rows)
        self._rows += batch.num_rows
        return pa.RecordBatch.from_arrays([pa.array([packed], pa.large_binary())], schema=PACKED)

    def unpack(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The reverse."""
        return batch if self._format is None else self._format[1](batch.column(0)[0].as_buffer(), self._due)


def _to_parquet(batch: pa.RecordBatch, _rows: int) -> bytes:
    # Few stages need it, and it takes its time.
    from pyarrow import parquet

    sink, table = pa.BufferOutputStream(), pa.Table.from_batches([batch])
    parquet.write_table(
        table, sink, compression="none", use_dictionary=False, write_statistics=False, use_compliant_nested_type=False
    )
    return sink.getvalue().to_pybytes()


def _from_parquet(packed: pa.Buffer, due: pa.Schema) -> pa.RecordBatch:
    from pyarrow import parquet

    table = parquet.ParquetFile(pa.BufferReader(packed)).read()
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=due)


def _to_json(batch: pa.RecordBatch, rows: int) -> bytes:
    lines = []
    for number, row in enumerate(batch.to_pylist(), rows + 1):
        try:
            lines.append(_dumps(row))
        except ValueError:
            raise Problem(_odd(row, number)) from None
    return "".join(f"{line}\n" for line in lines).encode()


def _from_json(packed: pa.Buffer, due: pa.Schema) -> pa.RecordBatch:
    lines = packed.to_pybytes().splitlines()
    return pa.RecordBatch.from_pylist(json.loads(b"[%s]" % b",".join(lines)), schema=due)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _odd(row: dict[str, Any], number: int) -> str:
    """What is wrong with a row that JSON can't say."""
    for name, value in row.items():
        try:
            _dumps(value)
        except ValueError:
            advice = "name another `serialization`, or leave it out"
            return f"a batch of its output: column `{name}`, row {number}: {value} is no number that JSON has; {advice}"
    return f"a batch of its output: row {number} can't be said in JSON"


Pack = tuple["Callable[[pa.RecordBatch, int], bytes]", "Callable[[pa.Buffer, pa.Schema], pa.RecordBatch]"]
FORMATS: dict[str, Pack] = {"parquet": (_to_parquet, _from_parquet), "json": (_to_json, _from_json)}
