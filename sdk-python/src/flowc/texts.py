"""Texts: their types in Arrow, of which a stage gets the one that it declares; and how much of a long one is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as kinds

if TYPE_CHECKING:
    from .work import Inlet


def is_text(type_: pa.DataType) -> bool:
    """Whether this is one of those types."""
    return kinds.is_string(type_) or kinds.is_large_string(type_) or kinds.is_string_view(type_)


def as_declared(inlet: Inlet, columns: pa.Schema | None) -> Inlet:
    """The inlet, whose texts are of the types that these columns have. It is the same one where they are already."""
    schema = pa.schema([_declared(field, columns) for field in inlet.schema]) if columns is not None else inlet.schema
    return inlet if schema.equals(inlet.schema) else _Cast(inlet, schema)


def _declared(field: pa.Field[Any], columns: pa.Schema) -> pa.Field[Any]:
    number = columns.get_field_index(field.name)
    wanted = field.type if number < 0 else columns.field(number).type
    return field.with_type(wanted) if is_text(field.type) and is_text(wanted) else field


class _Cast:
    """An inlet with texts of other types."""

    def __init__(self, inlet: Inlet, schema: pa.Schema) -> None:
        self.schema = schema
        self.release, self.flush = inlet.release, inlet.flush
        self._inlet = inlet

    @property
    def rows(self) -> int:
        return self._inlet.rows

    def read(self) -> pa.RecordBatch | None:
        batch = self._inlet.read()
        return None if batch is None else batch.cast(self.schema)


ALIASES = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""What Arrow prints for types that pyarrow's functions call otherwise."""


def type_name(type_: pa.DataType) -> str:
    """A type under the name that the stage's author writes."""
    return ALIASES.get(str(type_), str(type_))


def shortened(text: str, most: int) -> str:
    """The text; of a long one the beginning, and how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters in all)"


def shown(value: object) -> str:
    """A value of somebody's, as a message may show it."""
    try:
        text = repr(value[:60]) if isinstance(value, str | bytes) else repr(value)
    except Exception as error:
        return f"which can't be shown: {type(error).__name__}"
    is_cut = len(text) > 60 or (isinstance(value, str | bytes) and len(value) > 60)
    return f"{text[:57]}..." if is_cut else text
