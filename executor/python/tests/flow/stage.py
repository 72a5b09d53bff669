"""Stages that are slow, and stages that give much."""

import resource
import time
from collections.abc import Iterator

import flowc
import pyarrow as pa

MEGABYTE = 1 << 17


class Numbers(flowc.Columns):
    number: int


@flowc.stage(reads=["id"])
def slow(rows: pa.RecordBatch) -> flowc.Batch[Numbers]:
    """Takes a second for each batch."""
    time.sleep(1)
    return pa.record_batch([rows["id"]], names=["number"])


@flowc.stage(reads=["id"])
def flood(batches: Iterator[pa.RecordBatch]) -> Iterator[flowc.Batch[Numbers]]:
    """Gives a gigabyte, then how much memory that took, in KiB."""
    list(batches)
    ones = pa.record_batch([pa.repeat(1, MEGABYTE).cast(pa.int64())], names=["number"])
    for _ in range(1000):
        yield ones
    yield pa.record_batch([pa.array([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])], names=["number"])
