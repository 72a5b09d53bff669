"""What the engine does around a stage: it cuts inputs, picks rows, and attaches the columns that are passed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from ..description import OutputDescription


def table_of(rows: pa.Table | pa.RecordBatch | Sequence[pa.RecordBatch]) -> pa.Table:
    """These rows as a table that keeps the batches."""
    if isinstance(rows, pa.Table):
        return rows
    return pa.Table.from_batches([rows] if isinstance(rows, pa.RecordBatch) else rows)


def recut(table: pa.Table, rows: int) -> pa.Table:
    """The same rows in batches of this many."""
    return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=rows), table.schema)


class Assembly:
    """Makes the table of an output."""

    def __init__(self, described: OutputDescription, inputs: list[pa.Table]) -> None:
        self.described, self.inputs = described, inputs

    def table(self, sent: list[pa.RecordBatch]) -> pa.Table:
        """Of what the stage sent for it."""
        written = pa.Table.from_batches(sent, self.described.sent().written)
        if self.described.rows.relation == "new":
            return written
        rows = self.inputs[self.described.rows.input]
        if self.described.rows.relation == "subset":
            rows, written = rows.take(written["row"]), written.drop_columns(["row"])
        columns = iter(written.columns)
        whole = [next(columns) if passed is None else rows.column(passed) for passed in self.described.passed]
        return pa.Table.from_arrays(whole, schema=self.described.schema)
