import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pytest

import flowc
from flowc.declare import stage_of


class Out(flowc.Columns):
    n: int


class Two(NamedTuple):
    good: flowc.Batch[Out]
    bad: flowc.Batch[Out] | None


@dataclass
class Config:
    by: str


def test_annotations_declare_inputs_and_their_classes():
    @flowc.stage
    def matched(rows: pa.RecordBatch, table: pa.Table, config: Config) -> flowc.Batch[Out]:
        """Counts
        matches.

        Slowly.
        """

    stage = stage_of(matched)
    assert [(port.name, port.needs) for port in stage.inputs] == [("rows", "row-wise"), ("table", "whole")]
    assert [port.name for port in stage.outputs] == ["out"]
    assert (stage.name, stage.doc) == ("matched", "Counts matches.")
    assert stage.config.schema()["required"] == ["by"]


def test_an_iterator_is_a_segment_and_classes_may_be_said():
    @flowc.stage
    def segment(rows: Iterator[flowc.Batch[Out]]) -> Iterator[flowc.Batch[Out]]: ...

    @flowc.stage(classes={"rows": flowc.Keyed("n")})
    def keyed(rows: pa.Table) -> flowc.Batch[Out]: ...

    @flowc.stage
    class Rest:
        def __call__(self, rows: pa.RecordBatch) -> None: ...
        def finish(self) -> flowc.Batch[Out]: ...

    assert stage_of(segment).inputs[0].needs == "per-segment"
    assert (stage_of(keyed).inputs[0].needs, stage_of(keyed).inputs[0].keys) == ("keyed", ("n",))
    assert stage_of(Rest).inputs[0].needs == "per-segment"


def test_a_named_tuple_declares_several_outputs():
    @flowc.stage
    def parted(rows: pa.RecordBatch) -> Two: ...

    assert [(port.name, port.is_optional) for port in stage_of(parted).outputs] == [("good", False), ("bad", True)]


def test_what_is_decorated_can_be_called_as_before():
    @flowc.stage
    def double(rows: pa.RecordBatch) -> flowc.Batch[Out]:
        return 2

    assert double(None) == 2


def refused(match, **options):
    def decorator(code):
        with pytest.raises(TypeError, match=re.escape(match)) as raised:
            flowc.stage(**options)(code)
        assert str(raised.value).startswith(f"stage `{code.__name__}`: ")
        return code

    return decorator


def test_mistakes_are_told_when_the_module_is_read():
    @refused("parameter `rows` has no annotation; an input is annotated `pyarrow.RecordBatch`")
    def no_annotation(rows) -> flowc.Batch[Out]: ...

    @refused("the output is not declared")
    def no_output(rows: pa.RecordBatch): ...

    @refused("can't both drive the stage")
    def two_drivers(a: Iterator[pa.RecordBatch], b: Iterator[pa.RecordBatch]) -> flowc.Batch[Out]: ...

    @refused("would end with the first batch of `a`", classes={"b": "whole"})
    def used_up(a: pa.RecordBatch, b: Iterator[pa.RecordBatch]) -> flowc.Batch[Out]: ...

    @refused("`classes` names `row`; the inputs are rows", classes={"row": "whole"})
    def misspelt(rows: pa.RecordBatch) -> flowc.Batch[Out]: ...

    @refused("keyed by which columns?", classes={"rows": "keyed"})
    def keyed(rows: pa.Table) -> flowc.Batch[Out]: ...

    @refused("is no class", classes={"rows": "rowwise"})
    def no_class(rows: pa.Table) -> flowc.Batch[Out]: ...

    @refused("declared twice", reads=["n"])
    def twice(rows: flowc.Batch[Out]) -> flowc.Batch[Out]: ...

    @refused("`batch` is for a function that is called for each batch", batch=flowc.Batching(8))
    def not_by_batch(rows: Iterator[pa.RecordBatch]) -> flowc.Batch[Out]: ...

    @refused("need an input whose rows they keep", adds={"n": pa.int32()})
    def no_input(): ...

    @refused("`merge` and `finish` are missing")
    class Combining:
        def partial(self, rows: pa.Table) -> flowc.Batch[Out]: ...


def test_arguments_that_exclude_one_another_are_refused():
    with pytest.raises(TypeError, match="give one of"):
        flowc.stage(picks=True, adds={"n": pa.int32()})
    with pytest.raises(TypeError, match="`drops` goes with"):
        flowc.stage(drops=["a"])


@pytest.mark.parametrize("rows_and_seconds", [(0, 1), (8, -1), (8, float("nan"))])
def test_batches_that_can_not_be_are_refused(rows_and_seconds):
    with pytest.raises(ValueError, match=r"a batch has at least one row|rows can't wait for"):
        flowc.Batching(*rows_and_seconds)
