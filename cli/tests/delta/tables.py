"""Delta tables of delta-rs, and by hand what it does not write; compares what flowc reads of them with what they hold.

`make FOLDER` makes the tables, `check FOLDER OUT` compares what was read of them, `written FOLDER ROOT...` what was written.
"""

import datetime as dt
import decimal
import json
import os
import pathlib
import struct
import sys
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Field, Schema, write_deltalake
from deltalake.schema import PrimitiveType

UTC = dt.timezone.utc
START = dt.datetime(2024, 1, 31, 12, 30, 15, 123456)

# Tables as flowc is to read them: a name, and the version; none for the newest.
CASES = {
    "types": None,
    "partitions": None,
    "changed": None,
    "changed-0": 0,
    "changed-1": 1,
    "evolved": None,
    "checkpoint": None,
    "cleaned": None,
    "compacted": None,
    "empty": None,
    "emptied": None,
    "replaced": None,
    "replaced-0": 0,
    "deletions": None,
    "sidecars": None,
    "mapped-name": None,
    "mapped-id": None,
}


# Tables whose rows flowc writes into others.
WRITTEN = ["types", "partitions", "evolved", "empty"]


def table_of(case):
    """The folder of a case."""
    return case.rsplit("-", 1)[0] if case.rsplit("-", 1)[-1].isdigit() else case


def types():
    """Rows with every type that a table may have, and nulls of each."""
    n = 50
    null = lambda values: [None if i % 7 == 3 else value for i, value in enumerate(values)]
    point = pa.struct([("x", pa.int32()), ("names", pa.list_(pa.string()))])
    columns = {
        "id": pa.array(range(n), pa.int64()),
        "text": pa.array(null([f"tëxt {i}" for i in range(n)]), pa.string()),
        "int": pa.array(null([i - 25 for i in range(n)]), pa.int32()),
        "short": pa.array(null([i * 300 for i in range(n)]), pa.int16()),
        "byte": pa.array(null([i - 25 for i in range(n)]), pa.int8()),
        "float": pa.array(null([i / 3 for i in range(n)]), pa.float32()),
        "double": pa.array(null([i / 3 for i in range(n)]), pa.float64()),
        "flag": pa.array(null([i % 2 == 0 for i in range(n)]), pa.bool_()),
        "bytes": pa.array(null([bytes([i, 0, 255]) for i in range(n)]), pa.binary()),
        "day": pa.array(null([START.date() + dt.timedelta(i) for i in range(n)]), pa.date32()),
        "at": pa.array(null([START + dt.timedelta(i, i) for i in range(n)]), pa.timestamp("us", "UTC")),
        "local": pa.array(null([START + dt.timedelta(i, i) for i in range(n)]), pa.timestamp("us")),
        "amount": pa.array(null([decimal.Decimal(i * 1234567) / 1000 for i in range(n)]), pa.decimal128(20, 3)),
        "list": pa.array(null([[j if j != 2 else None for j in range(i % 5)] for i in range(n)]), pa.list_(pa.int64())),
        "map": pa.array(
            null([[(f"k{j}", j if j else None) for j in range(i % 3)] for i in range(n)]),
            pa.map_(pa.string(), pa.int32()),
        ),
        "point": pa.array(null([{"x": i, "names": [f"a{i}", None]} for i in range(n)]), point),
        "points": pa.array(null([[{"x": i, "names": []}, None] for i in range(n)]), pa.list_(point)),
    }
    return pa.table(columns)


