"""Stages that the tests of the server serve."""

import asyncio
import logging
import resource
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import flowc


class Id(flowc.Columns):
    id: int | None


class Count(flowc.Columns):
    n: int


@dataclass
class Config:
    do: str = ""


@flowc.stage(reads=["text"], adds={"length": pa.int32()})
def lengths(rows: pa.RecordBatch):
    """Adds the length of texts."""
    return pc.utf8_length(rows["text"])


@flowc.stage(reads=[], adds={"one": int})
def ones(rows: pa.RecordBatch):
    return [1] * rows.num_rows


@flowc.stage(adds={"length": pa.int32()})
def acts(rows: pa.RecordBatch, config: Config):
    """Does what it is told."""
    if config.do == "print":
        print("one\ntwo", end="")
        print(" and more", file=sys.stderr)
        logging.getLogger("my").info("logged")
    if config.do == "flood":
        for number in range(3000):
            print(f"line {number}" if number else "x" * 10_000)
    if config.do == "problem":
        raise flowc.Problem("not this one", "/do", help="another one")
    if config.do == "error":
        raise_deep()
    if config.do == "exit":
        sys.exit(3)
    if config.do == "memory":
        raise MemoryError
    if config.do == "hoard":
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        hoard = []
        while True:
            hoard.append(bytearray(16 << 20))
    if config.do == "short":
        return [1]
    return pa.nulls(rows.num_rows, pa.int32()).fill_null(0)


def raise_deep():
    raise ValueError("too deep")


@flowc.stage(picks=True)
def known(rows: pa.RecordBatch, table: pa.Table):
    return pc.is_in(rows["id"], table["id"])


@flowc.stage(outputs={"even": flowc.Picks(), "odd": flowc.Picks(), "counts": Count})
def parted(rows: pa.RecordBatch):
    even = pc.equal(pc.bit_wise_and(rows["id"], 1), 0)
    return {"even": even, "odd": pc.invert(even), "counts": {"n": [rows.num_rows]}}


@flowc.stage(picks=True)
def late(rows: Iterator[pa.RecordBatch]):
    """Sees all rows before it picks among the first."""
    batches = list(rows)
    for batch in batches:
        yield [True] * batch.num_rows


@flowc.stage(classes={"first": "whole", "second": "whole"})
def in_wrong_order(first: Iterator[flowc.Batch[Id]], second: Iterator[flowc.Batch[Id]]) -> Iterator[flowc.Batch[Count]]:
    """Reads the second input before the first."""
    yield {"n": [sum(batch.num_rows for batch in second)]}
    yield {"n": [sum(batch.num_rows for batch in first)]}


@flowc.stage
class Total:
    """Sums up the ids."""

    def partial(self, rows: flowc.Table[Id]) -> flowc.Batch[Count]:
        return {"n": [pc.sum(rows["id"]).as_py() or 0]}

    def merge(self, partials: flowc.Table[Count]) -> flowc.Batch[Count]:
        return {"n": [pc.sum(partials["n"])]}

    def finish(self, partial: flowc.Batch[Count]) -> flowc.Batch[Count]:
        return partial


@flowc.stage
def first_only(rows: Iterator[pa.RecordBatch]) -> Iterator[flowc.Batch[Count]]:
    """Stops reading after the first batch."""
    yield {"n": [next(rows).num_rows]}


@flowc.stage(adds={"again": int}, concurrency=4)
async def slow(rows: pa.RecordBatch, config: Config):
    if config.do == "hang":
        await asyncio.sleep(3600)
    if config.do == "error" and rows["id"][0].as_py() > 0:
        raise ValueError("not this batch")
    if config.do == "exit":
        sys.exit(3)
    await asyncio.sleep(0.01)
    return rows["id"]


