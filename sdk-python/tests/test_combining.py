from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import flowc
from flowc.testing import run

ROWS = pa.table({"who": ["ann", "bob", "ann", "eve", "bob"], "spent": [1, 2, 3, 4, 5]})


class Spent(flowc.Columns):
    who: str | None
    spent: int | None


class Count(flowc.Columns):
    n: int


@flowc.stage
class Totals:
    """Sums up what each has spent."""

    def partial(self, rows: flowc.Table[Spent]) -> flowc.Batch[Spent]:
        return sums(rows)

    def merge(self, partials: flowc.Table[Spent]) -> flowc.Batch[Spent]:
        return sums(partials)

    def finish(self, partial: flowc.Batch[Spent]) -> flowc.Batch[Spent]:
        return partial


def sums(table):
    return table.group_by("who", use_threads=False).aggregate([("spent", "sum")]).rename_columns(["who", "spent"])


@pytest.mark.parametrize("batch_rows", [1, 2, 5])
def test_all_trees_lead_to_the_same_result(batch_rows):
    totals = run(Totals, {"rows": ROWS}, batch_rows=batch_rows)["out"]
    assert totals.to_pydict() == {"who": ["ann", "bob", "eve"], "spent": [4, 7, 4]}


def test_an_input_without_rows_has_a_partial():
    assert run(Totals, {"rows": ROWS.schema.empty_table()})["out"].num_rows == 0


def test_iterators_are_partials_too():
    @flowc.stage
    class Counts:
        def partial(self, rows: Iterator[pa.RecordBatch]) -> flowc.Batch[Count]:
            return {"n": [sum(batch.num_rows for batch in rows)]}

        def merge(self, partials: Iterator[flowc.Batch[Count]]) -> flowc.Batch[Count]:
            return {"n": [sum(pc.sum(partial["n"]).as_py() for partial in partials)]}

        def finish(self, partial: flowc.Batch[Count]) -> flowc.Batch[Count]:
            return partial

    assert run(Counts, {"rows": ROWS}, batch_rows=2)["out"]["n"].to_pylist() == [5]


def test_a_merge_that_depends_on_the_tree_is_found():
    @flowc.stage
    class Mean:
        def partial(self, rows: pa.Table) -> flowc.Batch[Count]:
            return {"n": [pc.max(rows["spent"]).as_py()]}

        def merge(self, partials: pa.Table) -> flowc.Batch[Count]:
            return {"n": [sum(partials["n"].to_pylist()) // partials.num_rows]}

        def finish(self, partial: pa.RecordBatch) -> flowc.Batch[Count]:
            return partial

    with pytest.raises(AssertionError, match="the result depends on how partials are merged"):
        run(Mean, {"rows": ROWS}, batch_rows=1)
