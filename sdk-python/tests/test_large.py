"""Rows of many bytes go through stages in pieces. Needs flowc, by FLOWC_BIN or on the PATH."""

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import flowc

PROJECT = Path(__file__).parents[2] / "cli/tests/python"
FLOW = """
source "s" { files "rows.parquet" }
stage "sizes" { in "s"; python "py" entry="stage:sizes"; memory "8GiB" }
stage "copies" { in "s"; python "py" entry="stage:copies"; memory "8GiB" }
stage "lengths" { in "copies"; python "py" entry="stage:lengths"; memory "8GiB"; isolate #true }
sink "sizes" { in "sizes"; file "sizes.arrow" }
sink "lengths" { in "lengths"; file "lengths.arrow" }
"""
STAGES = """
from collections.abc import Iterator
import pyarrow as pa
import pyarrow.compute as pc
import flowc

@flowc.stage(output={"rows": int, "bytes": int})
def sizes(rows: Iterator[pa.RecordBatch]):
    for batch in rows:
        yield {"rows": [batch.num_rows], "bytes": [batch.nbytes]}

@flowc.stage(output=lambda schema: schema, classes={"rows": "per-segment"})
def copies(rows: Iterator[pa.RecordBatch]):
    yield pa.Table.from_batches(list(rows)).combine_chunks()

@flowc.stage(adds={"length": int}, reads=["a"])
def lengths(rows: pa.RecordBatch):
    return pc.binary_length(rows["a"])
"""


def run(folder, table):
    parquet.write_table(table, folder / "rows.parquet", compression="zstd", row_group_size=table.num_rows)
    (folder / "flow.kdl").write_text(FLOW)
    shutil.copytree(PROJECT, folder / "py")
    (folder / "py/stage.py").write_text(STAGES)
    return flowc.run(folder, store=folder / "store", progress=False)


def repeated(rows, value, columns):
    return pa.table({name: pa.array([value] * rows, pa.large_binary()) for name in columns})


def check(ran, rows, value, columns):
    sizes = ran.outputs["sizes"].table()
    assert sum(sizes["rows"].to_pylist()) == rows
    assert max(sizes["bytes"].to_pylist()) <= 64 << 20
    assert sum(sizes["bytes"].to_pylist()) >= rows * len(value) * len(columns)
    lengths = [length for batch in ran.outputs["lengths"].batches() for length in batch.column("length").to_pylist()]
    assert lengths == [len(value)] * rows


def test_a_batch_comes_in_pieces(tmp_path):
    value = b"a" * 300_000
    check(run(tmp_path, repeated(400, value, "ab")), 400, value, "ab")


long = pytest.mark.skipif("FLOWC_LONG" not in os.environ, reason="takes 8 GiB of memory and minutes")


@long
def test_a_batch_of_more_than_two_gibibytes_comes_in_pieces(tmp_path):
    value = b"a" * 300_000
    check(run(tmp_path, repeated(3600, value, "ab")), 3600, value, "ab")


@long
def test_a_row_that_no_message_holds_is_told(tmp_path):
    # The first row would do; the second is to be named.
    values = pa.array([b"a", bytes(800 << 20)], pa.large_binary())
    with pytest.raises(flowc.RunError, match=r"rows 2 to 2: its input: it takes .*, and a message has at most 2GiB"):
        run(tmp_path, pa.table({"a": values, "b": values, "c": values}))
