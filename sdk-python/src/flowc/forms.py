"""What a function returned in place of what its declaration calls for: what it is, what is wanted, and an example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from .frames import is_frame
from .misfit import article, kind
from .problem import WrongForm
from .texts import shown, type_name

MASK = (
    'a mask is wanted, true or false for each row, such as `return pyarrow.compute.greater(rows["column"], 0)` or '
    "`return [True, False]` for two rows"
)
SCALARS = (bool, int, float, str, bytes, pa.Scalar)


def no_rows(value: Any, schema: pa.Schema, of_input: bool) -> WrongForm:
    """That this is no batch of these columns."""
    return WrongForm(f"{_what(value)} was returned; {_rows(schema, of_input)}{_hint(value, of_input)}")


def unequal(lengths: Sequence[int], schema: pa.Schema, of_input: bool) -> WrongForm:
    """That columns are not of one length."""
    each = ", ".join(f"`{name}` has {length}" for name, length in zip(schema.names, lengths, strict=True))
    return WrongForm(f"the columns differ in length: {each}; {_rows(schema, of_input)}")


def no_column(value: Any) -> WrongForm | None:
    """That this is a single value, where the values of a column are wanted; None if it is not."""
    if not (isinstance(value, SCALARS) or value is None):
        return None
    given = f"{article(kind(value))} ({shown(value)})" if value is not None else "None"
    return WrongForm(
        f"{given} is one value; a column is a list of values, one for each row, such as `[{shown(value)}]`"
    )


def may_be_column(value: Any, wanted: pa.DataType) -> bool:
    """Whether this may hold the values of the only column."""
    if not hasattr(value, "__len__") or isinstance(value, str | bytes | tuple | set | frozenset | pa.Schema):
        return False
    if not len(value):
        return True
    if _is_mask(value) and not kinds.is_boolean(wanted):
        return False
    return not (isinstance(value, list) and isinstance(value[0], pa.RecordBatch | pa.Table))


def no_mask(value: Any) -> WrongForm | None:
    """That this is no mask; None if it may be one."""
    if is_rows(value):
        hint = "; for rows of its own a function is declared with `output=...` in place of `picks=True`"
    elif isinstance(value, SCALARS):
        hint = "; for all rows or none, `return [True] * rows.num_rows` or `[False] * rows.num_rows`"
    elif isinstance(value, set | frozenset):
        hint = "; a set has no order"
    elif isinstance(value, Iterable) and hasattr(value, "__len__") and getattr(value, "ndim", 1) == 1:
        return None
    else:
        hint = _hint(value, True)
    return WrongForm(f"{_what(value)} was returned; {MASK}{hint}")


def no_outputs(value: Any, names: Iterable[str]) -> WrongForm:
    """That this does not say what goes to which output."""
    listed = list(names)
    example = ", ".join(f'"{name}": ...' for name in listed)
    return WrongForm(
        f"a dict or a NamedTuple with the outputs {', '.join(f'`{name}`' for name in listed)} is wanted, such as "
        f"`return {{{example}}}`; {_what(value)} was returned"
    )


def example(schema: pa.Schema) -> str:
    """A line of code that returns these columns."""
    return "`return {" + ", ".join(f'"{name}": [...]' for name in schema.names) + "}`"


def is_rows(value: Any) -> bool:
    """Whether this has rows of several columns, whatever they hold."""
    if isinstance(value, list | tuple):
        return bool(value) and isinstance(value[0], Mapping | pa.RecordBatch | pa.Table | list | tuple)
    is_table = isinstance(value, pa.RecordBatch | pa.Table | Mapping)
    return is_table or is_frame(value, "pandas") or is_frame(value, "polars")


def _rows(schema: pa.Schema, of_input: bool) -> str:
    listed = ", ".join(f"{field.name}: {type_name(field.type)}{'?' if field.nullable else ''}" for field in schema)
    if of_input:
        return f"a value for each row of the input is wanted in the columns {listed}, such as {example(schema)}"
    return f"rows with the columns {listed} are wanted, such as {example(schema)}"


def _what(value: Any) -> str:
    if isinstance(value, SCALARS):
        return f"{article(kind(value))} ({shown(value)})"
    if isinstance(value, list | tuple) and value:
        return f"{article(kind(value))} of {kind(value[0])}"
    return article(kind(value))


def _hint(value: Any, of_input: bool) -> str:
    if _is_mask(value):
        return "; if that is a mask of the rows that stay, declare `picks=True`"
    if isinstance(value, SCALARS):
        return "; for one value in all rows, `[value] * rows.num_rows`" if of_input else ""
    if isinstance(value, set | frozenset):
        return "; a set has no order: give a list"
    if hasattr(value, "collect") and type(value).__module__.startswith("polars"):
        return "; call its `.collect()`"
    if isinstance(value, list | tuple) and value and isinstance(value[0], pa.RecordBatch | pa.Table):
        return "; yield each of them, or return one table, by `pyarrow.Table.from_batches` or `pyarrow.concat_tables`"
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return "; make each row a dict, with the names of its columns"
    if isinstance(value, Iterator | pa.RecordBatchReader):
        return "; write `yield from` before an iterator of batches, or make a list of an iterator of values"
    return ""


def _is_mask(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, bool) for one in value)
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return kinds.is_boolean(value.type)
    return str(getattr(value, "dtype", "")).lower() in ("bool", "boolean")
