"""What a function returns for what it declares: what is of another form is told, with what is wanted and an example."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import flowc
from flowc.convert import to_batch
from flowc.problem import Breach
from flowc.remedy import remedy
from flowc.testing import run

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


class Rows(flowc.Columns):
    a: int
    b: str | None


TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}, schema=Rows.schema)
KINDS = {
    "rows": ({"output": Rows}, 'rows with the columns a: int64, b: string? are wanted, such as `return {"a": [...], '),
    "one column": ({"output": {"a": int}}, 'rows with the columns a: int64 are wanted, such as `return {"a": [...]}`'),
    "adds": ({"adds": {"c": int, "d": str}}, "a value for each row of the input is wanted in the columns c: int64"),
    "adds one": ({"adds": {"c": int}}, 'in the columns c: int64, such as `return {"c": [...]}`'),
    "picks": (
        {"picks": True},
        "a mask is wanted, true or false for each row, such as `return pyarrow.compute.greater(",
    ),
    "outputs": ({"outputs": {"x": flowc.Picks(), "y": Rows}}, 'is wanted, such as `return {"x": ..., "y": ...}`'),
}
SCALARS = {"bool": True, "int": 3, "float": 1.5, "str": "abc", "bytes": b"abc", "scalar": pa.scalar(True)}
MASKS = {
    "array": pa.array([True, False, True]),
    "list": [True, False, True],
    "numpy": np.array([True, False, True]),
    "pandas": pd.Series([True, False, True]),
    "polars": pl.Series([True, False, True]),
}
FRAMES = {
    "batch": TABLE.to_batches()[0],
    "table": TABLE,
    "pandas": TABLE.to_pandas(),
    "polars": pl.from_arrow(TABLE),
    "dict": TABLE.to_pydict(),
    "dicts": TABLE.to_pylist(),
    "batches": TABLE.to_batches(),
    "tuples": [(1, "x")] * 3,
}
OTHERS = {
    "object": object(),
    "set": {1, 2, 3},
    "function": len,
    "class": Rows,
    "lazy": pl.DataFrame({"a": [1]}).lazy(),
    "expression": pc.field("a"),
    "iterator": iter([1, 2, 3]),
    "reader": TABLE.to_reader(),
    "error": ValueError("x"),
}


def told(options, give):
    @flowc.stage(**options)
    def stage(rows: pa.RecordBatch):
        return give()

    with pytest.raises(Breach) as raised:
        run(stage, {"rows": TABLE})
    return str(raised.value)


@pytest.mark.parametrize("form", [*SCALARS, *OTHERS])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_returned_what_is_wanted_and_an_example(kind, form):
    options, wanted = KINDS[kind]
    value = (SCALARS | OTHERS)[form]
    said = told(options, lambda: value)
    assert wanted in said
    assert f"{type(value).__name__}" in said
    assert " was returned" in said


@pytest.mark.parametrize("form", MASKS)
@pytest.mark.parametrize("kind", ["rows", "one column", "adds", "adds one"])
def test_a_mask_where_rows_or_values_are_wanted(kind, form):
    options, wanted = KINDS[kind]
    said = told(options, lambda: MASKS[form])
    assert wanted in said
    assert "if that is a mask of the rows that stay, declare `picks=True`" in said


@pytest.mark.parametrize("form", FRAMES)
def test_rows_where_a_mask_is_wanted(form):
    said = told(KINDS["picks"][0], lambda: FRAMES[form])
    assert KINDS["picks"][1] in said
    assert "declared with `output=...` in place of `picks=True`" in said


@pytest.mark.parametrize("kind", ["adds", "adds one", "picks", "outputs"])
def test_nothing_where_rows_need_values(kind):
    said = told(KINDS[kind][0], lambda: None)
    assert "nothing was returned" in said
    assert "such as `return " in said


@pytest.mark.parametrize("kind", ["rows", "adds"])
def test_columns_of_unequal_length_and_values_in_place_of_columns(kind):
    options, wanted = KINDS[kind]
    first, second = ("a", "b") if kind == "rows" else ("c", "d")
    said = told(options, lambda: {first: [1, 2, 3], second: ["x"]})
    assert f"the columns differ in length: `{first}` has 3, `{second}` has 1" in said
    assert wanted in said
    said = told(options, lambda: {first: 1, second: ["x"] * 3})
    assert f"column `{first}`: an int (1) is one value; a column is a list of values" in said
    assert "such as `[1]`" in said


def test_columns_of_other_names_are_all_told():
    said = told({"output": Rows}, lambda: {"a": [1], "c": [2], "d": [3]})
    assert (
        "column `b` is missing, `c` is not declared, `d` is not declared; returned: a, c, d; declared: a: int64" in said
    )


@pytest.mark.parametrize("values", [lambda: (one for one in [1, 2, 3]), lambda: (one for one in ["x"])])
@pytest.mark.parametrize("kind", ["rows", "one column", "adds", "adds one", "picks"])
def test_a_generator_where_a_list_is_wanted(kind, values):
    said = told(KINDS[kind][0], values)
    assert KINDS[kind][1] in said
    assert "each thing that a generator yields is taken so, as if it were returned" in said


def test_what_can_be_done_is_said():
    hints = {
        "call its `.collect()`": OTHERS["lazy"],
        "a set has no order": {1},
        "yield each of them": TABLE.to_batches(),
        "make each row a dict": [(1, "x")],
        "write `yield from` before an iterator": map(str, [1]),
    }
    for hint, value in hints.items():
        assert hint in told({"output": Rows}, lambda value=value: value)


TYPES = [
    *(
        (type_, 2**bits // 2, f"{type_} holds {-(2**bits) // 2} to ")
        for bits in (8, 16, 32, 64)
        for type_ in [getattr(pa, f"int{bits}")()]
    ),
    *((getattr(pa, f"uint{bits}")(), -1, f"uint{bits} holds 0 to {2**bits - 1}; declare ") for bits in (8, 16, 32, 64)),
    (pa.float16(), 7e4, "float16 holds -65504.0 to 65504.0; declare float"),
    (pa.float32(), 1e39, "float32 holds -3.4028234663852886e+38 to 3.4028234663852886e+38; declare float"),
    (pa.int64(), float("nan"), "no integer is NaN; give None"),
    (pa.int32(), 1.5, "it has a fraction; round it"),
    (pa.date32(), datetime.datetime(2024, 1, 1, 12), "a day has no time; give its `.date()`"),
    (pa.timestamp("ns"), datetime.datetime(9999, 1, 1), "timestamp[ns] holds 1677-09-21"),
    (pa.timestamp("s"), datetime.datetime(2024, 1, 1, 0, 0, 0, 1), "declare a shorter unit"),
    (pa.duration("ns"), datetime.timedelta(days=999999), "duration[ns] holds -106752 days"),
    (pa.time32("s"), datetime.time(1, 1, 1, 1), "declare a shorter unit"),
    (pa.decimal128(5, 2), decimal.Decimal("1.234"), "has 5 digits, 2 of them behind the point"),
    (pa.decimal128(5, 2), decimal.Decimal("123456.78"), "has 5 digits, 2 of them behind the point"),
]


@pytest.mark.parametrize(("type_", "value", "advice"), TYPES)
def test_a_value_out_of_range_names_column_row_value_type_and_what_to_do(type_, value, advice):
    good = {"i": 1, "u": 1, "h": 1.0, "f": 1.0}.get(str(type_)[0])
    values = [good, None, value, value]
    with pytest.raises(Breach) as raised:
        to_batch({"bad": values}, pa.schema([("bad", type_)]), first=100)
    said = str(raised.value)
    assert said.startswith("column `bad`: row 103 is a"), said
    assert f"({value!r})" in said
    assert "is declared: " in said
    assert advice in said


def test_rows_of_an_array_out_of_range():
    for array, type_ in [
        (pa.array([1, 300]), pa.int8()),
        (pa.array([1.0, 1e39]), pa.float32()),
        (np.array([1.0, 1e39]), pa.float32()),
        (pa.array([0, 2**62], pa.timestamp("us")), pa.timestamp("ns")),
    ]:
        with pytest.raises(Breach, match="row 12 ") as raised:
            to_batch({"bad": array}, pa.schema([("bad", type_)]), first=10)
        assert "double" not in str(raised.value)


def test_the_row_is_the_inputs_where_an_index_of_pandas_tells_the_order():
    values = pd.Series([300, 1, 2], index=[2, 0, 1], dtype=object)
    with pytest.raises(Breach, match=r"column `bad`: row 3 is an int \(300\)"):
        to_batch({"bad": values}, pa.schema([("bad", pa.int8())]), of_input=True)


def test_values_that_can_not_be_compared_have_no_remedy():
    assert remedy(np.zeros((2, 2)), pa.int64()) is None
    assert remedy(decimal.Decimal("nan"), pa.int64()) is None
    assert remedy(datetime.datetime(2024, 1, 1), pa.duration("s")) is None
