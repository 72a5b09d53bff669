"""Batches cut by bytes. A message holds at most 2 GiB, and both sides hold it in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as kinds

from .problem import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 64 << 20
"""Bytes of a batch. A row that is larger goes by itself."""
MOST_OF_A_ROW = (2 << 30) - (1 << 20)
"""Bytes of a row: a message has room for its head too."""


def pieces(batch: pa.RecordBatch, first: int = 0) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in batches that can be sent; `first` rows of the output come before them."""
    # What all buffers hold is told at once, and is no less than what the rows take.
    if batch.get_total_buffer_size() <= MOST or size(batch) <= MOST or size(batch := _compact(batch)) <= MOST:
        yield batch
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from pieces(batch.slice(0, half), first)
        yield from pieces(batch.slice(half), first + half)
    elif size(batch) <= MOST_OF_A_ROW:
        yield batch
    else:
        raise Breach(
            f"row {first + 1} takes {size(batch) / 2**30:.1f} GiB, and a row has at most 2 GiB on its way; "
            "give it as several rows, or write it to a file and give the file's name"
        )


def size(batch: pa.RecordBatch) -> int:
    """Bytes of its rows. What a dictionary holds is sent once, whatever the rows are."""
    return sum(_rows(column).nbytes for column in batch.columns)


def _rows(column: pa.Array[Any]) -> pa.Array[Any]:
    return column.indices if isinstance(column, pa.DictionaryArray) else column


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows; a slice of views refers to all bytes of the whole, which would be sent with it."""
    columns = [_compacted(column) for column in batch.columns]
    if all(ours is theirs for ours, theirs in zip(columns, batch.columns, strict=True)):
        return batch
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _compacted(column: pa.Array[Any]) -> pa.Array[Any]:
    if kinds.is_string_view(column.type):
        return column.cast(pa.large_string()).cast(column.type)
    if kinds.is_binary_view(column.type):
        return column.cast(pa.large_binary()).cast(column.type)
    return column
