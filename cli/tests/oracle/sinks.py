"""Reads what flowc's sinks write, with pyarrow and DuckDB, and holds it against what was to be written.

`sinks.py make` writes the sources; `sinks.py check` reads the sinks.
"""

import json
import math
import random
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

ROWS = 300
HARD = ["", '"', "\\", ",", ";", "\t", "\n", "\r\n", " ", "NA", "'", "é", "\U0001f600", "x", "\\N", "0"]
chance = random.Random(7)
DAY = datetime(1970, 1, 1)


def text():
    return "".join(chance.choice(HARD) for _ in range(chance.randrange(4)))


def moment():
    return datetime(1, 1, 1) + timedelta(seconds=chance.randrange(9999 * 365 * 86400), microseconds=chance.randrange(10**6))


def second():
    return moment().replace(microsecond=0)


def milli():
    return second() + timedelta(milliseconds=chance.randrange(1000))


def nano():
    return datetime(1700, 1, 1) + timedelta(microseconds=chance.randrange(500 * 365 * 86400 * 10**6))


def clock(resolution):
    micros = chance.randrange(86400 * 10**6) // resolution * resolution
    return (DAY + timedelta(microseconds=micros)).time()


def number():
    return chance.choice([0.0, -0.0, 1.5, -1e300, 5e-324, chance.random(), chance.uniform(-1e9, 1e9)])


def odd():
    return chance.choice([number(), math.nan, math.inf, -math.inf])


def decimal(digits, scale):
    return Decimal(chance.randrange(-(10**digits) + 1, 10**digits)).scaleb(-scale, context())


def context():
    import decimal

    return decimal.Context(prec=80)


def whole(bits, signed=True):
    return lambda: chance.choice([chance.randrange(2**bits), 0, 2**bits - 1]) - (2 ** (bits - 1) if signed else 0)


ZONES = ["UTC", "+02:00", "Europe/Berlin", "America/New_York"]

# Name: the type in the source, its values, DuckDB's type of it in Parquet.
SCALARS = {
    "truth": (pa.bool_(), lambda: chance.random() < 0.5, "BOOLEAN"),
    "i8": (pa.int8(), whole(8), "TINYINT"),
    "i16": (pa.int16(), whole(16), "SMALLINT"),
    "i32": (pa.int32(), whole(32), "INTEGER"),
    "i64": (pa.int64(), whole(64), "BIGINT"),
    "u8": (pa.uint8(), whole(8, False), "UTINYINT"),
    "u16": (pa.uint16(), whole(16, False), "USMALLINT"),
    "u32": (pa.uint32(), whole(32, False), "UINTEGER"),
    "u64": (pa.uint64(), whole(64, False), "UBIGINT"),
    "f32": (pa.float32(), lambda: pa.scalar(chance.uniform(-9, 9), pa.float32()).as_py(), "FLOAT"),
    "f64": (pa.float64(), number, "DOUBLE"),
    "text": (pa.string(), text, "VARCHAR"),
    "large_text": (pa.large_string(), text, "VARCHAR"),
    "view": (pa.string_view(), text, "VARCHAR"),
    "coded": (pa.dictionary(pa.int16(), pa.string()), text, "VARCHAR"),
    "day": (pa.date32(), lambda: moment().date(), "DATE"),
    "day64": (pa.date64(), lambda: moment().date(), "DATE"),
    "time_s": (pa.time32("s"), lambda: clock(10**6), "TIME"),
    "time_ms": (pa.time32("ms"), lambda: clock(1000), "TIME"),
    "time_us": (pa.time64("us"), lambda: clock(1), "TIME"),
    "at_s": (pa.timestamp("s"), second, "TIMESTAMP"),
    "at_ms": (pa.timestamp("ms"), milli, "TIMESTAMP"),
    "at_us": (pa.timestamp("us"), moment, "TIMESTAMP"),
    "at_ns": (pa.timestamp("ns"), nano, "TIMESTAMP_NS"),
    "d32": (pa.decimal32(7, 2), lambda: decimal(7, 2), "DECIMAL(7,2)"),
    "d64": (pa.decimal64(18, 6), lambda: decimal(18, 6), "DECIMAL(18,6)"),
    "d128": (pa.decimal128(38, 10), lambda: decimal(38, 10), "DECIMAL(38,10)"),
}
for place, zone in enumerate(ZONES):
    SCALARS[f"zoned_s_{place}"] = (pa.timestamp("s", zone), second, "TIMESTAMP WITH TIME ZONE")
    SCALARS[f"zoned_us_{place}"] = (pa.timestamp("us", zone), moment, "TIMESTAMP WITH TIME ZONE")
