"""Whether objects of Python keep their value in a type of Arrow: pyarrow cuts off fractions, and members, silently."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

NONE = type(None)
STEPS = {"s": 1_000_000, "ms": 1000}
"""Microseconds of a unit of time; shorter ones hold any time of Python."""
LARGEST = {16: 65504.0, 32: 3.4028234663852886e38}
"""The largest number of a type that is narrower than Python's."""


def keeps_all(values: Iterable[Any], wanted: pa.DataType) -> bool:
    """Whether each of these values is kept."""
    return _is_sure(values, wanted) or all(keeps(value, wanted) for value in values)


def _is_sure(values: Iterable[Any], wanted: pa.DataType) -> bool:
    """Whether nothing can be lost, so that the values need not be looked at one by one."""
    if kinds.is_integer(wanted):
        return set(map(type, values)) <= {int, NONE}
    if kinds.is_floating(wanted):
        return wanted.bit_width == 64
    return not (kinds.is_temporal(wanted) or kinds.is_nested(wanted) or kinds.is_dictionary(wanted))


def keeps(value: Any, wanted: pa.DataType) -> bool:
    """Whether a value that pyarrow takes for this type is kept in it."""
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if value is None or _is_no_value(value):
        return True
    if kinds.is_integer(wanted):
        return type(value) is int or bool(value == int(value))
    if kinds.is_floating(wanted):
        return math.isinf(value) or abs(value) <= LARGEST.get(wanted.bit_width, math.inf)
    if kinds.is_temporal(wanted):
        return _keeps_time(value, wanted)
    if kinds.is_dictionary(wanted):
        return keeps(value, wanted.value_type)
    if kinds.is_struct(wanted):
        return _keeps_members(value, wanted)
    if kinds.is_map(wanted):
        pairs = value.items() if isinstance(value, Mapping) else value
        return all(keeps(key, wanted.key_type) and keeps(item, wanted.item_type) for key, item in pairs)
    if hasattr(wanted, "value_type") and isinstance(value, Iterable):
        return all(keeps(item, wanted.value_type) for item in value)
    return True


def _is_no_value(value: Any) -> bool:
    """NaN, and pandas' NaT: they are null, or as they are."""
    return isinstance(value, float | datetime.datetime) and value != value  # noqa: PLR0124


def _keeps_time(value: Any, wanted: pa.DataType) -> bool:
    if isinstance(value, float):
        return False
    if kinds.is_date(wanted):
        return not isinstance(value, datetime.datetime) or value.time() == datetime.time()
    microseconds = getattr(value, "microsecond", getattr(value, "microseconds", 0))
    if not isinstance(microseconds, int):
        return True
    nanoseconds = getattr(value, "nanosecond", 0) if getattr(wanted, "unit", "ns") != "ns" else 0
    return not nanoseconds and microseconds % STEPS.get(getattr(wanted, "unit", "ns"), 1) == 0


def _keeps_members(value: Any, wanted: pa.DataType) -> bool:
    names = [wanted.field(number).name for number in range(wanted.num_fields)]
    members = value if isinstance(value, Mapping) else dict(zip(names, value, strict=False))
    return all(name in names for name in members) and all(
        keeps(members.get(name), wanted.field(number).type) for number, name in enumerate(names)
    )
