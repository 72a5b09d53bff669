import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import flowc
from flowc.problem import Breach
from flowc.testing import run

ROWS = pa.table({"id": [1, 2, 3, 4], "text": ["a b", "c", "", "d e f"], "score": [0.5, 1.5, 2.5, 3.5]})


class Total(flowc.Columns):
    total: int


class Ids(flowc.Columns):
    id: int | None


class Two(NamedTuple):
    even: flowc.Batch[Ids]
    odd: flowc.Batch[Ids] | None


@dataclass
class By:
    by: int


def out(code, rows=ROWS, config=None, **options):
    return run(code, {"rows": rows}, config, **options)["out"]


def test_added_columns_meet_the_rest_however_rows_are_cut():
    @flowc.stage(reads=["text"], adds={"words": pa.int32()})
    def words(rows: pa.RecordBatch):
        assert rows.schema.names == ["text"]
        return pc.list_value_length(pc.split_pattern(rows["text"], " "))

    for batch_rows in (None, 1, 3):
        table = out(words, batch_rows=batch_rows)
        assert table.schema.names == ["id", "text", "score", "words"]
        assert table["words"].to_pylist() == [2, 1, 1, 3]


class Text(flowc.Columns):
    text: str | None


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_of_any_type_come_as_the_declared_one(type_):
    @flowc.stage(adds={"words": flowc.nullable(pa.int32())})
    def words(rows: flowc.Batch[Text], others: flowc.Table[Text]):
        assert rows.schema == others.schema == Text.schema
        return pc.add(pc.list_value_length(pc.split_pattern(rows["text"], " ")), len(others))

    texts = pa.table({"id": [1, 2, 3], "text": pa.array(["a b", None, "c"], type_)})
    for batch_rows in (None, 1):
        table = run(words, {"rows": texts, "others": texts}, batch_rows=batch_rows)["out"]
        assert table.schema.field("text").type == type_
        assert table["words"].to_pylist() == [5, None, 4]


def test_rows_are_picked_and_columns_dropped():
    @flowc.stage(picks=True, drops=["text"])
    def high(rows: pa.RecordBatch, config: By):
        return pc.greater(rows["score"], config.by)

    for batch_rows in (None, 1, 3):
        assert out(high, config={"by": 1}, batch_rows=batch_rows).to_pydict() == {
            "id": [2, 3, 4],
            "score": [1.5, 2.5, 3.5],
        }


def test_a_generator_may_give_many_batches_or_none():
    @flowc.stage
    def repeated(rows: flowc.Batch[Ids]) -> Iterator[flowc.Batch[Ids]]:
        for id_ in rows["id"].to_pylist():
            if id_ % 2:
                yield {"id": [id_, id_]}

    assert out(repeated)["id"].to_pylist() == [1, 1, 3, 3]


def test_a_segment_is_an_iterator_and_its_columns_may_come_late():
    @flowc.stage(adds={"share": float})
    def share(rows: Iterator[pa.RecordBatch]):
        table = pa.Table.from_batches(rows)
        yield pc.divide(table["id"].cast("double"), pc.sum(table["id"]))

    assert out(share, batch_rows=3)["share"].to_pylist() == [0.1, 0.2, 0.3, 0.4]


def test_a_table_is_whole_and_another_input_drives():
    @flowc.stage(picks=True)
    def known(rows: pa.RecordBatch, table: pa.Table):
        return pc.is_in(rows["id"], table["id"])

    outputs = run(known, {"rows": ROWS, "table": pa.table({"id": [4, 1]})}, batch_rows=2)
    assert outputs["out"]["id"].to_pylist() == [1, 4]


def test_all_rows_come_in_one_batch_where_the_class_says_so():
    @flowc.stage(classes={"rows": "whole"})
    def counted(rows: pa.RecordBatch) -> flowc.Batch[Total]:
        return [{"total": rows.num_rows}]

    assert out(counted, batch_rows=1)["total"].to_pylist() == [4]
    assert out(counted, ROWS.schema.empty_table())["total"].to_pylist() == [0]


def test_several_outputs():
    @flowc.stage
    def parted(rows: flowc.Batch[Ids]) -> Two:
        even = pc.equal(pc.bit_wise_and(rows["id"], 1), 0)
        odd = rows.filter(pc.invert(even))
        return Two(rows.filter(even), odd if odd.num_rows else None)

    outputs = run(parted, {"rows": ROWS}, batch_rows=1)
    assert {name: table["id"].to_pylist() for name, table in outputs.items()} == {"even": [2, 4], "odd": [1, 3]}


