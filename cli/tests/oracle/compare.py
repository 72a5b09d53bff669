"""Holds what flowc wrote against what pyarrow reads of the same file."""

import pathlib
import sys

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq


def arrow(path):
    """All rows of an Arrow file or stream."""
    try:
        return pa.ipc.open_file(path).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_stream(path).read_all()


def plain(column):
    """A column as values that can be compared: times as numbers, what is not a number as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain(column.cast(kind.value_type))
    if pa.types.is_floating(kind):
        return [None if value is None else repr(value) for value in column.to_pylist()]
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        steps = 1000 ** (3 - ["s", "ms", "us", "ns"].index(kind.unit))
        numbers = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist()
        return [None if number is None else number * steps for number in numbers]
    return [repr(value) for value in column.to_pylist()]


def main():
    """Compares each file of one folder with that of the same name in another."""
    given, found = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    files = sorted(given.iterdir())
    for path in files:
        due = pq.read_table(path) if path.suffix == ".parquet" else arrow(path)
        read = arrow(found / f"{path.stem}.arrow")
        assert read.column_names == due.column_names, path
        for name in due.column_names:
            assert plain(read.column(name)) == plain(due.column(name)), f"{path}: {name}"
    print(len(files), "files are equal")


main()