@flowc.stage(output=pa.schema([("bytes", pa.binary())]))
async def beating(config: Config):
    """Makes batches of a megabyte; meanwhile it writes dots into the file `do`, and `ended` at its end."""

    async def beat(place):
        try:
            while True:
                print(".", end="", file=place, flush=True)
                await asyncio.sleep(0.01)
        finally:
            print("ended", end="", file=place, flush=True)

    with Path(config.do).open("a") as place:
        beats = asyncio.create_task(beat(place))
        while not beats.done():
            yield {"bytes": [bytes(1 << 20)]}


@flowc.stage(output=pa.schema([("bytes", pa.binary())]))
def endless(config: Config):
    """Makes batches of a megabyte, and writes a dot for each into the file `do`, and `ended` at its end."""
    with Path(config.do).open("a") as place:
        try:
            while True:
                yield {"bytes": [bytes(1 << 20)]}
                print(".", end="", file=place, flush=True)
        finally:
            print("ended", end="", file=place, flush=True)


@flowc.stage(outputs={"out": Count, "bytes": pa.schema([("bytes", pa.binary())])})
def endless_beside(config: Config):
    """The same on its second output."""
    for value in endless(config):
        yield {"bytes": value}


@flowc.stage
def waiting() -> flowc.Batch[Count]:
    """How many threads wait in the SDK, but for this one."""
    time.sleep(0.5)
    here = threading.get_ident()
    stacks = [frame for thread, frame in sys._current_frames().items() if thread != here]
    return {"n": [sum(is_waiting(stack) for stack in stacks)]}


def is_waiting(frame) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.endswith(("streams.py", "exchange.py", "regions.py", "concurrent.py", "gather.py")):
            return True
        frame = frame.f_back
    return False


@flowc.stage(reads=["id"], adds={"double": int})
def doubled(rows: pa.RecordBatch):
    return pc.multiply(rows["id"], 2)


@flowc.stage(reads=["double"], adds={"triple": int}, drops=["double"])
def tripled(rows: pa.RecordBatch, config: Config):
    """Adds half as much again; says so, and goes wrong, as it is told."""
    if config.do == "print":
        print(f"{rows.num_rows} rows")
    if config.do == "error":
        raise_deep()
    return pc.divide(pc.multiply(rows["double"], 3), 2)


@flowc.stage(reads=["id"], picks=True)
def odd(rows: pa.RecordBatch):
    return pc.equal(pc.bit_wise_and(rows["id"], 1), 1)


@flowc.stage(reads=["id"], picks=True)
def rare(rows: pa.RecordBatch):
    """Picks one row in a million."""
    return pc.equal(rows["id"], pc.multiply(pc.divide(rows["id"], 1_000_000), 1_000_000))


@flowc.stage(reads=["id"], adds={"recut": int})
def recut(rows: Iterator[pa.RecordBatch]):
    """Gives values three rows at a time, after it has read some more."""
    waiting: list[int] = []
    for batch in rows:
        waiting += batch["id"].to_pylist()
        while len(waiting) > 5:
            yield waiting[:3]
            waiting = waiting[3:]
    yield waiting


@flowc.stage(reads=["id"], picks=True)
def recut_masks(rows: Iterator[pa.RecordBatch]):
    """Gives masks three rows at a time, after it has read some more."""
    for values in recut(rows):
        yield [value % 3 > 0 for value in values]


@flowc.stage(reads=["id"])
def repeated(rows: pa.RecordBatch) -> Iterator[flowc.Batch[Id]]:
    """Gives the ids, those above 5 twice."""
    ids = [id_ for id_ in rows["id"].to_pylist() for _ in range(1 + (id_ > 5))]
    yield {"id": ids[:1]}
    yield {"id": ids[1:]}


@flowc.stage(reads=["id"], adds={"later": int}, concurrency=2)
async def later(rows: pa.RecordBatch):
    await asyncio.sleep(0.001)
    return rows["id"]


@flowc.stage(reads=["id"], adds={"handled": int})
def handles(rows: Iterator[pa.RecordBatch]):
    """Goes on, whatever happens to its input."""
    try:
        for batch in rows:
            yield batch["id"]
    except Exception:
        yield []


