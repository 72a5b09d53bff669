"""What to do about a value that a type does not hold."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from .exact import LARGEST
from .texts import type_name

EPOCH = datetime.datetime(1970, 1, 1)
FURTHEST = datetime.timedelta(microseconds=(2**63 - 1) // 1000)
"""From 1970, in nanoseconds of 64 bits."""

TIMES = (
    (kinds.is_timestamp, datetime.datetime),
    (kinds.is_time, datetime.time),
    (kinds.is_duration, datetime.timedelta),
)


def remedy(value: Any, wanted: pa.DataType) -> str | None:
    """What to do, if it is known why the value does not fit: out of range, or with a part that would be cut off."""
    try:
        return _remedy(_plain(value), wanted)
    except (TypeError, ValueError, ArithmeticError):  # it can't be compared
        return None


def _plain(value: Any) -> Any:
    """A scalar of pyarrow or numpy as Python has it."""
    if isinstance(value, pa.Scalar):
        return value.as_py()
    return value.item() if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0 else value


def _remedy(value: Any, wanted: pa.DataType) -> str | None:
    if isinstance(value, bool):
        return None
    if kinds.is_integer(wanted) and isinstance(value, float) and math.isnan(value):
        return "no integer is NaN; give None, and declare the column with `| None`, or declare float"
    limits = _limits(value, wanted)
    if limits is not None and not limits[0] <= value <= limits[1]:
        return f"{type_name(wanted)} holds {limits[0]} to {limits[1]}; {_wider(value, wanted)}, or give a value within"
    if kinds.is_integer(wanted) and isinstance(value, float | decimal.Decimal) and value != int(value):
        return "it has a fraction; round it, by `round`, or declare float"
    if kinds.is_date(wanted) and isinstance(value, datetime.datetime):
        return "a day has no time; give its `.date()`, or declare datetime"
    if kinds.is_decimal(wanted) and isinstance(value, decimal.Decimal):
        digits = f"{wanted.precision} digits, {wanted.scale} of them behind the point"
        return f"{wanted} has {digits}; round it, or declare more"
    if any(is_of(wanted) and isinstance(value, type_) for is_of, type_ in TIMES):
        return 'part of it is shorter than the unit; round it, or declare a shorter unit, such as "us"'
    return None


def _limits(value: Any, wanted: pa.DataType) -> tuple[Any, Any] | None:
    """The smallest and the largest value of a type, if it is one that can be compared with this value."""
    if isinstance(value, int | float | decimal.Decimal):
        if kinds.is_integer(wanted):
            bits = wanted.bit_width
            return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kinds.is_signed_integer(wanted) else (0, 2**bits - 1)
        if kinds.is_floating(wanted) and wanted.bit_width in LARGEST and math.isfinite(value):
            return -LARGEST[wanted.bit_width], LARGEST[wanted.bit_width]
    if getattr(wanted, "unit", None) != "ns":
        return None
    if kinds.is_timestamp(wanted) and isinstance(value, datetime.datetime):
        zone = value.tzinfo and datetime.timezone.utc
        return (EPOCH - FURTHEST).replace(tzinfo=zone), (EPOCH + FURTHEST).replace(tzinfo=zone)
    if kinds.is_duration(wanted) and isinstance(value, datetime.timedelta):
        return -FURTHEST, FURTHEST
    return None


def _wider(value: Any, wanted: pa.DataType) -> str:
    if kinds.is_floating(wanted):
        return "declare float (float64)"
    if kinds.is_temporal(wanted):
        return 'declare a longer unit, such as "us"'
    if wanted.bit_width < 64 and -(2**63) <= value < 2**63:
        return "declare a wider type, such as pa.int64()"
    if -(2**63) <= value < 2**63:
        return "declare pa.int64()"
    return "declare pa.uint64()" if 0 <= value < 2**64 else "declare float"
