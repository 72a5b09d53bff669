"""Random tables of every type that a schema can have, as pyarrow writes them."""

import datetime
import decimal
import random
import string

import pyarrow as pa

UNITS = ["s", "ms", "us", "ns"]
# Ticks from 1700 to 2250, which nanoseconds reach too.
MOST_SECONDS = 8_800_000_000

SIMPLE = [
    pa.bool_(),
    pa.int8(), pa.int16(), pa.int32(), pa.int64(),
    pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(),
    pa.string(), pa.large_string(), pa.string_view(),
    pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(5),
    pa.date32(), pa.date64(),
    pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
    *[pa.timestamp(unit) for unit in UNITS],
    *[pa.timestamp(unit, zone) for unit in UNITS for zone in ["UTC", "Europe/Berlin"]],
    *[pa.duration(unit) for unit in UNITS],
    pa.decimal128(5, 2), pa.decimal128(38, 10), pa.decimal256(60, 5),
    pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int32(), pa.large_string()),
    pa.null(),
]  # fmt: skip

NESTED = [
    pa.list_(pa.int64()),
    pa.large_list(pa.string()),
    pa.list_(pa.field("element", pa.timestamp("us", "UTC"))),
    pa.list_(pa.int16(), 3),
    pa.struct([("a", pa.int32()), ("b", pa.string())]),
    pa.list_(pa.struct([("x", pa.float64()), ("y", pa.list_(pa.date32()))])),
    pa.map_(pa.string(), pa.int64()),
    pa.struct([("m", pa.map_(pa.int32(), pa.list_(pa.string())))]),
]


def value(kind, rng, nulls=0.2):
    """A value of a type; None for a null."""
    if pa.types.is_null(kind) or rng.random() < nulls:
        return None
    if pa.types.is_dictionary(kind):
        return rng.choice(["red", "green", "", "blue\nand\u2028more"])
    if pa.types.is_boolean(kind):
        return rng.random() < 0.5
    if pa.types.is_integer(kind):
        bits = kind.bit_width - pa.types.is_signed_integer(kind)
        least = -(2**bits) if pa.types.is_signed_integer(kind) else 0
        return rng.choice([least, 0, 1, 2**bits - 1, rng.randrange(least, 2**bits)])
    if pa.types.is_floating(kind):
        return rng.choice([0.0, -0.0, 1.5, -2.25, float("inf"), float("nan"), rng.randrange(-1000, 1000) / 8])
    if pa.types.is_fixed_size_binary(kind):
        return rng.randbytes(kind.byte_width)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        alphabet = string.printable + "äß€😀\0"
        return "".join(rng.choices(alphabet, k=rng.choice([0, 1, 11, 12, 13, 40])))
    if pa.types.is_decimal(kind):
        digits = rng.randrange(-(10**kind.precision) + 1, 10**kind.precision)
        return decimal.Context(prec=100).scaleb(decimal.Decimal(digits), -kind.scale)
    if pa.types.is_date(kind):
        return datetime.date(1700, 1, 1) + datetime.timedelta(days=rng.randrange(200_000))
    if pa.types.is_map(kind):
        keys = {value(kind.key_type, rng, 0) for _ in range(rng.randrange(4))}
        return [(key, value(kind.item_type, rng)) for key in sorted(keys, key=str)]
    if pa.types.is_fixed_size_list(kind):
        return [value(kind.value_type, rng) for _ in range(kind.list_size)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [value(kind.value_type, rng) for _ in range(rng.randrange(4))]
    if pa.types.is_struct(kind):
        return {field.name: value(field.type, rng) for field in kind}
    if pa.types.is_time(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return ticks(kind, rng)
    return rng.randbytes(rng.choice([0, 1, 12, 13, 40]))


def ticks(kind, rng):
    """A time as a number in its unit."""
    most = 86_400 if pa.types.is_time(kind) else MOST_SECONDS
    second = 1000 ** UNITS.index(kind.unit)
    return rng.randrange(0 if pa.types.is_time(kind) else -most, most) * second + rng.randrange(second)


def column(kind, rows, rng):
    """A column of a type."""
    values = [value(kind, rng) for _ in range(rows)]
    return pa.array(values, kind)


def table(seed, rows):
    """A table with a column of each type."""
    rng = random.Random(seed)
    kinds = SIMPLE + NESTED
    return pa.table({f"c{place} {kind}": column(kind, rows, rng) for place, kind in enumerate(kinds)})
