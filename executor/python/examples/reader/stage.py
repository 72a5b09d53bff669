"""A stage that reads all it is given."""

from collections.abc import Iterator

import pyarrow as pa
from read import read

import flowc


class Total(flowc.Columns):
    total: str


@flowc.stage
def reader(rows: Iterator[pa.RecordBatch]) -> Iterator[flowc.Batch[Total]]:
    """One row for all that came."""
    yield pa.record_batch({"total": [str(sum(map(read, rows)))]}, schema=Total.schema)
