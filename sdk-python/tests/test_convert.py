import pyarrow as pa
import pytest

from flowc.convert import to_batch, to_batches, to_mask
from flowc.problem import Breach

np = pytest.importorskip("numpy")


def field(type_, nullable=False):
    return pa.schema([pa.field("n", type_, nullable=nullable)])


def made(value, type_, nullable=False):
    return to_batch(value, field(type_, nullable)).column(0)


def test_a_batch_that_fits_is_not_touched():
    batch = pa.record_batch([pa.array([1, 2])], schema=field(pa.int64()))
    assert to_batch(batch, field(pa.int64())) is batch


@pytest.mark.parametrize(
    ("value", "type_", "due"),
    [
        ([1, 2], pa.int32(), [1, 2]),
        (np.array([1, 2]), pa.int32(), [1, 2]),
        (np.array([1.0, 2.0]), pa.int64(), [1, 2]),
        (np.array([1, 2], np.float32), pa.float64(), [1.0, 2.0]),
        (pa.array(["a"], pa.large_string()), pa.string(), ["a"]),
        (pa.array(["a", "a"]).dictionary_encode(), pa.string(), ["a", "a"]),
        (pa.chunked_array([[1], [2]]), pa.int64(), [1, 2]),
        (pa.array([[1]], pa.large_list(pa.int64())), pa.list_(pa.int64()), [[1]]),
        (pa.chunked_array([], pa.int64()), pa.int64(), []),
    ],
)
def test_what_keeps_every_value_is_converted(value, type_, due):
    column = made(value, type_)
    assert (column.type, column.to_pylist()) == (type_, due)
    assert made({"n": value}, type_).to_pylist() == due


@pytest.mark.parametrize(
    ("value", "type_", "message"),
    [
        (np.array([1.5]), pa.int64(), "does not fit int64: it has a fraction; round it"),
        (np.array([300]), pa.int8(), r"row 1 \(300\) does not fit int8: int8 holds -128 to 127; declare a wider type"),
        (
            np.array([0.1]),
            pa.float32(),
            r"is float64, and declared float32: row 1 is 0.1; convert it, such as by .*\"float32\"",
        ),
        (pa.array(["1"]), pa.int64(), "is string, and declared int64"),
        (pa.array([1]), pa.string(), "is int64, and declared string"),
        (["x"], pa.int64(), r"column `n`: row 1 is a str \('x'\), where int64 is declared"),
        (
            7,
            pa.int64(),
            r"an int \(7\) was returned; rows with the columns n: int64 are wanted, such as `return {\"n\": \[...\]}`",
        ),
    ],
)
def test_what_would_change_a_value_is_refused(value, type_, message):
    with pytest.raises(Breach, match=message):
        made(value, type_)


def test_columns_are_matched_by_name():
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    batch = to_batch(pa.record_batch({"b": ["x"], "a": [1]}), schema)
    assert batch.schema == schema
    with pytest.raises(Breach, match=r"column `b` is missing; returned: a: int64\?; declared: a: int64\?, b: string\?"):
        to_batch(pa.record_batch({"a": [1]}), schema)
    with pytest.raises(Breach, match="column `c` is not declared; returned: a, b, c;"):
        to_batch({"a": [1], "b": ["x"], "c": [1]}, schema)
    with pytest.raises(Breach, match="the columns differ in length: `a` has 1, `b` has 2"):
        to_batch({"a": [1], "b": ["x", "y"]}, schema)


def test_nulls_are_only_where_they_are_declared():
    assert made([1, None], pa.int64(), nullable=True).null_count == 1
    with pytest.raises(Breach, match=r"column `n` holds 1 nulls \(the first in row 2\), and is declared int64 without"):
        made([1, None], pa.int64())


def test_rows_may_be_dicts_and_tables_keep_their_batches():
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert to_batch([{"a": 1}, {"b": "x"}], schema).to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]
    table = pa.concat_tables([pa.table({"a": [1], "b": ["x"]}), pa.table({"a": [2], "b": ["y"]})])
    assert [batch.num_rows for batch in to_batches(table, schema)] == [1, 1]


def test_masks():
    assert to_mask([True, False]).to_pylist() == [True, False]
    assert to_mask(np.array([1, 2]) > 1).to_pylist() == [False, True]
    with pytest.raises(Breach, match="the mask is int64"):
        to_mask(pa.array([0, 1]))


def test_frames_of_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"n": [1, 2], "s": ["a", None], "c": pd.Categorical(["x", "y"])})
    schema = pa.schema([("s", pa.string()), pa.field("n", pa.int32(), nullable=False), ("c", pa.string())])
    due = [{"s": "a", "n": 1, "c": "x"}, {"s": None, "n": 2, "c": "y"}]
    assert to_batch(frame, schema).to_pylist() == due
    assert made(frame["n"] * 2, pa.int16()).to_pylist() == [2, 4]
    assert to_mask(frame["n"] > 1).to_pylist() == [False, True]


def test_frames_of_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"n": [1, 2], "s": ["a", None]})
    schema = pa.schema([("s", pa.string()), pa.field("n", pa.int32(), nullable=False)])
    assert to_batch(frame, schema).to_pylist() == [{"s": "a", "n": 1}, {"s": None, "n": 2}]
    assert made(frame["n"] * 2, pa.int16()).to_pylist() == [2, 4]
    assert to_mask(frame["n"] > 1).to_pylist() == [False, True]
