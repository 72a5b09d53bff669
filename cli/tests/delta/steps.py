"""Steps of tests, each a function with its arguments: what delta-rs does to a table, or finds in it."""

import json
import os
import pathlib
import shutil
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, TableFeatures, write_deltalake

from tables import add, field, log, mapped, metadata, numbers, protocol


def append(table, start, end):
    """Adds rows."""
    write_deltalake(table, numbers(int(start), int(end)), mode="append")


def remake(table, start, end):
    """Makes a table anew, whose log names its one file as those did that were made so before."""
    folder = pathlib.Path(table)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # Such files are of one size.
    pq.write_table(numbers(int(start), int(end)), folder / "part-0.parquet", compression="none", use_dictionary=False)
    added = add(folder, "part-0.parquet", modificationTime=0)
    log(folder, 0, [protocol(), metadata([field("id", "long"), field("name", "string")]), added])


def widen(table, start, end):
    """Adds rows with one more column."""
    rows = numbers(int(start), int(end), more=[1.5] * (int(end) - int(start)))
    write_deltalake(table, rows, mode="append", schema_mode="merge")


def rows(table, *expected):
    """Compares the numbers of a table's rows with those of a range: FROM TO."""
    start, end = map(int, expected)
    found = sorted(row["n"] for row in DeltaTable(table).to_pyarrow_table().to_pylist())
    assert found == list(range(start, end)), found


def append_numbers(table, start, end):
    """Adds rows of numbers alone."""
    write_deltalake(table, pa.table({"n": pa.array(range(int(start), int(end)), pa.int64())}), mode="append")


def feed(table):
    """Makes a table that tells its changes, by the version of the protocol that came with it."""
    rows = pa.table({"n": pa.array([0], pa.int64())})
    write_deltalake(table, rows, configuration={"delta.enableChangeDataFeed": "true"})
    assert DeltaTable(table).protocol().min_writer_version == 4


def name_features(table):
    """Raises a table to the protocol whose log names what writers must know."""
    DeltaTable(table).alter.add_feature(TableFeatures.ChangeDataFeed, allow_protocol_versions_increase=True)


def changes(table, *expected):
    """Compares the numbers that a table says were inserted with those of a range: FROM TO."""
    start, end = map(int, expected)
    told = pa.table(DeltaTable(table).load_cdf(starting_version=0).read_all())
    assert set(told["_change_type"].to_pylist()) == {"insert"}, told
    assert sorted(told["n"].to_pylist()) == list(range(start, end)), told


def compact(table):
    """Writes the files of a table anew, as one, and removes all that no version of now has."""
    DeltaTable(table).optimize.compact()
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    DeltaTable(table).create_checkpoint()


def map_columns(table):
    """Makes a table with column mapping."""
    mapped(pathlib.Path(table), "name")


def remap(table):
    """Has a column of a table with column mapping be another one of its files, under the same name."""
    folder = pathlib.Path(table)
    actions = [json.loads(line) for line in (folder / "_delta_log" / f"{0:020}.json").read_text().splitlines()]
    metadata = next(action for action in actions if "metaData" in action)
    schema = metadata["metaData"]["schemaString"].replace('"col-c"', '"col-b"')
    metadata["metaData"]["schemaString"] = schema.replace('"delta.columnMapping.id": 6', '"delta.columnMapping.id": 2')
    log(folder, 1, [metadata])


def broken(folder):
    """Makes tables that can't be read."""
    folder = pathlib.Path(folder)
    for i in range(3):
        write_deltalake(str(folder / "cleaned"), numbers(i, i + 1), mode="append")
        if i == 1:
            DeltaTable(str(folder / "cleaned")).create_checkpoint()
    (folder / "cleaned" / "_delta_log" / f"{0:020}.json").unlink()
    plain = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
    columns = metadata([field("id", "long"), field("p", "long")])
    told = lambda name, **more: {
        "add": {"path": name, "partitionValues": {}, "size": 9, "modificationTime": 1, "dataChange": True} | more
    }
    log(folder / "unknown", 0, [protocol("wonderTypes"), columns])
    log(folder / "missing", 0, [plain, columns, told("gone.parquet")])
    log(folder / "short", 0, [plain, columns, told("short.parquet")])
    (folder / "short" / "short.parquet").write_bytes(b"PAR1")
    log(folder / "damaged", 0, [plain])
    with open(folder / "damaged" / "_delta_log" / f"{0:020}.json", "a") as file:
        file.write('{"metaData": {\n')
    log(folder / "outside", 0, [plain, columns, told("../t/a.parquet")])
    partitioned = json.loads(json.dumps(columns))
    partitioned["metaData"]["partitionColumns"] = ["p"]
    write_deltalake(str(folder / "value"), pa.table({"id": pa.array([1], pa.int64())}))
    name = next(path.name for path in (folder / "value").glob("*.parquet"))
    action = add(folder / "value", name, partitionValues={"p": "x"})
    log(folder / "value", 0, [plain, partitioned, action])
    log(folder / "variant", 0, [plain, metadata([field("v", "variant")])])


command, *arguments = sys.argv[1:]
{
    "append": append,
    "append_numbers": append_numbers,
    "remake": remake,
    "widen": widen,
    "rows": rows,
    "feed": feed,
    "name_features": name_features,
    "changes": changes,
    "compact": compact,
    "map": map_columns,
    "remap": remap,
    "broken": broken,
}[command](*arguments)
# Threads of delta-rs may still be there, and end badly with the interpreter.
sys.stdout.flush()
os._exit(0)
