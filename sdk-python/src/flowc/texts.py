"""Texts have several types in Arrow. A stage gets them as the one that it declares."""

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
