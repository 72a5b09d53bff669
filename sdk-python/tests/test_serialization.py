from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest

import flowc
from flowc.serialization import OFFERED, Codec
from flowc.wire import opening_from_json, opening_json

PERSON = pa.struct([pa.field("name", pa.string()), pa.field("tags", pa.list_(pa.string()))])
JSON = {
    "truth": (pa.bool_(), [True, None, False]),
    "small": (pa.int8(), [-128, None, 127]),
    "large": (pa.uint64(), [2**64 - 1, None, 0]),
    "signed": (pa.int64(), [-(2**63), None, 2**53 + 1]),
    "narrow": (pa.float32(), [0.1, None, -1.1754943508222875e-38]),
    "wide": (pa.float64(), [0.1, None, 1e-308]),
    "text": (pa.string(), ["", None, 'a "line"\n\u2028\u00e9\U0001f600\\\r']),
    "long": (pa.large_string(), ["x", None, "y"]),
    "list": (pa.list_(pa.float32()), [[], None, [1.5, None]]),
    "person": (PERSON, [{"name": "Ada", "tags": ["a", None]}, None, {"name": None, "tags": None}]),
    "people": (pa.large_list(PERSON), [[None], None, [{"name": "Bo", "tags": []}]]),
}
PARQUET = JSON | {
    "bytes": (pa.binary(), [b"\x00\xff", None, b""]),
    "blob": (pa.large_binary(), [b"\x00", None, b""]),
    "fixed": (pa.binary(2), [b"ab", None, b"\x00\xff"]),
    "price": (pa.decimal128(20, 3), [Decimal("1.500"), None, Decimal("-99999999999999999.999")]),
    "day": (pa.date32(), [date(1, 1, 1), None, date(9999, 12, 31)]),
    "short_time": (pa.time32("ms"), [time(1, 2, 3, 4000), None, time(0)]),
    "long_time": (pa.time64("ns"), [time(1, 2, 3, 4), None, time(0)]),
    "milli": (pa.timestamp("ms"), [datetime(2024, 2, 29), None, datetime(1, 1, 1)]),
    "zoned": (pa.timestamp("us", "Europe/Rome"), [datetime(2024, 2, 29), None, datetime(1970, 1, 1)]),
    "nano": (pa.timestamp("ns"), [datetime(2024, 2, 29, 1, 2, 3, 4), None, datetime(1970, 1, 1)]),
    "odd": (pa.float64(), [float("inf"), None, float("-inf")]),
}
ROWS = pa.table({"id": pa.array(range(10)), "text": [f"text {number}" for number in range(10)]})


def batch(columns):
    return pa.record_batch({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


@pytest.mark.parametrize(("serialization", "columns"), [("arrow", PARQUET), ("parquet", PARQUET), ("json", JSON)])
def test_batches_come_back_as_they_were(serialization, columns):
    for due in (batch(columns), batch(columns).slice(1, 1), batch(columns).slice(0, 0)):
        codec = Codec(serialization, due.schema)
        packed = codec.pack(due)
        assert packed.schema.equals(codec.schema)
        assert codec.unpack(packed).equals(due)
        assert codec.unpack(packed).schema.equals(due.schema, check_metadata=True)


def test_what_has_no_columns_travels_as_it_is():
    due = pa.RecordBatch.from_struct_array(pa.nulls(3, pa.struct([])))
    assert Codec("json", due.schema).pack(due) is due


def test_a_number_that_is_none_is_named_with_its_row():
    rows = pa.record_batch({"id": [1, 2, 3], "deep": [[1.0], [], [float("nan")]]})
    codec = Codec("json", rows.schema)
    codec.pack(rows.slice(0, 2))
    with pytest.raises(flowc.Problem, match=r"column `deep`, row 3: .*nan.* is no number that JSON has"):
        codec.pack(rows.slice(2, 1))


@pytest.mark.parametrize("name", ["lengths", "ones", "odd", "parted", "recut"])
def test_whatever_batches_are_made_of_the_results_are_the_same(stage, name):
    client = stage(name)
    inputs = [pa.Table.from_batches(ROWS.to_batches(max_chunksize=3))]
    found = []
    for serialization in OFFERED:
        opening = replace(client.opening({}, [ROWS.schema]), serialization=serialization)
        read = [table.select(schema.names) for table, schema in zip(inputs, opening.inputs, strict=True)]
        ended = client.invoke(opening, read)
        assert ended.last == {"finished": True}
        assert ended.consumed == len(ROWS)
        found.append(ended.outputs)
    assert found[1:] == found[:1] * 2


def test_inputs_beside_the_main_one_are_packed_too(stage):
    client = stage("known")
    table = pa.table({"id": [2, 4]})
    for serialization in OFFERED:
        opening = replace(client.opening({}, [ROWS.schema, table.schema]), serialization=serialization)
        read = [rows.select(schema.names) for rows, schema in zip([ROWS, table], opening.inputs, strict=True)]
        assert client.invoke(opening, read).outputs[0][0].column("row").to_pylist() == [2, 4]


def test_what_is_not_offered_is_a_problem(stage):
    opening = replace(stage("lengths").opening({}, [ROWS.schema]), serialization="yaml")
    with pytest.raises(flowc.Problem, match="takes batches as arrow, parquet, json, not as yaml"):
        opening_from_json(opening_json(opening))
