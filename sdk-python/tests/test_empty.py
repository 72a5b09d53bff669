"""A stage that finds nothing: whatever it returns for no rows is taken, whatever it makes."""

import pyarrow as pa
import pytest

import flowc
from flowc.testing import run

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


class Found(flowc.Columns):
    name: str
    n: int | None


def nothing():
    yield from ()


NOTHING = {
    "None": lambda: None,
    "list": list,
    "tuple": lambda: (),
    "dict": dict,
    "dict of lists": lambda: {"name": [], "n": []},
    "dict of numpy": lambda: {"name": np.array([]), "n": np.array([])},
    "dict of pandas": lambda: {"name": pd.Series([]), "n": pd.Series([], dtype=object)},
    "dict of polars": lambda: {"name": pl.Series([]), "n": pl.Series([])},
    "dict of pyarrow": lambda: {"name": pa.array([]), "n": pa.array([])},
    "frame of pandas": pd.DataFrame,
    "frame of pandas with columns": lambda: pd.DataFrame({"name": [], "n": []}),
    "frame of pandas with names": lambda: pd.DataFrame([], columns=["name", "n"]),
    "frame of polars": pl.DataFrame,
    "frame of polars with columns": lambda: pl.DataFrame({"name": [], "n": []}),
    "table": lambda: pa.table({}),
    "table with columns": lambda: pa.table({"name": pa.array([]), "n": pa.array([])}),
    "table without chunks": Found.schema.empty_table,
    "batch": lambda: pa.record_batch({}),
    "generator": nothing,
    "generator of nothing": lambda: (value for value in [None, [], {}]),
}
EMPTY = {"name": pa.array([], pa.string()), "k": pa.array([], pa.int64())}
ROWS = {"name": ["a", "b"], "k": [1, 2]}
every_form = pytest.mark.parametrize("form", NOTHING)


@every_form
@pytest.mark.parametrize("rows", [ROWS, EMPTY], ids=["rows", "no rows"])
@pytest.mark.parametrize("annotation", ["batch", "table", "keyed"])
def test_new_rows(form, rows, annotation):
    classes = {"rows": flowc.Keyed("name")} if annotation == "keyed" else None

    def stage(rows):
        return NOTHING[form]()

    stage.__annotations__ = {"rows": pa.RecordBatch if annotation == "batch" else pa.Table}
    found = run(flowc.stage(output=Found, classes=classes)(stage), {"rows": pa.table(rows)})["out"]
    assert (found.num_rows, found.schema) == (0, Found.schema)


@every_form
@pytest.mark.parametrize("annotation", [pa.RecordBatch, pa.Table, pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("makes", ["adds", "picks"])
def test_rows_of_an_input_without_any(form, annotation, makes):
    def stage(rows):
        return NOTHING[form]()

    stage.__annotations__ = {"rows": annotation}
    options = {"adds": {"name": str, "n": int}} if makes == "adds" else {"picks": True}
    made = flowc.stage(classes={"rows": "whole"}, **options)(stage)
    if makes == "picks" and form not in MASKS:
        return
    found = run(made, {"rows": pa.table(EMPTY)})["out"]
    assert found.num_rows == 0


MASKS = ("None", "list", "tuple", "dict", "frame of pandas", "table", "batch", "generator")


@pytest.mark.parametrize(
    "mask",
    [[], np.array([]), np.array([], bool), pd.Series([]), pd.Series([], dtype=bool), pl.Series([]), pa.array([])],
    ids=lambda mask: f"{type(mask).__module__}-{getattr(mask, 'dtype', '')}",
)
def test_masks_and_columns_alone(mask):
    @flowc.stage(picks=True, classes={"rows": "whole"})
    def picks(rows: pa.Table):
        return mask

    @flowc.stage(adds={"added": str}, classes={"rows": "whole"})
    def adds(rows: pa.Table):
        return mask

    assert run(picks, {"rows": pa.table(EMPTY)})["out"].num_rows == 0
    if getattr(mask, "dtype", None) != pl.Boolean:
        assert run(adds, {"rows": pa.table(EMPTY)})["out"].schema.field("added").type == pa.string()


@every_form
def test_combining(form):
    @flowc.stage
    class Combines:
        def partial(self, rows: pa.Table) -> flowc.Table[Found]:
            return NOTHING[form]()

        def merge(self, partials: flowc.Table[Found]) -> flowc.Table[Found]:
            return NOTHING[form]()

        def finish(self, partial: flowc.Table[Found]) -> flowc.Table[Found]:
            return NOTHING[form]()

    assert run(Combines, {"rows": pa.table(ROWS)}, batch_rows=1)["out"].schema == Found.schema


@every_form
def test_several_outputs(form):
    @flowc.stage(outputs={"found": Found, "others": Found})
    def stage(rows: pa.RecordBatch):
        return {"found": None if "generator" in form else NOTHING[form](), "others": []}

    outputs = run(stage, {"rows": pa.table(ROWS)})
    assert [table.num_rows for table in outputs.values()] == [0, 0]


@every_form
def test_async(form):
    if "generator" in form:
        return

    @flowc.stage(output=Found)
    async def stage(rows: pa.RecordBatch):
        return NOTHING[form]()

    assert run(stage, {"rows": pa.table(ROWS)})["out"].num_rows == 0


@every_form
@pytest.mark.parametrize("options", [{"adds": {"name": str, "n": int}}, {"picks": True}], ids=["adds", "picks"])
def test_rows_that_need_values_do_not_get_none(form, options):
    @flowc.stage(**options)
    def stage(rows: pa.RecordBatch):
        return NOTHING[form]()

    with pytest.raises(Exception, match="output `out`"):
        run(stage, {"rows": pa.table(ROWS)})
