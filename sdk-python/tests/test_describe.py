from dataclasses import dataclass

import pyarrow as pa
import pytest

import flowc
from flowc.declare import stage_of
from flowc.describe import describe
from flowc.description import InputDescription, Rows

ROWS = pa.schema([pa.field("id", pa.int64(), nullable=False), ("text", pa.string()), ("score", pa.float64())])


class Text(flowc.Columns):
    text: str | None


class Strict(flowc.Columns):
    text: str


class Wrong(flowc.Columns):
    score: int | None


class Added(flowc.Columns):
    words: int


@dataclass
class By:
    column: str


def described(code, config=None, *schemas):
    return describe(stage_of(code), config or {}, schemas or [ROWS])


def test_only_declared_columns_are_read():
    @flowc.stage
    def by_annotation(rows: flowc.Batch[Text]) -> flowc.Batch[Added]: ...

    @flowc.stage(reads=["score", "id"], adds=Added)
    def by_argument(rows: pa.RecordBatch): ...

    @flowc.stage(reads=lambda config: [config.column], picks=True)
    def by_config(rows: pa.RecordBatch, config: By): ...

    @flowc.stage
    def everything(rows: pa.RecordBatch) -> flowc.Batch[Added]: ...

    assert described(by_annotation).inputs[0].reads == (1,)
    assert described(by_argument).inputs[0].reads == (0, 2)
    assert described(by_config, {"column": "text"}).inputs[0].reads == (1,)
    assert described(everything).inputs[0].reads == (0, 1, 2)


def test_keys_are_read():
    @flowc.stage(classes={"rows": flowc.Keyed(lambda config: [config.column])}, reads=["score"])
    def keyed(rows: pa.Table, config: By) -> flowc.Batch[Added]: ...

    assert described(keyed, {"column": "text"}).inputs == (InputDescription("keyed", (1, 2), (1,)),)


def test_added_columns_come_last_and_replaced_ones_stay():
    @flowc.stage(adds={"words": pa.int32(), "text": flowc.nullable(pa.string())}, drops=["score"])
    def added(rows: pa.RecordBatch): ...

    output = described(added).outputs[0]
    assert output.schema.names == ["id", "text", "words"]
    assert (output.passed, output.rows) == ((0, None, None), Rows("same", 0))
    assert output.sent().written.names == ["text", "words"]


def test_picked_rows_are_numbers():
    @flowc.stage(picks=True, drops=["score"])
    def picked(rows: pa.RecordBatch): ...

    output = described(picked).outputs[0]
    assert (output.schema.names, output.passed, output.rows) == (["id", "text"], (0, 1), Rows("subset", 0))
    assert output.sent().written == pa.schema([pa.field("row", pa.uint64(), nullable=False)])


def test_rows_are_those_of_the_input_that_drives_the_stage():
    @flowc.stage(picks=True)
    def known(table: pa.Table, rows: pa.RecordBatch): ...

    assert described(known, {}, pa.schema([("a", pa.int8())]), ROWS).outputs[0].rows == Rows("subset", 1)


def test_columns_may_depend_on_inputs_and_config():
    @flowc.stage(output=lambda schema, config: pa.schema([schema.field(config.column)]))
    def projected(rows: pa.RecordBatch, config: By): ...

    @flowc.stage(adds=lambda schema: {f"{name}_is_null": pa.bool_() for name in schema.names})
    def nulls(rows: pa.RecordBatch): ...

    assert described(projected, {"column": "score"}).outputs[0].schema.names == ["score"]
    assert described(nulls).outputs[0].schema.names[3:] == ["id_is_null", "text_is_null", "score_is_null"]


def test_a_column_that_is_not_there_is_blamed_on_the_config_that_names_it():
    @flowc.stage(reads=lambda config: [config.column], picks=True)
    def picked(rows: pa.RecordBatch, config: By): ...

    with pytest.raises(flowc.Problem) as raised:
        described(picked, {"column": "texts"})
    problem = raised.value
    assert problem.message == "input `rows` has no column `texts`"
    assert (problem.config_path, problem.help) == ("/column", "did you mean `text`?")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Strict, "column `text` of input `rows` may hold nulls; the stage reads one without"),
        (Wrong, "column `score` of input `rows` is float64; the stage reads int64"),
    ],
)
def test_columns_that_do_not_fit_are_problems(columns, message):
    @flowc.stage
    def strict(rows: flowc.Batch[columns]) -> flowc.Batch[Added]: ...

    with pytest.raises(flowc.Problem, match=message):
        described(strict)


def test_parts_may_depend_on_the_config():
    @flowc.stage(parts=lambda config: len(config.column))
    def made(part: int, config: By) -> flowc.Batch[Added]: ...

    assert describe(stage_of(made), {"column": "abc"}, []).parts == 3
