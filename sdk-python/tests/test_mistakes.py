"""Mistakes of a declaration and of a pipeline that uses it: all at once, each with what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

import flowc
from flowc.config import config_type
from flowc.declare import stage_of
from flowc.describe import describe
from flowc.problem import Problem, Problems
from flowc.wire import problem_json

ROWS = pa.schema([pa.field("id", pa.int64(), nullable=False), ("text", pa.string()), ("score", pa.float64())])


class Out(flowc.Columns):
    n: int


class Wanted(flowc.Columns):
    idd: int
    text: str
    score: int | None


@dataclass
class Scaling:
    column: str
    factor: float
    names: list[str]
    unit: str = "m"


def problems(call, *arguments):
    with pytest.raises(Problem) as raised:
        call(*arguments)
    return [one["message"] for one in told(raised.value)]


def told(problem):
    first = problem_json(problem)["problem"]
    return [first, *first.get("also", [])]


def test_all_columns_that_do_not_fit_are_told():
    @flowc.stage(classes={"rows": "whole"}, reads={"rows": ["texts", "scor"]})
    def stage(rows: pa.Table, more: flowc.Table[Wanted]) -> flowc.Batch[Out]: ...

    assert problems(describe, stage_of(stage), {}, [ROWS, ROWS]) == [
        "input `rows` has no column `texts`",
        "input `rows` has no column `scor`",
        "input `more` has no column `idd`",
        "column `text` of input `more` may hold nulls; the stage reads one without",
        "column `score` of input `more` is float64; the stage reads int64",
    ]


def test_a_column_that_is_missed_twice_is_told_once():
    @flowc.stage(classes={"rows": flowc.Keyed("who")}, reads=["who"], adds={"n": pa.int32()}, drops=["who", "what"])
    def stage(rows: pa.Table): ...

    wrong = ["input `rows` has no column `who`", "input `rows` has no column `what`"]
    assert problems(describe, stage_of(stage), {}, [ROWS]) == wrong


def test_mistakes_of_columns_and_of_the_code_that_declares_outputs():
    @flowc.stage(reads=["tex"], adds=lambda schema: {"n": schema.field("nn").type})
    def stage(rows: pa.RecordBatch): ...

    found = problems(describe, stage_of(stage), {}, [ROWS])
    assert found[0] == "input `rows` has no column `tex`"
    assert "KeyError" in found[1]


def test_all_keys_of_a_config_and_columns_beside_it_are_told():
    @flowc.stage(reads={"a": lambda config: [config.column], "b": ["tex"]}, output=Out)
    def stage(a: pa.RecordBatch, b: pa.Table, config: Scaling): ...

    with pytest.raises(Problem) as raised:
        describe(stage_of(stage), {"colum": "x", "factor": "y", "names": ["a", 1, 2]}, [ROWS, ROWS])
    assert [(one.get("config_path"), one["message"]) for one in told(raised.value)] == [
        ("/colum", "there is no key `colum`"),
        ("/factor", '"y" is no number'),
        ("/names/1", "1 is no string"),
        ("/names/2", "2 is no string"),
        (None, "input `b` has no column `tex`"),
    ]


def test_all_missing_keys_are_told():
    assert problems(config_type(Scaling).read, {"unit": "km"}) == [
        "the key `column` is missing",
        "the key `factor` is missing",
        "the key `names` is missing",
    ]


def test_all_errors_of_a_pydantic_model_are_told():
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", a=(int, ...), b=(str, ...))
    with pytest.raises(Problem) as raised:
        config_type(model).read({"a": "x"})
    assert [one["config_path"] for one in told(raised.value)] == ["/a", "/b"]


def test_several_problems_are_one_exception():
    several = Problems([Problem("a", "/a"), Problems([Problem("b"), Problem("a", "/a"), Problem("c")])])
    assert (several.message, several.config_path, str(several)) == ("a", "/a", "a\nb\nc")


def declaration(code, **options):
    with pytest.raises(TypeError) as raised:
        flowc.stage(**options)(code)
    return str(raised.value)


def test_all_mistakes_of_a_declaration_are_told():
    def wrong(a, b: pa.Schema, *, config: int): ...

    said = declaration(wrong).splitlines()
    assert said[0].startswith("stage `wrong`: parameter `a` has no annotation")
    assert said[1].startswith("parameter `b` is annotated pyarrow.lib.Schema, which is no type of rows")
    assert said[2].startswith("parameter `config` is annotated <class 'int'>; it is a dataclass")
    assert said[3].startswith("the output is not declared")
    assert len(said) == 4

    def named(rows: pa.RecordBatch, more: pa.Table): ...

    said = declaration(named, output=Out, classes={"row": "whole", "more": "wholly"}, reads={"mor": []})
    assert "`classes` names `row`" in said
    assert "`reads` names `mor`" in said
    assert "`wholly` is no class" in said


def test_all_columns_without_a_type_are_told():
    with pytest.raises(TypeError, match=r"(?s)Bad.a: .*Bad.c: "):
        type("Bad", (flowc.Columns,), {"__annotations__": {"a": list, "b": int, "c": object}})


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (None, "is annotated None, which"),
        (list, "is annotated list, which"),
        (dict[str, list[int]], "is annotated dict[str, list[int]], which"),
        (list[pa.RecordBatch], "which is no type of rows"),
        (Iterator, "which is no type of rows"),
        (Iterator[pa.Table], "which is no type of rows"),
        (pa.Array, "is annotated pyarrow.lib.Array, which"),
        (Any, "which is no type of rows"),
        (Scaling, "Scaling, which is no type of rows"),
        (Out, "is annotated `Out`, its columns alone; write `rows: flowc.Batch[Out]`"),
        ("pa.RecordBach", "'pa.RecordBach', can't be evaluated"),
        ("Missing", "'Missing', can't be evaluated: name 'Missing' is not defined"),
        ("pa.RecordBatch[", "can't be evaluated"),
    ],
)
def test_an_annotation_that_is_no_input_names_the_parameter_and_what_may_stand_there(annotation, says):
    def stage(good: pa.Table, rows): ...

    stage.__annotations__["rows"] = annotation
    said = declaration(stage, output=Out)
    assert "parameter `rows`" in said
    assert says in said
    if "which is no type of rows" in says:
        assert all(
            may in said for may in ("`pyarrow.RecordBatch`", "`pyarrow.Table`", "`flowc.Batch[...]`", "`config`")
        )


def test_inputs_without_a_number():
    def stars(*rows: pa.RecordBatch): ...

    assert "parameter `*rows` stands for any number of inputs" in declaration(stars, output=Out)


def test_a_config_that_is_annotated_none():
    def stage(rows: pa.RecordBatch, config: None): ...

    assert "parameter `config` is annotated None; it is a dataclass" in declaration(stage, output=Out)
