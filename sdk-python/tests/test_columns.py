import datetime
from typing import Annotated

import pyarrow as pa
import pytest

import flowc


def test_types_of_python_are_columns_without_nulls_unless_none_is_allowed():
    class Text(flowc.Columns):
        name: str
        age: int | None
        score: float
        seen: datetime.datetime | None
        is_new: bool
        raw: bytes

    due = [
        pa.field("name", pa.string(), nullable=False),
        pa.field("age", pa.int64()),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("seen", pa.timestamp("us")),
        pa.field("is_new", pa.bool_(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
    ]
    assert pa.schema(due) == Text.schema


def test_types_of_pyarrow_stand_alone_or_beside_one_of_python():
    class Numbers(flowc.Columns):
        a: pa.int32()
        b: flowc.nullable(pa.int8())
        c: Annotated[int, pa.uint16()]
        d: Annotated[float | None, pa.float32()]

    due = [
        pa.field("a", pa.int32(), nullable=False),
        pa.field("b", pa.int8()),
        pa.field("c", pa.uint16(), nullable=False),
        pa.field("d", pa.float32()),
    ]
    assert pa.schema(due) == Numbers.schema


def test_columns_are_inherited():
    class Base(flowc.Columns):
        a: int

    class More(Base):
        b: str

    assert (Base.schema.names, More.schema.names) == (["a"], ["a", "b"])


def test_what_is_no_type_of_a_column_is_named():
    with pytest.raises(TypeError, match=r"Bad\.a: <class 'object'> is no type of a column"):

        class Bad(flowc.Columns):
            a: object
