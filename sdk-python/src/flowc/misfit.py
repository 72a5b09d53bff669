"""Why values do not make a column: which row, what it is, and what is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .exact import keeps_all
from .remedy import remedy
from .texts import shortened, shown, type_name

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKED_AT = 1 << 16
"""Rows of an array of another type, of which one is shown."""
CONTAINERS = (list, tuple, dict, set)


def untyped(values: Any, wanted: pa.DataType, first: int, error: Exception) -> str:
    """Why these objects of Python make no array of a type; `first` rows of the output come before them."""
    parts = getattr(values, "iloc", values)

    def fits(start: int, end: int) -> bool:
        part = parts[start:end]
        pa.array(part, type=wanted)
        return keeps_all(part, wanted)

    row, name = _first_misfit(values, fits), type_name(wanted)
    if row is None:
        return f"{kind(values)} makes no column of {name}: {_reason(error)}"
    value = parts[row]
    # Of a plain object of another type pyarrow says nothing more, and what it says misleads ("Expected bytes").
    if advice := remedy(value, wanted):
        return f"row {first + row + 1} is {article(kind(value))} ({shown(value)}), where {name} is declared: {advice}"
    says_more = isinstance(value, CONTAINERS) or not (isinstance(error, TypeError) or "Could not convert" in str(error))
    reason = f": {_reason(error)}" if says_more else ""
    return (
        f"row {first + row + 1} is {article(kind(value))} ({shown(value)}), where {name} is declared{reason}; "
        "convert it, or declare another type"
    )


def typed(array: pa.Array[Any], wanted: pa.DataType, first: int) -> str:
    """That an array is of a type that can't stand for the wanted one; the first value is shown."""
    rows = [number for number in range(min(len(array), LOOKED_AT)) if array[number].is_valid]
    row = next((number for number in rows if remedy(_value(array, number), wanted)), next(iter(rows), None))
    is_ = f"is {type_name(array.type)}, and declared {type_name(wanted)}"
    place = "" if row is None else f": row {first + row + 1} is {shown(_value(array, row))}"
    if row is not None and (advice := remedy(_value(array, row), wanted)):
        return f"{is_}{place}, and {advice}"
    cast_ = f'`pyarrow.compute.cast(column, "{type_name(wanted)}", safe=False)`'
    return f"{is_}{place}; convert it, such as by {cast_}, or declare another type"


def cast(array: pa.Array[Any], wanted: pa.DataType, first: int, error: Exception) -> str:
    """Which value of an array can't be said in the wanted type."""
    row = _first_misfit(array, lambda start, end: array[start:end].cast(wanted) is not None)
    place = "" if row is None else f"row {first + row + 1} ({shown(_value(array, row))}) "
    advice = None if row is None else remedy(_value(array, row), wanted)
    why = advice or f"{_reason(error)}; convert it, or declare another type"
    return f"is {type_name(array.type)}, and {place}does not fit {type_name(wanted)}: {why}"


def kind(value: object) -> str:
    """What a value is."""
    type_ = type(value)
    if value is None:
        return "nothing"
    return type_.__name__ if type_.__module__ == "builtins" else f"{type_.__module__}.{type_.__name__}"


def article(noun: str) -> str:
    """The noun with its article."""
    return noun if noun == "nothing" else f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _value(array: pa.Array[Any], row: int) -> Any:
    """A value as Python has it; a time that Python can't say, as a number."""
    try:
        return array[row].as_py()
    except (OverflowError, ValueError):
        return getattr(array[row], "value", None)


def _first_misfit(values: Any, fits: Callable[[int, int], bool]) -> int | None:
    """The first value that does not fit. None if that can't be told."""

    def all_fit(start: int, end: int) -> bool:
        try:
            return fits(start, end)
        except Exception:
            return False

    try:
        start, end = 0, len(values)
    except TypeError:  # it is no sequence
        return None
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (middle, end) if all_fit(start, middle) else (start, middle)
    return None if end == start or all_fit(start, end) or not _is_there(values, start) else start


def _is_there(values: Any, place: int) -> bool:
    try:
        getattr(values, "iloc", values)[place]
    except Exception:
        return False
    return True


def _reason(error: Exception) -> str:
    """What the library says, in one line."""
    return shortened(" ".join(str(error).split()), 300)
