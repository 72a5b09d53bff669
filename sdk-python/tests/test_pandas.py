"""The index of pandas says to which row a value belongs."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

import flowc
from flowc.problem import Breach
from flowc.testing import run

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

ROWS = pa.table({"day": [3, 1, 2], "sold": [30, 10, 20]})


def adds(code, annotation=pd.DataFrame, rows=ROWS, columns=("y",), **options):
    def stage(rows):
        return code(rows)

    stage.__annotations__ = {"rows": annotation}
    declared = {name: flowc.nullable(pa.int64()) for name in columns}
    made = flowc.stage(adds=declared, classes={"rows": "per-segment"}, **options)(stage)
    table = run(made, {"rows": rows})["out"]
    return [table[name].to_pylist() for name in columns]


def picks(code):
    def stage(rows):
        return code(rows)

    stage.__annotations__ = {"rows": pd.DataFrame}
    made = flowc.stage(picks=True, classes={"rows": "per-segment"})(stage)
    return run(made, {"rows": ROWS})["out"]["day"].to_pylist()


def total(rows):
    return rows.sort_values("day")["sold"].cumsum()


@pytest.mark.parametrize(
    "code",
    [
        total,
        lambda rows: {"y": total(rows)},
        lambda rows: pd.DataFrame({"y": total(rows)}),
        lambda rows: total(rows).astype(object),
        lambda rows: total(rows).astype("Int64"),
        lambda rows: total(rows).loc[rows.index],
        lambda rows: total(rows).sort_index().reset_index(drop=True),
        lambda rows: total(rows).sort_index().to_numpy(),
        lambda rows: total(rows).sort_index().to_list(),
    ],
)
def test_values_are_put_to_their_rows(code):
    assert adds(code) == [[60, 10, 30]]


def test_columns_are_put_to_their_rows_one_by_one():
    def code(rows):
        return {"a": rows["sold"][::-1], "b": rows["sold"], "c": [1, 2, 3]}

    assert adds(code, columns=("a", "b", "c")) == [[30, 10, 20], [30, 10, 20], [1, 2, 3]]


def test_masks_are_put_to_their_rows():
    assert picks(lambda rows: rows.sort_values("sold")["sold"] > 15) == [3, 2]
    assert picks(lambda rows: (rows.sort_values("sold")["sold"] > 15).to_numpy()) == [1, 2]


@pytest.mark.parametrize(
    "code",
    [
        lambda rows: rows.set_index("sold")["day"],
        lambda rows: rows.set_index(pd.Index(["a", "b", "c"]))["day"],
        lambda rows: pd.concat([rows.iloc[:2], rows.iloc[:1]])["day"],
        lambda rows: rows.set_index(pd.MultiIndex.from_frame(rows))["day"],
        lambda rows: rows.set_index(pd.Index([0, 1, 3]))["day"],
        lambda rows: rows.iloc[[0, 2]]["day"],
        lambda rows: rows.set_index(pd.Index([0.0, 1.0, 2.0]))["day"],
    ],
)
@pytest.mark.parametrize("wrap", [lambda day: day, lambda day: {"y": day}], ids=["series", "dict"])
def test_another_index_is_refused(code, wrap):
    with pytest.raises(Breach, match=r"column `y`: its pandas index .*\(`\.reset_index\(drop=True\)`"):
        adds(lambda rows: wrap(code(rows)))
    with pytest.raises(Breach, match=r"the mask: its pandas index .*loc\[rows\.index\]"):
        picks(lambda rows: code(rows) > 1)


def test_rows_may_come_in_parts():
    def code(batches):
        for rows in batches:
            yield rows["sold"].iloc[:2][::-1]
            yield rows["sold"].iloc[2:]

    assert adds(code, Iterator[pd.DataFrame]) == [[30, 10, 20]]


def test_new_rows_need_no_index():
    @flowc.stage(output={"y": flowc.nullable(pa.int64())}, classes={"rows": "per-segment"})
    def stage(rows: pd.DataFrame):
        return pd.DataFrame({"y": total(rows)})

    assert run(stage, {"rows": ROWS})["out"]["y"].to_pylist() == [10, 30, 60]