SCALARS["coded_time"] = (pa.dictionary(pa.int32(), pa.timestamp("s")), second, "TIMESTAMP")

POINT = pa.struct([("at", pa.timestamp("s")), ("names", pa.list_(pa.string())), ("day", pa.date64())])


def point():
    return {"at": second(), "names": [text(), None], "day": moment().date()}


NESTED = {
    "list": (pa.list_(pa.timestamp("s", "UTC")), lambda: [second(), None][: chance.randrange(3)]),
    "large_list": (pa.large_list(pa.int64()), lambda: [1, None][: chance.randrange(3)]),
    "list_of_lists": (pa.list_(pa.list_(pa.date64())), lambda: [None, [], [moment().date(), None]][: chance.randrange(4)]),
    "point": (POINT, point),
    "points": (pa.list_(POINT), lambda: [point(), None][: chance.randrange(3)]),
    "map": (pa.map_(pa.string(), pa.time32("s")), lambda: [("a" + text(), clock(10**6)), ("b", None)][: chance.randrange(3)]),
}
PARQUET = {
    "nothing": (pa.null(), lambda: None),
    "odd": (pa.float64(), odd),
    "odd_f32": (pa.float32(), odd),
    "bytes": (pa.binary(), lambda: text().encode()),
    "large_bytes": (pa.large_binary(), lambda: text().encode()),
    "bytes_view": (pa.binary_view(), lambda: text().encode()),
    "fixed": (pa.binary(2), lambda: chance.randbytes(2)),
    "time_ns": (pa.time64("ns"), lambda: clock(1)),
    "f16": (pa.float16(), lambda: float(chance.randrange(-100, 100)) / 4),
    "triple": (pa.list_(pa.int32(), 3), lambda: [1, None, 3]),
}


