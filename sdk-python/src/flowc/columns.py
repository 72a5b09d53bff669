"""Columns declared as a class: names, types, and whether there may be nulls."""

from __future__ import annotations

import datetime
import inspect
import types
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin

import pyarrow as pa

from .gathering import Gathering

TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    datetime.date: pa.date32(),
    datetime.time: pa.time64("us"),
    datetime.datetime: pa.timestamp("us"),
    datetime.timedelta: pa.duration("us"),
}


class Columns:
    """The columns that a stage reads or writes, one annotation each.

        class Text(flowc.Columns):
            id: int                              # int64, no nulls
            text: str | None                     # string, nulls allowed
            score: Annotated[float, pa.float32()]

    Types of pyarrow may also stand alone (`score: pa.float32()`, `score: flowc.nullable(pa.float32())`).
    """

    schema: ClassVar[pa.Schema]

    def __init_subclass__(cls) -> None:
        inherited: pa.Schema = getattr(cls, "schema", pa.schema([]))
        declared = inspect.get_annotations(cls, eval_str=True)
        fields = {field.name: field for field in inherited}
        fields |= {field.name: field for field in _fields(cls, declared)}
        cls.schema = pa.schema(fields.values())


def nullable(type: pa.DataType) -> pa.Field[Any]:  # noqa: A002
    """A column of this type that may hold nulls."""
    return pa.field("", type, nullable=True)


def is_columns(value: object) -> bool:
    """Whether this is a class of columns."""
    return isinstance(value, type) and issubclass(value, Columns)


def schema_of(declared: Any) -> pa.Schema:
    """The schema that a class of columns, a schema, or a dict of types declares."""
    if is_columns(declared):
        columns: type[Columns] = declared
        return columns.schema
    if isinstance(declared, pa.Schema):
        return declared
    if isinstance(declared, dict):
        return pa.schema(_fields(None, declared))
    raise TypeError(f"{declared!r} declares no columns: give a pyarrow schema, a flowc.Columns class, or a dict")


def _fields(owner: type | None, declared: Mapping[str, Any]) -> list[pa.Field[Any]]:
    found = Gathering()
    fields = found.map(lambda name, annotation: _field(owner, name, annotation), declared.keys(), declared.values())
    found.check()
    return fields


def _field(owner: type | None, name: str, annotation: Any) -> pa.Field[Any]:
    type_, has_nulls = _type(annotation)
    if type_ is None:
        place = f"{owner.__name__}.{name}" if owner else f"column {name}"
        raise TypeError(f"{place}: {annotation!r} is no type of a column; name a pyarrow type such as pa.int32()")
    return pa.field(name, type_, nullable=has_nulls)


def _type(annotation: Any) -> tuple[pa.DataType | None, bool]:
    if isinstance(annotation, pa.Field):
        return annotation.type, annotation.nullable
    if isinstance(annotation, pa.DataType):
        return annotation, False
    if get_origin(annotation) is Annotated:
        stated = next((extra for extra in annotation.__metadata__ if isinstance(extra, pa.DataType)), None)
        found, has_nulls = _type(annotation.__origin__)
        return stated or found, has_nulls
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return (_type(rest[0])[0], True) if len(rest) == 1 else (None, False)
    return TYPES.get(annotation), False


C = TypeVar("C")

if TYPE_CHECKING:
    from collections.abc import Mapping

    class _BatchOf(pa.RecordBatch, Generic[C]):
        pass

    class _TableOf(pa.Table, Generic[C]):
        pass

    # A union, so that any record batch will do where a `Batch[...]` is returned.
    Batch = Union[pa.RecordBatch, _BatchOf[C]]  # noqa: UP007
    Table = Union[pa.Table, _TableOf[C]]  # noqa: UP007
else:

    class Batch:
        """`Batch[Text]`: a `pyarrow.RecordBatch` with the columns that the class `Text` declares."""

        def __class_getitem__(cls, columns: type[Columns]) -> Any:
            return Annotated[pa.RecordBatch, columns]

    class Table:
        """`Table[Text]`: a `pyarrow.Table` with the columns that the class `Text` declares."""

        def __class_getitem__(cls, columns: type[Columns]) -> Any:
            return Annotated[pa.Table, columns]