def partitions():
    """Rows in partitions of several types, with nulls and odd characters."""
    cities = ["Rome", "New York/NY", None, "a=b%20c d", "Zürich", "q'uo\"te"]
    n = 36
    return pa.table(
        {
            "id": pa.array(range(n), pa.int64()),
            "city": pa.array([cities[i % 6] for i in range(n)], pa.string()),
            "year": pa.array([None if i % 12 == 5 else 2020 + i % 2 for i in range(n)], pa.int32()),
            "day": pa.array([dt.date(2024, 2, 28 + i % 2) for i in range(n)], pa.date32()),
            "flag": pa.array([i % 3 == 0 for i in range(n)], pa.bool_()),
            "at": pa.array([START + dt.timedelta(days=i % 2) for i in range(n)], pa.timestamp("us", "UTC")),
            "amount": pa.array([decimal.Decimal(i % 2) / 4 for i in range(n)], pa.decimal128(9, 2)),
        }
    )


def numbers(start, end, **more):
    """Rows with numbers."""
    columns = {"id": pa.array(range(start, end), pa.int64()), "name": [f"n{i}" for i in range(start, end)]}
    return pa.table(columns | more)


def log(folder, version, actions):
    """Writes a commit by hand."""
    path = folder / "_delta_log" / f"{version:020}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


def add(folder, name, **more):
    """The action that adds a data file which is there."""
    size = os.path.getsize(folder / name)
    action = {"path": name, "partitionValues": {}, "size": size, "modificationTime": 1700000000000, "dataChange": True}
    return {"add": action | more}


def metadata(fields, **configuration):
    """The action that says what the columns are."""
    schema = json.dumps({"type": "struct", "fields": fields})
    return {
        "metaData": {
            "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": [],
            "configuration": configuration,
            "createdTime": 1700000000000,
        }
    }


def protocol(*features):
    """The action that says what readers and writers must know."""
    named = {"readerFeatures": list(features), "writerFeatures": list(features)}
    return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7} | named}


def field(name, data_type, **more):
    """A column in a schema of a log."""
    return {"name": name, "type": data_type, "nullable": True, "metadata": more}


