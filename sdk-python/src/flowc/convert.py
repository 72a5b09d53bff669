"""What a stage's code returned, as record batches of the declared columns: no value is changed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from . import forms, misfit
from .exact import keeps_all
from .frames import is_frame
from .index import by_rows
from .problem import Breach, WrongForm
from .texts import is_text, shown, type_name

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


def to_batches(value: Any, schema: pa.Schema, first: int = 0) -> Iterator[pa.RecordBatch]:
    """Rows of the declared columns, in as many batches as the code made; `first` rows come before them."""
    parts = value.to_batches() if isinstance(value, pa.Table) and value.num_rows else [value]
    for part in parts:
        batch = to_batch(part, schema, first)
        first += batch.num_rows
        yield batch


def to_batch(value: Any, schema: pa.Schema, first: int = 0, *, of_input: bool = False) -> pa.RecordBatch:
    """The same, in one batch. Rows `of_input` have its order, which an index of pandas tells."""
    if isinstance(value, pa.RecordBatch) and value.schema.equals(schema):
        batch = value
    elif _is_nothing(value):
        batch = batch_of([_no_values(field.type) for field in schema], schema, 0)
    else:
        columns = _columns(value, schema, first, of_input)
        _check_names(list(columns), schema, value)
        arrays = [_column(columns[field.name], field, first, of_input) for field in schema]
        if len({len(array) for array in arrays}) > 1:
            raise forms.unequal(list(map(len, arrays)), schema, of_input)
        batch = batch_of(arrays, schema, value.num_rows if isinstance(value, pa.RecordBatch | pa.Table) else 0)
    for field, column in zip(schema, batch.columns, strict=True):
        if not field.nullable and (nulls := column.null_count):
            row = column.is_null().index(True).as_py()
            raise Breach(
                f"column `{field.name}` holds {nulls} nulls (the first in row {first + row + 1}), and is declared "
                f"{type_name(field.type)} without; declare it with `| None` or flowc.nullable(...), or fill them "
                "(pandas writes them as NaN)"
            )
    return batch


def to_mask(value: Any, first: int = 0) -> pa.Array[Any]:
    """A mask of rows of an input."""
    if value is not None and (wrong := forms.no_mask(value)) and not _is_nothing(value):
        raise wrong
    mask = _located(value, pa.bool_(), "the mask", first, of_input=True)
    if not kinds.is_boolean(mask.type) and len(mask):
        raise Breach(f"the mask is {mask.type}; compare the values, so that each row has true or false")
    return mask if len(mask) else _no_values(pa.bool_())


def batch_of(arrays: list[pa.Array[Any]], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """A batch of these columns. If there are none, it has rows all the same."""
    if arrays:
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.nulls(rows, pa.struct([])))


def _is_nothing(value: Any) -> bool:
    """Whether this has neither rows nor columns, so that it says nothing of its columns either."""
    if value is None:
        return True
    if is_frame(value, "pandas") or is_frame(value, "polars"):
        return bool(value.shape == (0, 0))
    if isinstance(value, pa.RecordBatch | pa.Table):
        return value.num_rows == value.num_columns == 0
    return isinstance(value, list | tuple | Mapping) and not value


def _columns(value: Any, schema: pa.Schema, first: int, of_input: bool) -> dict[str, Any]:
    """Columns by name."""
    if isinstance(value, pa.RecordBatch | pa.Table):
        return {name: value.column(number) for number, name in enumerate(value.schema.names)}
    if isinstance(value, Mapping):
        return dict(value)
    if is_frame(value, "pandas"):
        return {str(name): value[name] for name in value.columns}
    if is_frame(value, "polars"):
        return {series.name: series for series in value.get_columns()}
    if isinstance(value, list) and isinstance(value[0], Mapping):
        return _columns_of_rows(value, first)
    if len(schema) == 1 and forms.may_be_column(value, schema.types[0]):
        return {schema.names[0]: value}
    raise forms.no_rows(value, schema, of_input)


def _columns_of_rows(rows: list[Any], first: int) -> dict[str, Any]:
    odd = next((number for number, row in enumerate(rows) if not isinstance(row, Mapping)), None)
    if odd is not None:
        raise Breach(f"row {first + odd + 1} is {misfit.kind(rows[odd])} ({shown(rows[odd])}), where others are dicts")
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def _check_names(found: Sequence[str], schema: pa.Schema, value: Any) -> None:
    missing = [name for name in schema.names if name not in found]
    surplus = [name for name in found if name not in schema.names]
    if missing or surplus:
        wrong = ", ".join(
            [f"`{name}` is missing" for name in missing] + [f"`{name}` is not declared" for name in surplus]
        )
        given = _listed(value.schema) if isinstance(value, pa.RecordBatch | pa.Table) else ", ".join(found) or "none"
        return_line = f"; such as {forms.example(schema)}" if schema.names else ""
        raise Breach(f"column {wrong}; returned: {given}; declared: {_listed(schema)}{return_line}")


def _column(value: Any, field: pa.Field[Any], first: int, of_input: bool) -> pa.Array[Any]:
    if (no_column := forms.no_column(value)) is not None:
        raise WrongForm(f"column `{field.name}`: {no_column}")
    array = _located(value, field.type, f"column `{field.name}`", first, of_input)
    if array.type.equals(field.type):
        return array
    if not _may_stand_for(array.type, field.type):
        raise Breach(f"column `{field.name}` {misfit.typed(array, field.type, first)}")
    try:
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise Breach(f"column `{field.name}` {misfit.cast(array, field.type, first, error)}") from error


def _located(value: Any, wanted: pa.DataType, name: str, first: int, of_input: bool) -> pa.Array[Any]:
    """One array; what goes wrong says of which column, and in which row."""
    try:
        value = by_rows(value) if of_input and _has_index(value) else value
        return _array(value, wanted)
    except MemoryError:
        raise
    except Breach as breach:
        raise Breach(f"{name}: {breach}") from breach
    except Exception as error:  # values may be objects of any library, which raise what they like
        raise Breach(f"{name}: {misfit.untyped(value, wanted, first, error)}") from error


def _has_index(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "index")


def _array(value: Any, wanted: pa.DataType) -> pa.Array[Any]:
    """One array; what has no type of its own gets the wanted one."""
    if type(value).__module__.startswith("polars"):
        value = value.to_arrow()
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return _joined(value)
    if hasattr(value, "__len__") and not len(value):
        return _no_values(wanted)
    dtype = getattr(value, "dtype", None)
    if dtype is not None and str(dtype) != "object" and getattr(dtype, "kind", "O") not in "SV":
        return _joined(pa.array(value))
    values = value if hasattr(value, "__len__") else list(value)
    array = _joined(pa.array(values, type=wanted))
    if not keeps_all(values, wanted):
        raise TypeError(f"a value can't be kept in {wanted}")
    return array


def _no_values(type_: pa.DataType) -> pa.Array[Any]:
    return pa.array([], type=type_)


def _joined(array: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.Array[Any]:
    """All values in one array. Offsets of 32 bits don't reach beyond 2 GiB, so that some arrays can't be joined."""
    if isinstance(array, pa.Array):
        return array
    joined = array.chunk(0) if array.num_chunks == 1 else _combined(array)
    if isinstance(joined, pa.Array):
        return joined
    raise Breach(
        f"{array.nbytes / 2**30:.1f} GiB of {array.type} are too much for one batch; give fewer rows at a time, or "
        f"declare a type with longer offsets, such as large_{array.type}"
    )


def _combined(array: pa.ChunkedArray[Any]) -> pa.Array[Any] | pa.ChunkedArray[Any]:
    """In one array, if one can hold them."""
    try:
        return array.combine_chunks()
    except pa.ArrowInvalid:
        return array


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
    return (
        ", ".join(f"{field.name}: {type_name(field.type)}{'?' if field.nullable else ''}" for field in schema) or "none"
    )