def test_several_outputs_of_different_kinds():
    @flowc.stage(outputs={"high": flowc.Picks(), "low": flowc.Picks(drops=["text"]), "sums": Total})
    def parted(rows: pa.RecordBatch):
        high = pc.greater(rows["score"], 1)
        yield {"high": high, "low": pc.invert(high)}
        yield {"sums": {"total": [pc.sum(rows["id"]).as_py()]}}

    outputs = run(parted, {"rows": ROWS}, batch_rows=2)
    assert outputs["high"]["id"].to_pylist() == [2, 3, 4]
    assert outputs["low"].to_pydict() == {"id": [1], "score": [0.5]}
    assert outputs["sums"]["total"].to_pylist() == [3, 7]


def test_an_object_serves_one_invocation_and_gives_what_is_left():
    @flowc.stage
    class Sum:
        def __init__(self, config: By):
            self.total = config.by

        def __call__(self, rows: pa.RecordBatch) -> None:
            self.total += pc.sum(rows["id"]).as_py()

        def finish(self) -> flowc.Batch[Total]:
            return {"total": [self.total]}

    for _ in range(2):
        assert out(Sum, config={"by": 100}, batch_rows=2)["total"].to_pylist() == [110]


def test_what_is_set_up_is_kept_per_config():
    calls = []

    @flowc.stage(adds={"more": int})
    class Model:
        def __init__(self, loaded):
            self.loaded = loaded

        @staticmethod
        def setup(config: By):
            calls.append(config.by)
            return config.by

        def __call__(self, rows: pa.RecordBatch):
            return pc.add(rows["id"], self.loaded)

    assert [out(Model, config={"by": by})["more"][0].as_py() for by in (1, 2, 1, 2)] == [2, 3, 2, 3]
    assert calls == [1, 2]


def test_a_stage_without_inputs_has_parts():
    @flowc.stage(parts=3)
    def made(part: int) -> Iterator[flowc.Batch[Ids]]:
        yield {"id": [part, part * 10]}

    assert run(made)["out"]["id"].to_pylist() == [0, 0, 1, 10, 2, 20]


def test_async_calls_run_together_and_come_out_in_order():
    running, most = 0, 0

    @flowc.stage(adds={"again": int}, concurrency=3)
    async def slow(rows: pa.RecordBatch):
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.05 - 0.01 * rows["id"][0].as_py())
        running -= 1
        return rows["id"]

    assert out(slow, batch_rows=1)["again"].to_pylist() == [1, 2, 3, 4]
    assert most == 3


def test_async_generators_and_whole_inputs():
    @flowc.stage
    async def slow(rows: pa.Table) -> Iterator[flowc.Batch[Ids]]:
        for batch in rows.select(["id"]).to_batches():
            await asyncio.sleep(0)
            yield batch

    assert out(slow, batch_rows=3)["id"].to_pylist() == [1, 2, 3, 4]


def test_frames():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")

    @flowc.stage(adds={"double": float})
    def with_pandas(rows: pd.DataFrame):
        return rows["score"] * 2

    @flowc.stage(classes={"rows": "whole"}, picks=True)
    def with_polars(rows: pl.DataFrame):
        return rows["score"] > rows["score"].mean()

    assert out(with_pandas, batch_rows=3)["double"].to_pylist() == [1.0, 3.0, 5.0, 7.0]
    assert out(with_polars, batch_rows=3)["id"].to_pylist() == [3, 4]


def wrong(match, value, **options):
    @flowc.stage(**options)
    def stage(rows: pa.RecordBatch):
        return value(rows) if callable(value) else value

    with pytest.raises(Breach, match=match):
        out(stage)


def test_what_does_not_fit_the_declaration_is_told():
    wrong("output `out` adds columns to 4 rows, and 3 values were returned", [1, 2, 3], adds={"n": int})
    wrong("output `out` picks among 4 rows, and masks for 1 were returned", [True], picks=True)
    wrong("output `out`: nothing was returned", None, adds={"n": int})
    wrong("output `out`: column `n` is missing, `id` is not declared, ", lambda rows: rows, adds={"n": int})
    wrong("there is no output `c`", {"c": 1}, outputs={"a": Ids, "b": Ids})
    wrong("a dict or a NamedTuple with the outputs `a`, `b`", 1, outputs={"a": Ids, "b": Ids})


def test_inputs_are_checked_by_name():
    @flowc.stage(picks=True)
    def picked(rows: pa.RecordBatch): ...

    with pytest.raises(TypeError, match=r"has the inputs \['rows'\], not \['row'\]"):
        run(picked, {"row": ROWS})
    with pytest.raises(TypeError, match="is no stage"):
        run(print)