def bitmap(rows):
    """The rows of a deletion vector, as Roaring bitmaps of 64 bits: one bucket, one container of an array."""
    container = struct.pack(f"<{len(rows)}H", *rows)
    header = struct.pack("<II", 12346, 1) + struct.pack("<HH", 0, len(rows) - 1) + struct.pack("<I", 16)
    return struct.pack("<I", 1681511377) + struct.pack("<Q", 1) + struct.pack("<I", 0) + header + container


Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(data):
    """Bytes in base 85."""
    text = ""
    for (value,) in struct.iter_unpack(">I", data):
        text += "".join(Z85[value // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


def deletions(folder):
    """A table whose files have deletion vectors: one in the log, one in a file, and a file without."""
    folder.mkdir(parents=True)
    for name, start in (("a.parquet", 0), ("b.parquet", 100), ("c.parquet", 200)):
        pq.write_table(numbers(start, start + 100), folder / name, row_group_size=40)
    inline = bitmap([0, 39, 40, 99])
    inline += bytes(-len(inline) % 4)
    stored = bitmap([5, 6])
    uuid = bytes(range(16))
    name = "-".join(uuid.hex()[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
    checked = struct.pack(">I", len(stored)) + stored + struct.pack(">I", zlib.crc32(stored))
    (folder / f"deletion_vector_{name}.bin").write_bytes(b"\1" + checked)
    a = {"storageType": "i", "pathOrInlineDv": z85(inline), "sizeInBytes": len(inline), "cardinality": 4}
    b = {"storageType": "u", "pathOrInlineDv": z85(uuid), "offset": 1, "sizeInBytes": len(stored), "cardinality": 2}
    fields = [field("id", "long"), field("name", "string")]
    configured = {"delta.enableDeletionVectors": "true"}
    actions = [protocol("deletionVectors"), metadata(fields, **configured)]
    actions += [add(folder, f"{name}.parquet") for name in "abc"]
    log(folder, 0, actions)
    gone = lambda name: {"remove": {"path": name, "deletionTimestamp": 1700000000000, "dataChange": True}}
    changed = [add(folder, "a.parquet", deletionVector=a), add(folder, "b.parquet", deletionVector=b)]
    log(folder, 1, [gone("a.parquet"), gone("b.parquet"), *changed])


def mapped(folder, mode):
    """A table with column mapping: columns that were renamed, dropped, and added with the name of a dropped one."""
    folder.mkdir(parents=True)
    number = lambda name, data_type, id: pa.field(name, data_type, metadata={"PARQUET:field_id": str(id)})
    # By numbers, the names in files may be any.
    names = ["col-a", "col-b", "col-s", "col-x"] if mode == "name" else ["one", "two", "three", "four"]
    inner = pa.struct([number(names[3], pa.int32(), 4), number("dropped", pa.string(), 5)])
    schema = pa.schema([number(names[0], pa.int64(), 1), number(names[1], pa.string(), 2), number(names[2], inner, 3)])
    rows = {
        names[0]: [1, 2, 3],
        names[1]: ["old", "older", None],
        names[2]: [{names[3]: 7, "dropped": "x"}, None, {names[3]: None, "dropped": "y"}],
    }
    pq.write_table(pa.table(rows, schema), folder / "a.parquet")
    told = lambda id, name: {"delta.columnMapping.id": id, "delta.columnMapping.physicalName": name}
    point = {
        "type": "struct",
        "fields": [field("y", "integer", **told(4, "col-x")), field("dropped", "long", **told(7, "col-d"))],
    }
    fields = [
        field("number", "long", **told(1, "col-a")),
        field("point", point, **told(3, "col-s")),
        # Dropped, and added again.
        field("text", "string", **told(6, "col-c")),
    ]
    configured = {"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "7"}
    log(folder, 0, [protocol("columnMapping"), metadata(fields, **configured), add(folder, "a.parquet")])


def sidecars(folder):
    """A table with a checkpoint of version 2, whose adds are in a file of their own; commits before it are gone."""
    folder.mkdir(parents=True)
    for name, start in (("a.parquet", 0), ("b.parquet", 100), ("c.parquet", 200)):
        pq.write_table(numbers(start, start + 100), folder / name)
    told = [add(folder, f"{name}.parquet")["add"] for name in "ab"]
    shape = pa.struct(
        [
            ("path", pa.string()),
            ("partitionValues", pa.map_(pa.string(), pa.string())),
            ("size", pa.int64()),
            ("modificationTime", pa.int64()),
            ("dataChange", pa.bool_()),
        ]
    )
    adds = pa.array([action | {"partitionValues": []} for action in told], shape)
    beside = folder / "_delta_log" / "_sidecars" / "3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet"
    beside.parent.mkdir(parents=True)
    pq.write_table(pa.table({"add": adds}), beside)
    named = {"path": beside.name, "sizeInBytes": os.path.getsize(beside), "modificationTime": 1700000000000}
    fields = [field("id", "long"), field("name", "string")]
    rest = [protocol("v2Checkpoint"), metadata(fields, **{"delta.checkpointPolicy": "v2"})]
    log(folder, 1, [*rest, *({"add": action} for action in told)])
    log(folder, 2, [add(folder, "c.parquet")])
    checkpoint = [{"checkpointMetadata": {"version": 1}}, *rest, {"sidecar": named}]
    path = folder / "_delta_log" / f"{1:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json"
    path.write_text("".join(json.dumps(action) + "\n" for action in checkpoint))


def mapped_rows():
    """What tables with column mapping hold."""
    return [
        {"number": 1, "point": {"y": 7, "dropped": None}, "text": None},
        {"number": 2, "point": None, "text": None},
        {"number": 3, "point": {"y": None, "dropped": None}, "text": None},
    ]


def make(folder):
    """Makes all tables in a folder."""
    at = lambda name: str(folder / name)
    rows = types()
    write_deltalake(at("types"), rows.slice(0, 20))
    write_deltalake(at("types"), rows.slice(20), mode="append")
    write_deltalake(at("partitions"), partitions(), partition_by=["city", "year", "day", "flag", "at", "amount"])
    write_deltalake(at("changed"), numbers(0, 100))
    table = DeltaTable(at("changed"))
    table.delete("id < 10")
    table.update(updates={"name": "'new'"}, predicate="id = 50")
    other = numbers(95, 105, more=[f"m{i}" for i in range(10)]).drop(["more"])
    merge = table.merge(other, "s.id = t.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    point = lambda i, **more: {"x": i} | more
    write_deltalake(at("evolved"), numbers(0, 5, point=[point(i) for i in range(5)]))
    wider = numbers(5, 10, point=[point(i, y=f"y{i}") for i in range(5)], more=[float(i) for i in range(5)])
    write_deltalake(at("evolved"), wider, mode="append", schema_mode="merge")
    for name in ("checkpoint", "cleaned"):
        for i in range(12):
            write_deltalake(
                at(name), numbers(i * 10, i * 10 + 10, part=[i % 3] * 10), mode="append", partition_by="part"
            )
        DeltaTable(at(name)).delete("id = 15")
        DeltaTable(at(name)).create_checkpoint()
        write_deltalake(at(name), numbers(200, 210, part=[1] * 10), mode="append")
    for version in range(12):
        (folder / "cleaned" / "_delta_log" / f"{version:020}.json").unlink()
    for i in range(4):
        write_deltalake(at("compacted"), numbers(i * 10, i * 10 + 10), mode="append")
    DeltaTable(at("compacted")).optimize.compact()
    DeltaTable.create(at("empty"), Schema([Field("id", PrimitiveType("long")), Field("name", PrimitiveType("string"))]))
    write_deltalake(at("emptied"), numbers(0, 3))
    DeltaTable(at("emptied")).delete()
    write_deltalake(at("replaced"), numbers(0, 3))
    write_deltalake(at("replaced"), numbers(7, 9), mode="overwrite")
    deletions(folder / "deletions")
    sidecars(folder / "sidecars")
    mapped(folder / "mapped-name", "name")
    mapped(folder / "mapped-id", "id")


def expected(folder, case, version):
    """What a case holds, by its first column."""
    if case.startswith("mapped-"):
        return mapped_rows()
    if case == "deletions":
        gone = {0, 39, 40, 99, 105, 106}
        return [{"id": i, "name": f"n{i}"} for i in range(300) if i not in gone]
    if case == "sidecars":
        return [{"id": i, "name": f"n{i}"} for i in range(300)]
    table = DeltaTable(folder / table_of(case), version=version)
    return ordered(table.to_pyarrow_table())


def ordered(table):
    """The rows of a table, by their first column."""
    rows = table.to_pylist()
    return sorted(rows, key=lambda row: next(iter(row.values())))


def check(folder, out):
    """Compares what flowc wrote with what the tables hold."""
    for case, version in CASES.items():
        found, wanted = ordered(pq.read_table(out / f"{case}.parquet")), expected(folder, case, version)
        assert found == wanted, (case, found[:3], wanted[:3], len(found), len(wanted))
    print(f"{len(CASES)} versions are equal")


def written(folder, *roots):
    """Compares tables that flowc wrote with those whose rows they have."""
    for root in roots:
        for case in WRITTEN:
            path = root if str(root).startswith("s3:") else str(root)
            found, wanted = (DeltaTable(f"{at}/{case}") for at in (path, folder))
            assert ordered(found.to_pyarrow_table()) == ordered(wanted.to_pyarrow_table()), (root, case)
            assert found.schema() == wanted.schema(), (found.schema(), wanted.schema())
            assert found.metadata().partition_columns == wanted.metadata().partition_columns, (root, case)
    print("equal")


def main():
    """Does what the command says."""
    command, *paths = sys.argv[1:]
    paths = [path if path.startswith("s3:") else pathlib.Path(path) for path in paths]
    {"make": make, "check": check, "written": written}[command](*paths)
    # Threads of delta-rs may still be there, and end badly with the interpreter.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
