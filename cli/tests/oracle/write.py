"""Writes random tables as Parquet and Arrow files of all forms, and the pipeline that reads them."""

import itertools
import pathlib
import random
import sys

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import tables

VERSIONS = ["1.0", "2.4", "2.6"]
PAGES = ["1.0", "2.0"]
CODECS = ["none", "snappy", "gzip", "zstd", "lz4"]


def stored_in(version, table):
    """The columns that a version of the format has room for: nanoseconds came with 2.6."""
    if version == "2.6":
        return table
    return table.select([name for name in table.column_names if "timestamp[ns" not in name and "time64[ns" not in name])


def parquet(folder, seeds):
    """A file for each version, form of pages and codec, and one that leaves Arrow no note of its types."""
    for number, (version, pages, codec) in enumerate(itertools.product(VERSIONS, PAGES, CODECS)):
        rng = random.Random(seeds + number)
        table = stored_in(version, tables.table(seeds + number, rng.choice([0, 1, 500])))
        pq.write_table(
            table,
            folder / f"p{number}.parquet",
            version=version,
            data_page_version=pages,
            compression=codec,
            use_dictionary=rng.random() < 0.5,
            row_group_size=rng.choice([100, 1000]),
            data_page_size=rng.choice([100, 1 << 20]),
            write_page_checksum=rng.random() < 0.5,
            store_schema=rng.random() < 0.7,
            use_compliant_nested_type=rng.random() < 0.5,
            write_page_index=rng.random() < 0.5,
        )
    times = tables.table(seeds, 300)
    times = times.select([name for name in times.column_names if "timestamp" in name and "list" not in name])
    pq.write_table(times, folder / "int96.parquet", use_deprecated_int96_timestamps=True)


def arrow(folder, seeds):
    """Files and streams of batches of several sizes, compressed or not."""
    for number, (codec, form) in enumerate(itertools.product([None, "lz4", "zstd"], ["file", "stream"])):
        table = tables.table(seeds + 100 + number, 300)
        options = pa.ipc.IpcWriteOptions(compression=codec)
        new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
        with new(folder / f"a{number}.arrow", table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=70)


def main():
    """Writes all files to a folder, and beside it `flow.kdl`."""
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir()
    seeds = int(sys.argv[2])
    parquet(folder, seeds)
    arrow(folder, seeds)
    nodes = [
        f'source "{path.stem}" {{ files "data/{path.name}" }}\n'
        f'sink "{path.stem}" {{ in "{path.stem}"; file "out/{path.stem}.arrow" }}\n'
        for path in sorted(folder.iterdir())
    ]
    pathlib.Path("flow.kdl").write_text("".join(nodes))


main()
