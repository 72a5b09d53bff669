"""Holds what flowc reads and writes of Apache Avro against fastavro.

`avro.py make` writes container files and a table of Parquet; `avro.py check` looks at what a pipeline made of them. `avro.py records` writes the
same rows as records of a topic, framed for a registry, and `avro.py read-records` reads those that flowc appended.
"""

import datetime
import io
import json
import math
import pathlib
import random
import struct
import sys
import uuid
from decimal import Decimal

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 300
EPOCH = datetime.datetime(1970, 1, 1)
TEXTS = ["", "a", "\u00e9", "\U0001f600", "\0", "x" * 500, '"', "\n"]
chance = random.Random(11)


def moment(resolution):
    """A time of day without a zone, a whole number of that many microseconds."""
    micros = chance.randrange(-(2**50), 2**51) // resolution * resolution
    return EPOCH + datetime.timedelta(microseconds=micros)


def zoned(resolution):
    return moment(resolution).replace(tzinfo=datetime.timezone.utc)


def clock(resolution):
    micros = chance.randrange(86400 * 10**6) // resolution * resolution
    return (EPOCH + datetime.timedelta(microseconds=micros)).time()


def real():
    return chance.choice([0.0, -0.0, 1.5, 5e-324, 1.7e308, math.inf, -math.inf, math.nan, chance.uniform(-1e9, 1e9)])


def single():
    return struct.unpack("<f", struct.pack("<f", chance.uniform(-1e9, 1e9)))[0]


def logical(own, name, **more):
    return {"type": own, "logicalType": name, **more}


# Each kind: its name, its type in Avro, how a value of it is made.
KINDS = [
    ("truth", "boolean", lambda: chance.random() < 0.5),
    ("whole", "int", lambda: chance.choice([0, -1, 2**31 - 1, -(2**31), chance.randrange(-1000, 1000)])),
    ("large", "long", lambda: chance.choice([0, -1, 2**63 - 1, -(2**63), chance.randrange(-(10**12), 10**12)])),
    ("single", "float", single),
    ("real", "double", real),
    ("text", "string", lambda: chance.choice(TEXTS)),
    ("raw", "bytes", lambda: chance.randbytes(chance.randrange(5))),
    ("fixed", {"type": "fixed", "name": "Four", "size": 4}, lambda: chance.randbytes(4)),
    ("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}, lambda: chance.choice("ABC")),
    ("id", logical("string", "uuid"), lambda: uuid.UUID(int=chance.getrandbits(128))),
    ("money", logical("bytes", "decimal", precision=12, scale=3), lambda: Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-3)),
    (
        "sum",
        {"type": "fixed", "name": "Sum", "size": 17, "logicalType": "decimal", "precision": 38, "scale": 0},
        lambda: Decimal(chance.randrange(-(10**27), 10**27)),
    ),
    ("day", logical("int", "date"), lambda: moment(1).date()),
    ("millis", logical("int", "time-millis"), lambda: clock(1000)),
    ("micros", logical("long", "time-micros"), lambda: clock(1)),
    ("at", logical("long", "timestamp-millis"), lambda: zoned(1000)),
    ("exact", logical("long", "timestamp-micros"), lambda: zoned(1)),
    ("local", logical("long", "local-timestamp-millis"), lambda: moment(1000)),
    ("exactly", logical("long", "local-timestamp-micros"), lambda: moment(1)),
    ("list", {"type": "array", "items": ["null", "int"]}, lambda: [chance.choice([None, 7]) for _ in range(chance.randrange(4))]),
    ("map", {"type": "map", "values": "string"}, lambda: {str(key): chance.choice(TEXTS) for key in range(chance.randrange(3))}),
    (
        "nested",
        {"type": "record", "name": "Nested", "fields": [{"name": "n", "type": ["null", "long"]}, {"name": "t", "type": "string"}]},
        lambda: {"n": chance.choice([None, 1]), "t": chance.choice(TEXTS)},
    ),
]


def schema():
    """All kinds with values alone, and those that need no name a second time with nulls."""
    fields = [{"name": name, "type": own} for name, own, _ in KINDS]
    fields += [{"name": f"{name}_or_null", "type": ["null", own], "default": None} for name, own, _ in may_lack()]
    return fastavro.parse_schema({"type": "record", "name": "Row", "fields": fields})


def may_lack():
    return [kind for kind in KINDS if not (isinstance(kind[1], dict) and "name" in kind[1])]


def row():
    values = {name: make() for name, _, make in KINDS}
    return values | {f"{name}_or_null": chance.choice([None, make()]) for name, _, make in may_lack()}


def plain(value):
    """A value that is equal to another one whoever has it: maps as they are, identifiers as text, numbers that are none as text."""
    match value:
        # A map without entries is read as a list.
        case list() | dict() if not value:
            return []
        case uuid.UUID():
            return str(value)
        case float():
            return repr(value)
        case list() if value and all(isinstance(item, tuple) for item in value):
            return {key: plain(item) for key, item in value}
        case list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case _:
            return value


