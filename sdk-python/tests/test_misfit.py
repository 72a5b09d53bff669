"""Whatever a stage returns, and in whatever form: what does not fit is told by column, row and both types."""

import datetime
import decimal

import pyarrow as pa
import pytest

from flowc.convert import to_batch, to_batches, to_mask
from flowc.problem import Breach

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

SCHEMA = pa.schema([("good", pa.int64()), ("bad", pa.int64())])


def of_columns(good, bad):
    return {"good": good, "bad": bad}


FORMS = {
    "dict of lists": of_columns,
    "list of dicts": lambda good, bad: [{"good": one, "bad": other} for one, other in zip(good, bad, strict=True)],
    "dict of objects in numpy": lambda good, bad: of_columns(good, np.array(bad, object)),
    "dict of numpy": lambda good, bad: of_columns(good, np.array(bad)),
    "dict of pandas objects": lambda good, bad: of_columns(good, pd.Series(bad, dtype=object)),
    "frame of pandas objects": lambda good, bad: pd.DataFrame({"good": good, "bad": pd.Series(bad, dtype=object)}),
    "frame of pandas": lambda good, bad: pd.DataFrame({"good": good, "bad": bad}),
    "dict of polars": lambda good, bad: of_columns(good, pl.Series(bad)),
    "frame of polars": lambda good, bad: pl.DataFrame({"good": good, "bad": bad}),
    "dict of pyarrow": lambda good, bad: of_columns(good, pa.array(bad)),
    "dict of chunks": lambda good, bad: of_columns(good, pa.chunked_array([bad])),
    "batch": lambda good, bad: pa.record_batch(of_columns(good, bad)),
    "table": lambda good, bad: pa.table(of_columns(good, bad)),
}
MIXED = [form for form in FORMS if "object" in form or "lists" in form or "dicts" in form]
WRONG = {
    "text": ("x", pa.int64(), "str|string|numpy.str_", "int64"),
    "fraction": (1.5, pa.int64(), "float|double", "int64"),
    "too large": (300, pa.int8(), "int|int64", "int8"),
    "fraction in a list": ([1.5], pa.list_(pa.int64()), "list", "list<item: int64>"),
    "time of a day": (datetime.datetime(2024, 1, 1, 12), pa.date32(), "datetime.datetime|timestamp|pandas", "date32"),
    "time between seconds": (
        datetime.datetime(2024, 1, 1, 12, 0, 0, 5),
        pa.timestamp("s"),
        "datetime.datetime|timestamp|pandas",
        "timestamp[s]",
    ),
    "member without a place": ({"a": 1, "b": 2}, pa.struct([("a", pa.int64())]), "dict|struct", "struct<a: int64>"),
    "negative": (-1, pa.uint8(), "int|int64", "uint8"),
    "number for text": (5, pa.string(), "int|int64", "string"),
    "number for bytes": (5, pa.binary(), "int|int64", "binary"),
    "text for truth": ("x", pa.bool_(), "str|string|numpy.str_", "bool"),
    "text for a day": ("x", pa.date32(), "str|string|numpy.str_", "date32"),
    "number for a list": (5, pa.list_(pa.int64()), "int|int64", "list<item: int64>"),
    "truth for text": (True, pa.string(), "bool|numpy.bool", "string"),
}


def breach(value, schema, **options):
    with pytest.raises(Breach) as raised:
        list(to_batches(value, schema)) if not options else to_batch(value, schema, **options)
    return str(raised.value)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_column_row_and_types(form, wrong):
    value, type_, kinds, declared = WRONG[wrong]
    schema = SCHEMA.set(1, pa.field("bad", type_))
    message = breach(FORMS[form]([1, 2, 3], [value, value, value]), schema)
    assert message.startswith("column `bad`"), message
    assert "row 1" in message, message
    assert declared in message, message
    assert any(kind in message for kind in kinds.split("|")), message
    assert "\n" not in message


