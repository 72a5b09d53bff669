"""What a stage's code returned, as record batches of the declared columns: no value is changed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from .frames import is_frame
from .problem import Breach
from .texts import is_text

FAMILIES = (
    lambda type_: kinds.is_integer(type_) or kinds.is_floating(type_),
    is_text,
    lambda type_: kinds.is_binary(type_) or kinds.is_large_binary(type_) or kinds.is_binary_view(type_),
    lambda type_: kinds.is_list(type_) or kinds.is_large_list(type_) or kinds.is_fixed_size_list(type_),
    kinds.is_timestamp,
    kinds.is_duration,
    kinds.is_time,
    kinds.is_date,
    kinds.is_decimal,
)
"""Types that may stand for one another where every value fits."""


def to_batches(value: Any, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Rows of the declared columns, in as many batches as the code made."""
    if isinstance(value, pa.RecordBatch):
        return [to_batch(value, schema)]
    if isinstance(value, pa.Table):
        return [to_batch(batch, schema) for batch in value.to_batches()]
    return [to_batch(value, schema)]


def to_batch(value: Any, schema: pa.Schema) -> pa.RecordBatch:
    """The same, in one batch."""
    if isinstance(value, pa.RecordBatch) and value.schema.equals(schema):
        batch = value
    else:
        columns = _columns(value, schema)
        _check_names(list(columns), schema, value)
        arrays = [_column(columns[field.name], field) for field in schema]
        if len({len(array) for array in arrays}) > 1:
            lengths = ", ".join(f"`{name}` has {len(array)}" for name, array in zip(schema.names, arrays, strict=True))
            raise Breach(f"the columns differ in length: {lengths}")
        batch = batch_of(arrays, schema, value.num_rows if isinstance(value, pa.RecordBatch | pa.Table) else 0)
    for number, field in enumerate(schema):
        if not field.nullable and (nulls := batch.column(number).null_count):
            raise Breach(
                f"column `{field.name}` holds {nulls} nulls, and is declared without; "
                "declare it with `| None` or flowc.nullable(...), or fill them (pandas writes them as NaN)"
            )
    return batch


def to_mask(value: Any) -> pa.Array[Any]:
    """A mask of rows."""
    mask = _array(value, pa.bool_())
    if not kinds.is_boolean(mask.type):
        raise Breach(f"the mask is {mask.type}; compare the values, so that each row has true or false")
    return mask


def batch_of(arrays: list[pa.Array[Any]], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """A batch of these columns. If there are none, it has rows all the same."""
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.nulls(rows, pa.struct([])))


def _columns(value: Any, schema: pa.Schema) -> dict[str, Any]:
    """Columns by name."""
    if isinstance(value, pa.RecordBatch | pa.Table):
        return {name: value.column(number) for number, name in enumerate(value.schema.names)}
    if isinstance(value, Mapping):
        return dict(value)
    if is_frame(value, "pandas"):
        return {str(name): value[name] for name in value.columns}
    if is_frame(value, "polars"):
        return {series.name: series for series in value.get_columns()}
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return {name: [row.get(name) for row in value] for name in dict.fromkeys(name for row in value for name in row)}
    if len(schema) == 1 and (hasattr(value, "__len__") and not isinstance(value, str | bytes | tuple)):
        return {schema.names[0]: value}
    raise Breach(f"{_named(value)} was returned, which is no batch of the columns {_listed(schema)}")


def _check_names(found: Sequence[str], schema: pa.Schema, value: Any) -> None:
    missing = [name for name in schema.names if name not in found]
    surplus = [name for name in found if name not in schema.names]
    if missing or surplus:
        first = f"`{missing[0]}` is missing" if missing else f"`{surplus[0]}` is not declared"
        given = _listed(value.schema) if isinstance(value, pa.RecordBatch | pa.Table) else ", ".join(found) or "none"
        raise Breach(f"column {first}; returned: {given}; declared: {_listed(schema)}")


def _column(value: Any, field: pa.Field[Any]) -> pa.Array[Any]:
    array = _array(value, field.type)
    if array.type.equals(field.type):
        return array
    if not _may_stand_for(array.type, field.type):
        raise Breach(f"column `{field.name}` is {array.type}, and declared {field.type}; {_advice(field)}")
    try:
        return array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Breach(f"column `{field.name}` is {array.type}, and does not fit {field.type}: {error}") from error


def _advice(field: pa.Field[Any]) -> str:
    return f'convert it, such as by `pyarrow.compute.cast(column, "{field.type}", safe=False)`, or declare another type'


def _array(value: Any, wanted: pa.DataType) -> pa.Array[Any]:
    """One array; what has no type of its own gets the wanted one."""
    if type(value).__module__.startswith("polars"):
        value = value.to_arrow()
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks() if value.num_chunks != 1 else value.chunk(0)
    if isinstance(value, pa.ChunkedArray):
        value = pa.concat_arrays(value.chunks)
    if isinstance(value, pa.Array):
        return value
    typed = getattr(getattr(value, "dtype", None), "kind", "O") in "biufmM"
    try:
        return pa.array(value) if typed else pa.array(value, type=wanted)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Breach(f"{_named(value)} makes no column of {wanted}: {error}") from error


def _may_stand_for(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a safe cast keeps what the values mean, if it succeeds."""
    if kinds.is_null(found):
        return True
    if kinds.is_dictionary(found):
        return _may_stand_for(found.value_type, wanted) or found.value_type.equals(wanted)
    if kinds.is_floating(found) and kinds.is_floating(wanted):
        # a narrower one would be rounded without a word
        return bool(found.bit_width <= wanted.bit_width)
    if kinds.is_timestamp(found) and kinds.is_timestamp(wanted):
        return bool(found.tz == wanted.tz)
    return any(bool(family(found)) and bool(family(wanted)) for family in FAMILIES)


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}{'?' if field.nullable else ''}" for field in schema) or "none"


def _named(value: Any) -> str:
    kind = type(value)
    return (
        "nothing"
        if value is None
        else kind.__name__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__name__}"
    )