def same(found, due, what):
    found, due = list(found), list(due)
    assert len(found) == len(due), f"{what}: {len(found)} rows, and {len(due)} are due"
    for number, (one, other) in enumerate(zip(found, due)):
        assert one.keys() == other.keys(), f"{what}: {one.keys()}"
        for name in other:
            pair = plain(one[name]), plain(other[name])
            assert pair[0] == pair[1], f"{what}: row {number}, {name}: {pair}"


def written():
    """What flowc is to write: types of Arrow, and those that Avro has for them."""
    zone = "UTC"
    def values(make):
        return [chance.choice([None, make()]) for _ in range(ROWS)]
    def whole(bits, signed):
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
        return values(lambda: chance.choice([low, high - 1, chance.randrange(low, high)]))
    columns = {
        "truth": pa.array(values(lambda: chance.random() < 0.5), pa.bool_()),
        **{f"i{bits}": pa.array(whole(bits, True), getattr(pa, f"int{bits}")()) for bits in (8, 16, 32, 64)},
        **{f"u{bits}": pa.array(whole(bits, False), getattr(pa, f"uint{bits}")()) for bits in (8, 16, 32)},
        "single": pa.array(values(single), pa.float32()),
        "real": pa.array(values(real), pa.float64()),
        "text": pa.array(values(lambda: chance.choice(TEXTS)), pa.string()),
        "raw": pa.array(values(lambda: chance.randbytes(3)), pa.binary()),
        "fixed": pa.array(values(lambda: chance.randbytes(4)), pa.binary(4)),
        "money": pa.array(values(lambda: Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-3)), pa.decimal128(12, 3)),
        "day": pa.array(values(lambda: moment(1).date()), pa.date32()),
        "millis": pa.array(values(lambda: clock(1000)), pa.time32("ms")),
        "micros": pa.array(values(lambda: clock(1)), pa.time64("us")),
        "at": pa.array(values(lambda: zoned(1000)), pa.timestamp("ms", zone)),
        "exact": pa.array(values(lambda: zoned(1)), pa.timestamp("us", zone)),
        "local": pa.array(values(lambda: moment(1000)), pa.timestamp("ms")),
        "list": pa.array(values(lambda: [None, 1, -5]), pa.list_(pa.int32())),
        "nested": pa.array(values(lambda: {"n": chance.choice([None, 1]), "t": "x"}), pa.struct([("n", pa.int64()), ("t", pa.string())])),
        "sure": pa.array(range(ROWS), pa.int64()),
    }
    fields = [pa.field(name, column.type, nullable=name != "sure") for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def rows():
    return [row() for _ in range(ROWS)]


def make():
    pathlib.Path("in").mkdir()
    for codec in ("null", "deflate"):
        with open(f"in/{codec}.avro", "wb") as file:
            fastavro.writer(file, schema(), rows(), codec=codec, sync_interval=2000)
    pq.write_table(written(), "in/rows.parquet")


def check():
    due = [rows(), rows()]
    for codec, rows_due in zip(("null", "deflate"), due):
        same(pq.read_table(f"out/{codec}.parquet").to_pylist(), rows_due, codec)
    table = written().to_pylist()
    for name in ("rows.avro", "plain.avro"):
        with open(f"out/{name}", "rb") as file:
            same(fastavro.reader(file), table, name)


def record_rows():
    """Rows of plain types: what is compared here is the framing and the records' bytes."""
    return [{name: value for name, value in row().items() if name in record_names()} for _ in range(50)]


def record_names():
    return ["large", "text", "money", "at", "list", "large_or_null", "text_or_null"]


def record_schema():
    own = {name: kind for name, kind, _ in KINDS}
    fields = [{"name": name, "type": own[name]} for name in record_names()[:5]]
    fields += [{"name": name, "type": ["null", own[name.removesuffix("_or_null")]], "default": None} for name in record_names()[5:]]
    return {"type": "record", "name": "Row", "fields": fields}


def records():
    parsed, framed = fastavro.parse_schema(record_schema()), []
    for values in record_rows():
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, values)
        framed.append({"bytes": (b"\0" + struct.pack(">I", 7) + body.getvalue()).hex()})
    pathlib.Path("records.json").write_text(json.dumps({"schema": record_schema(), "records": framed}))


def read_records():
    given = json.loads(pathlib.Path("appended.json").read_text())
    parsed, found = fastavro.parse_schema(given["schema"]), []
    for text in given["records"]:
        record = bytes.fromhex(text)
        assert record[:1] == b"\0" and struct.unpack(">I", record[1:5]) == (given["id"],), record
        found.append(fastavro.schemaless_reader(io.BytesIO(record[5:]), parsed))
    same(found, record_rows(), "records")


{"make": make, "check": check, "records": records, "read-records": read_records}[sys.argv[1]]()