GOOD = {"int64": 1, "int8": 1, "uint8": 1, "string": "x", "binary": b"x", "bool": True, "list<item: int64>": [1]} | {
    "timestamp[s]": datetime.datetime(2024, 1, 1),
    "struct<a: int64>": {"a": 1},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("form", MIXED)
def test_the_first_wrong_row_is_named(form, wrong):
    if "list" in wrong and "numpy" in form:
        return  # they make an array of two dimensions
    value, type_, kinds, declared = WRONG[wrong]
    good = GOOD.get(str(type_), datetime.date(2024, 1, 1))
    schema = SCHEMA.set(1, pa.field("bad", type_))
    rows = [good] * 5 + [value, good, value]
    message = breach(FORMS[form]([1] * 8, rows), schema)
    assert message.startswith(f"column `bad`: row 6 is a{'n' if kinds.startswith('int') else ''} "), message
    assert f"where {declared}" in message, message


def test_rows_are_counted_from_the_first_of_the_output():
    message = breach({"good": [1, 2], "bad": [1, "x"]}, SCHEMA, first=8192)
    assert (
        message == "column `bad`: row 8194 is a str ('x'), where int64 is declared; convert it, or declare another type"
    )
    tables = pa.concat_tables([pa.table({"good": [1, 2], "bad": ["1", "2"]})] * 2).cast(
        pa.schema([("good", pa.int64()), ("bad", pa.string())])
    )
    assert "row 1 is '1'" in breach(tables, SCHEMA)


def test_an_integer_that_no_type_of_arrow_holds():
    for form in MIXED:
        message = breach(FORMS[form]([1, 2], [1, 2**80]), SCHEMA)
        assert message.startswith(f"column `bad`: row 2 is an int ({2**80}), where int64 is declared: "), message


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2.0, np.int64(3), decimal.Decimal(4), None], pa.int64()),
        ([1, 1.5, float("inf"), float("nan"), None], pa.float32()),
        ([datetime.datetime(2024, 1, 1), datetime.date(2024, 1, 1), None], pa.date32()),
        ([datetime.datetime(2024, 1, 1, 1, 1, 1), 5, None], pa.timestamp("s")),
        ([datetime.timedelta(days=1)], pa.duration("s")),
        ([{"a": 1}, {}, None], pa.struct([("a", pa.int8())])),
        ([{"a": 1}, [("b", 2.0)], None], pa.map_(pa.string(), pa.int8())),
        ([[1, 2.0], (3,), np.array([4]), None], pa.list_(pa.int16())),
        (["a", "b", None], pa.dictionary(pa.int8(), pa.string())),
        ([pd.Timestamp(2024, 1, 1), pd.NaT], pa.timestamp("s")),
    ],
)
def test_objects_that_keep_their_value_are_taken(values, type_):
    if isinstance(values[0], pd.Timestamp):
        values = pd.Series(values, dtype=object)
    assert to_batch({"n": values}, pa.schema([("n", type_)])).num_rows == len(values)


def test_what_is_inside_of_a_value_is_told():
    schema = pa.schema([("l", pa.list_(pa.int64()))])
    message = breach({"l": [[1], [2, "x"]]}, schema)
    assert message.startswith("column `l`: row 2 is a list ([2, 'x']), where list<item: int64> is declared: "), message
    assert "'x'" in message.rpartition("declared")[2]
    schema = pa.schema([("s", pa.struct([("a", pa.int8())]))])
    message = breach({"s": [{"a": 1}, {"a": 300}]}, schema)
    assert message.startswith("column `s`: row 2 is a dict ({'a': 300}), where struct<a: int8> is declared: "), message


class Odd:
    def __repr__(self):
        raise RuntimeError("not to be shown")


@pytest.mark.parametrize(
    ("value", "due"),
    [
        (Odd(), "test_misfit.Odd (which can't be shown: RuntimeError)"),
        (decimal.Decimal("1.5"), "decimal.Decimal (Decimal('1.5'))"),
        ("y" * 5_000_000, "str ('yyy"),
    ],
)
def test_any_object_is_shown_in_short(value, due):
    message = breach({"good": [1, 2], "bad": [1, value]}, SCHEMA)
    assert message.startswith(f"column `bad`: row 2 is a {due}"), message
    assert len(message) < 400


def test_rows_that_are_no_dicts_are_named():
    assert breach([{"good": 1, "bad": 1}, 5], SCHEMA) == "row 2 is int (5), where others are dicts"


def test_columns_that_are_no_columns():
    for value in (np.array(5), np.array([[1, 2]]), iter(["x"]), 5, "x", object()):
        message = breach({"good": [1], "bad": value}, SCHEMA)
        assert message.startswith("column `bad`"), message


def test_masks_are_told_alike():
    for value in ([True, "x"], np.array([True, "x"], object), pd.Series([True, "x"], dtype=object)):
        with pytest.raises(Breach, match=r"the mask: row 12 is a str \('x'\), where bool is declared"):
            to_mask(value, 10)


def test_texts_that_one_array_can_not_hold():
    chunks = pa.chunked_array([["a"], ["b"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowc.convert._combined", lambda array: array)
        message = breach({"s": chunks}, pa.schema([("s", pa.string())]))
    assert message.startswith("column `s`: 0.0 GiB of string are too much for one batch; give fewer rows"), message