def column(kind, values):
    made = [None if chance.random() < 0.15 else values() for _ in range(ROWS)]
    if pa.types.is_dictionary(kind):
        return pa.array(made, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(made, kind)


def table(columns):
    return pa.table({name: column(kind[0], kind[1]) for name, kind in columns.items()})


def written():
    """The sources, by name."""
    key = pa.array(range(ROWS), pa.int64())
    tables = {
        "parquet": table(SCALARS | NESTED | PARQUET),
        "csv": table(SCALARS | {"odd": PARQUET["odd"]}),
        "jsonl": table(SCALARS | NESTED),
    }
    return {name: rows.add_column(0, "id", key) for name, rows in tables.items()}


def plain(value):
    """A value that compares equal where it is the same, whoever read it."""
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case float():
            return (value, math.copysign(1, value))
        case datetime() if value.tzinfo is not None:
            return value.astimezone(timezone.utc).replace(tzinfo=None)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


def same(found, due, where):
    assert len(found) == len(due), f"{where}: {len(found)} rows, due are {len(due)}"
    for row, (one, other) in enumerate(zip(found, due)):
        assert plain(one) == plain(other), f"{where}, row {row}: {one!r}, due is {other!r}"


def values(array):
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        array = array.cast(pa.timestamp("us", array.type.tz))
    if pa.types.is_time64(array.type) and array.type.unit == "ns":
        array = array.cast(pa.time64("us"))
    if pa.types.is_map(array.type):
        return [entries if entries is None else dict(entries) for entries in array.to_pylist()]
    return array.to_pylist()


def coerced(kind):
    """What Parquet has in place of a type."""
    if kind == pa.date64():
        return pa.date32()
    if kind == pa.time32("s"):
        return pa.time32("ms")
    if pa.types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, coerced(field.type), field.nullable) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, coerced(kind.item_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(coerced(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(coerced(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(coerced(kind.value_type))
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, coerced(kind.value_type))
    return kind


def base(kind):
    """A type without the ways to lay out or to code one, which differ from reader to reader."""
    if pa.types.is_dictionary(kind):
        return base(kind.value_type)
    return {pa.large_string(): pa.string(), pa.string_view(): pa.string()}.get(kind, kind)


def check_parquet(due):
    path = "out/parquet.parquet"
    found = pq.read_table(path)
    database = duckdb.sql(f"SELECT * FROM '{path}' ORDER BY id")
    columns = dict(zip(database.columns, zip(map(str, database.types), zip(*database.fetchall()))))
    for name in due.column_names:
        source = due.column(name).combine_chunks()
        kind = found.schema.field(name).type
        assert base(kind) == base(coerced(source.type)), f"pyarrow reads {name}, {source.type}, as {kind}"
        same(values(found.column(name).combine_chunks()), values(source), f"parquet by pyarrow, {name}")
        kind, read = columns[name]
        if name in SCALARS:
            assert kind == SCALARS[name][2], f"DuckDB reads {name}, {source.type}, as {kind}"
        assert "BIGINT" not in kind or name in ("id", "i64", "u64", "large_list"), f"DuckDB reads {name} as {kind}"
        same(list(read), values(source), f"parquet by DuckDB, {name}")


def check_arrow(due):
    found = pa.ipc.open_file("out/arrow.arrow").read_all()
    for name in due.column_names:
        source, back = due.column(name).combine_chunks(), found.column(name).combine_chunks()
        # A file has one dictionary a column, and segments have theirs: so values are written.
        assert back.type == source.type or base(source.type) == back.type, f"arrow, {name}: {back.type}"
        same(values(back), values(source), f"arrow, {name}")


DIALECTS = {
    "plain": {},
    "escaped": {"escape": "\\"},
    "other": {"delimiter": ";", "quote": "'", "null": "NA"},
    "bare": {"header": False, "delimiter": "\t", "null": "none"},
}


def check_csv(due, name, header=True, delimiter=",", quote='"', escape=None, null=""):
    path = f"out/{name}.csv"
    kinds = {field.name: base(field.type) for field in due.schema}
    # pyarrow's reader has no decimals of these widths and no dates in milliseconds.
    reads = {pa.decimal32(7, 2): pa.decimal128(7, 2), pa.decimal64(18, 6): pa.decimal128(18, 6), pa.date64(): pa.timestamp("ms")}
    zoned = {kind: pa.timestamp(kind.unit, "UTC") for kind in kinds.values() if pa.types.is_timestamp(kind) and kind.tz}
    found = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=None if header else due.column_names),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char=quote,
            double_quote=escape is None,
            escape_char=escape or False,
            newlines_in_values=True,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: (reads | zoned).get(kind, kind) for name, kind in kinds.items()},
            null_values=[null],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    assert found.column_names == due.column_names
    types = ", ".join(f"'{name}': '{'DOUBLE' if name == 'odd' else duck(name)}'" for name in due.column_names)
    options = f"delim={literal(delimiter)}, quote={literal(quote)}, escape={literal(escape or quote)}, nullstr={literal(null)}"
    read = duckdb.sql(
        f"SELECT * FROM read_csv('{path}', {options}, header={header}, columns={{{types}}}, auto_detect=false,"
        " allow_quoted_nulls=false, new_line='\\n', strict_mode=true) ORDER BY id"
    )
    by_duckdb = dict(zip(read.columns, zip(*read.fetchall())))
    for column in due.column_names:
        source = values(due.column(column).combine_chunks())
        back = values(found.column(column).combine_chunks())
        if kinds[column] == pa.date64():
            back = [value and value.date() for value in back]
        same(back, source, f"csv {name} by pyarrow, {column}")
        same(list(by_duckdb[column]), source, f"csv {name} by DuckDB, {column}")


def duck(name):
    return "BIGINT" if name == "id" else SCALARS[name][2]


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def check_jsonl(due):
    with open("out/jsonl.jsonl", encoding="utf-8", newline="\n") as lines:
        found = [json.loads(line, parse_float=Decimal) for line in lines]
    for column in due.column_names:
        kind = due.schema.field(column).type
        read = [said(row[column], kind) for row in found]
        same(read, values(due.column(column).combine_chunks()), f"jsonl, {column}")


def said(value, kind):
    """A value of JSON as the type that it stands for."""
    if value is None:
        return None
    kind = base(kind)
    if pa.types.is_floating(kind):
        return pa.scalar(float(value), pa.float64()).cast(kind).as_py()
    if pa.types.is_decimal(kind):
        return Decimal(value)
    if pa.types.is_date(kind):
        return datetime.fromisoformat(value).date()
    if pa.types.is_time(kind):
        return time.fromisoformat(value)
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value)
    if pa.types.is_struct(kind):
        return {field.name: said(value[field.name], field.type) for field in kind}
    if pa.types.is_map(kind):
        return {key: said(item, kind.item_type) for key, item in value.items()}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [said(item, kind.value_type) for item in value]
    return value


def make():
    for name, rows in written().items():
        with pa.OSFile(f"{name}.arrow", "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=ROWS)


def check():
    due = {name: pa.ipc.open_file(f"{name}.arrow").read_all() for name in ("parquet", "csv", "jsonl")}
    duckdb.sql("SET TimeZone = 'UTC'")
    check_parquet(due["parquet"])
    for name, dialect in DIALECTS.items():
        check_csv(due["csv"], name, **dialect)
    check_jsonl(due["jsonl"])
    check_arrow(due["parquet"])


if __name__ == "__main__":
    make() if sys.argv[1] == "make" else check()
    print("ok")