@flowc.stage(reads=["id"], adds={"call": int}, batch=flowc.Batching(rows=3, seconds=3600))
def gathered(rows: pa.RecordBatch, config: Config):
    """Tells how many rows each call gets; goes wrong at the call with id 5, as it is told."""
    if config.do and 5 in rows["id"].to_pylist():
        if config.do == "problem":
            raise flowc.Problem("not this one")
        return [] if config.do == "short" else raise_deep()
    return [rows.num_rows] * rows.num_rows


@flowc.stage(reads=["id"], adds={"call": int}, concurrency=2, batch=flowc.Batching(rows=3, seconds=3600))
async def gathered_async(rows: pa.RecordBatch, config: Config):
    await asyncio.sleep(0)
    return gathered(rows, config)


@flowc.stage(reads=["id"], adds={"soon": int}, batch=flowc.Batching(rows=1000, seconds=0.01))
def soon(rows: pa.RecordBatch):
    return rows["id"]


@flowc.stage(reads=["id"], picks=True, batch=flowc.Batching(rows=3, seconds=0))
def gathered_masks(rows: pa.RecordBatch):
    return [id_ % 3 > 0 for id_ in rows["id"].to_pylist()]


@flowc.stage(output=lambda schema: schema)
def echo(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Gives its input."""
    return rows


@flowc.stage(output=lambda schema: schema)
def at_last(rows: Iterator[pa.RecordBatch]):
    """Gives its input when it has seen all of it."""
    yield from list(rows)


@flowc.stage(adds={"shared": bool})
def shared(rows: pa.RecordBatch):
    """Whether the rows lie in memory that is shared with flowc, and can't be written."""
    _, data = rows.column(0).buffers()
    return [any(start <= data.address < end for start, end in shared_places())] * rows.num_rows


def shared_places() -> Iterator[tuple[int, int]]:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "memfd:" in line and "r--s" in line:
            start, _, end = line.split()[0].partition("-")
            yield int(start, 16), int(end, 16)


KEPT = []


@flowc.stage(reads=["id"], adds={"n": int})
def keeps(rows: pa.RecordBatch):
    """Keeps its rows for good, and tells the sum of all that it has."""
    KEPT.append(rows)
    return [sum(pc.sum(kept["id"]).as_py() for kept in KEPT)] * rows.num_rows


def one_by_one(rows: pa.RecordBatch, config: Config):
    """A value for each row; from the row whose number `do` says, it is wrong in the way that `do` says."""
    way, number = config.do.split()
    numbers = rows["id"].to_pylist()
    if way == "raises" and int(number) in numbers:
        raise ValueError(f"no {number}")
    if way == "lacks" and int(number) in numbers:
        return []
    return [str(one) if one >= int(number) and way == "mistakes" else one for one in numbers]


@flowc.stage(adds={"again": int})
def by_batch(rows: pa.RecordBatch, config: Config):
    return one_by_one(rows, config)


@flowc.stage(adds={"again": int})
def by_batch_in_parts(rows: pa.RecordBatch, config: Config):
    half = rows.num_rows // 2
    yield one_by_one(rows.slice(0, half), config)
    yield one_by_one(rows.slice(half), config)


@flowc.stage(adds={"again": int})
def by_iterator(rows: Iterator[pa.RecordBatch], config: Config):
    for batch in rows:
        yield one_by_one(batch, config)


@flowc.stage(adds={"again": int}, concurrency=3)
async def by_call(rows: pa.RecordBatch, config: Config):
    await asyncio.sleep(0)
    return one_by_one(rows, config)


@flowc.stage(adds={"again": int})
class ByObject:
    def __call__(self, rows: pa.RecordBatch, config: Config):
        return one_by_one(rows, config)


@flowc.stage(output=Count)
def by_batch_anew(rows: pa.RecordBatch, config: Config):
    return one_by_one(rows, config)
