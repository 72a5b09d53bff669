"""Holds what standard stages give against DuckDB, and sums against Python's exact fractions.

`stages.py make` writes the source; `stages.py check` reads the sinks.
"""

import math
import random
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 3000
chance = random.Random(11)


def maybe(value):
    return None if chance.random() < 0.15 else value


def number():
    return chance.choice([0.0, -0.0, chance.uniform(-1e6, 1e6), chance.uniform(-1, 1) * 10.0 ** chance.randrange(-20, 20)])


def odd():
    return chance.choice([math.nan, math.inf, -math.inf, 0.0, -0.0, float(chance.randrange(5))])


def moment():
    return datetime(1960, 1, 1) + timedelta(microseconds=chance.randrange(80 * 365 * 86400 * 10**6))


COLUMNS = {
    "kind": (pa.string(), lambda: chance.choice(["", "a", "ab", "\U0001f600", "b"])),
    "key": (pa.int32(), lambda: chance.randrange(-3, 3)),
    "n": (pa.int64(), lambda: chance.randrange(-(2**50), 2**50)),
    "u": (pa.uint16(), lambda: chance.randrange(2**16)),
    "x": (pa.float64(), number),
    "odd": (pa.float64(), odd),
    "d": (pa.decimal128(18, 4), lambda: Decimal(chance.randrange(-(10**17), 10**17)).scaleb(-4)),
    "t": (pa.string(), lambda: f"{chance.randrange(500)}"),
    "at": (pa.timestamp("us"), moment),
    "day": (pa.date32(), lambda: date(1900, 1, 1) + timedelta(days=chance.randrange(80000))),
    "b": (pa.bool_(), lambda: chance.random() < 0.5),
    "tags": (pa.list_(pa.string()), lambda: [maybe("x"), "y", "z"][: chance.randrange(4)]),
}


def make():
    columns = {name: pa.array([maybe(value()) for _ in range(ROWS)], kind) for name, (kind, value) in COLUMNS.items()}
    rows = pa.table({"id": pa.array(range(ROWS), pa.int64()), **columns})
    for number, start in enumerate(range(0, ROWS, 1000)):
        pq.write_table(rows.slice(start, 1000), f"rows-{number}.parquet")


def rows_of(query):
    return duckdb.sql(query).fetchall()


def plain(value):
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case list():
            return [plain(item) for item in value]
    return value


def same(found, due, where):
    found, due = [list(map(plain, row)) for row in found], [list(map(plain, row)) for row in due]
    assert len(found) == len(due), f"{where}: {len(found)} rows, due are {len(due)}"
    for row, (one, other) in enumerate(zip(found, due)):
        assert one == other, f"{where}, row {row}: {one!r}, due is {other!r}"


def sink(name):
    return pq.read_table(f"out/{name}.parquet").to_pylist()


def check_groups():
    """What DuckDB computes exactly, too."""
    due = rows_of(
        "SELECT kind, key, count(*), count(x), sum(n)::BIGINT, sum(u)::BIGINT, sum(d), min(odd), max(odd), min(t), max(t),"
        " min(\"at\"), max(\"at\"), max(day), min(b), arg_min_null(t, \"at\"), arg_max_null(n, \"at\"), count(DISTINCT t),"
        " count(DISTINCT odd), count(DISTINCT n), [v FOR v IN max(n, 3)], coalesce(min(t, 2), [])"
        " FROM 'rows-*.parquet' GROUP BY ALL ORDER BY kind NULLS FIRST, key NULLS FIRST"
    )
    found = sink("groups")
    assert len(found) > 30
    same([row.values() for row in found], due, "groups")


def variance(values):
    count, total, squares = len(values), sum(values), sum(value * value for value in values)
    return float((count * squares - total * total) / (count * (count - 1)))


def check_floats():
    """Against exact fractions, rounded once: equal to the last bit."""
    groups = {}
    for kind, n, x, d in rows_of("SELECT kind, n, x, d FROM 'rows-*.parquet'"):
        groups.setdefault(kind, []).append((n, x, d))
    for row in sink("floats"):
        n, x, d = ([Fraction(value) for value in column if value is not None] for column in zip(*groups.pop(row["kind"])))
        due = {
            "sum-x": float(sum(x)),
            "mean-x": float(sum(x) / len(x)),
            "variance-x": variance(x),
            "stddev-x": math.sqrt(variance(x)),
            "mean-n": float(sum(n) / len(n)),
            "variance-n": variance(n),
            "mean-d": float(sum(d) / len(d)),
            "variance-d": variance(d),
        }
        for name, value in due.items():
            assert row[name] == value, f"{row['kind']}, {name}: {row[name]!r}, due is {value!r}"
    assert not groups


def check_sketches():
    [row] = sink("sketches")
    [due] = rows_of(
        "SELECT count(DISTINCT n), quantile_disc(n, 0.1), quantile_disc(x, 0.5), quantile_disc(d, 0.9) FROM 'rows-*.parquet'"
    )
    assert abs(row["about"] - due[0]) <= 0.03 * due[0], (row, due)
    for name, value in zip(["low", "middle", "high"], due[1:]):
        assert abs(row[name] - float(value)) <= abs(float(value)) / 511, f"{name}: {row[name]}, due is {value}"


def check_rows():
    """Stages that keep rows, or make one or several of each."""
    last = rows_of(
        "SELECT id FROM 'rows-*.parquet' QUALIFY row_number() OVER (PARTITION BY kind, key ORDER BY \"at\" DESC NULLS LAST, id DESC) = 1"
        " ORDER BY id"
    )
    same(sorted((row["id"],) for row in sink("latest")), last, "dedup")
    cast = rows_of(
        "SELECT id, n::VARCHAR, d::DOUBLE, \"at\"::DATE, day::TIMESTAMP, t::DECIMAL(9, 2), b::INTEGER, date_trunc('second', \"at\")"
        " FROM 'rows-*.parquet' ORDER BY id"
    )
    same([row.values() for row in sink("cast")], cast, "cast")
    filled = rows_of("SELECT id, coalesce(n, -1), coalesce(kind, t), coalesce(day, '2000-01-01') FROM 'rows-*.parquet' ORDER BY id")
    same([row.values() for row in sink("filled")], filled, "fill-null")
    exploded = rows_of("SELECT id, unnest(tags), generate_subscripts(tags, 1) - 1 FROM 'rows-*.parquet' ORDER BY 1, 3")
    same([row.values() for row in sink("exploded")], exploded, "explode")
    holds = "coalesce(n >= 0, true) AND coalesce(kind IN ('a', 'b'), true) AND x IS NOT NULL AND coalesce(\"at\" <= '2000-01-01', true)"
    for name, test in {"passed": holds, "failed": f"NOT ({holds})"}.items():
        due = rows_of(f"SELECT id FROM 'rows-*.parquet' WHERE {test} ORDER BY id")
        same([row.values() for row in sink(name)], due, f"assert, {name}")
    ordered = rows_of("SELECT id FROM 'rows-0.parquet' ORDER BY odd DESC NULLS LAST, t NULLS FIRST, id")
    same([(row["id"],) for row in sink("sorted")][:1000], ordered, "sort")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make()
    else:
        check_groups()
        check_floats()
        check_sketches()
        check_rows()
    print("ok")
