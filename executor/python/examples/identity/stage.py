"""A stage that gives its input as it is, all of whose columns travel both ways."""

import pyarrow as pa

import flowc


@flowc.stage(output=lambda schema: schema)
def identity(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Gives its input."""
    return rows
