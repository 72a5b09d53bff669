"""Holds SQL stages against DuckDB: the same statements over the same random tables.

`sql.py make` writes the tables, the statements and the pipeline; `sql.py check` compares what came of each statement.
"""

import math
import random
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 900
chance = random.Random(16)


def maybe(value):
    return None if chance.random() < 0.1 else value


COLUMNS = {
    "k": (pa.int64(), lambda: chance.randrange(8)),
    "g": (pa.string(), lambda: chance.choice(["", "a", "ab", "\U0001f600", "b"])),
    "n": (pa.int32(), lambda: chance.randrange(-(2**20), 2**20)),
    "x": (pa.float64(), lambda: chance.choice([0.0, 1.5, chance.uniform(-1e6, 1e6)])),
    "z": (pa.float64(), lambda: chance.choice([0.0, -0.0, 1.0, 9.0])),
    "odd": (pa.float64(), lambda: chance.choice([math.nan, math.inf, 1.0, 2.0, 3.0])),
    "d": (pa.decimal128(12, 2), lambda: Decimal(chance.randrange(-(10**9), 10**9)).scaleb(-2)),
    "day": (pa.date32(), lambda: date(2020, 1, 1) + timedelta(days=chance.randrange(60))),
    "ts": (pa.timestamp("us"), lambda: datetime(2020, 1, 1) + timedelta(microseconds=chance.randrange(10**13))),
    "b": (pa.bool_(), lambda: chance.random() < 0.5),
}

SESSIONS = """
    SELECT k, min(ts) AS window_start, max(ts) + INTERVAL 9 HOUR AS window_end, count(*) AS c, sum(n) AS s FROM (
        SELECT *, sum(CAST(starts AS INTEGER)) OVER (PARTITION BY k ORDER BY ts, id ROWS UNBOUNDED PRECEDING) AS session FROM (
            SELECT *, coalesce(ts - lag(ts) OVER (PARTITION BY k ORDER BY ts, id) >= INTERVAL 9 HOUR, true) AS starts
            FROM t WHERE ts IS NOT NULL))
    GROUP BY k, session
"""
HOPS = """
    SELECT w AS window_start, w + INTERVAL 50 HOUR AS window_end, count(*) AS c, sum(n) AS s FROM (
        SELECT *, unnest([time_bucket(INTERVAL 1 DAY, ts) - to_days(back) FOR back IN [0, 1, 2]]) AS w
        FROM t WHERE ts IS NOT NULL)
    WHERE ts < w + INTERVAL 50 HOUR GROUP BY w
"""

# What floats and decimals have in common, and what only floats can be.
MIXED = """
    WITH m AS (SELECT id, k, b, CAST(k + 0.5 AS REAL) AS f,
        CAST(CASE WHEN k = 0 THEN 0.07 WHEN k < 4 THEN k + 0.5 ELSE d END AS DECIMAL(12, 2)) AS d,
        CASE WHEN b THEN k + 0.5 WHEN id % 7 = 0 THEN CAST(d AS DOUBLE) WHEN id % 5 = 0 THEN x * 1e250 WHEN id % 3 = 0 THEN odd ELSE x END AS x
    FROM t)
"""

# Each with the tables that it reads. `t` has several files. Where DuckDB has other words for the same, these follow.
STATEMENTS = {
    "projected": ("t", "SELECT id, n * 2 AS m, x / 3 AS y, upper(g) AS g, n % 7 AS r FROM t"),
    "filtered": ("t", "SELECT id, g, n FROM t WHERE n > 0 AND g <> 'a' OR x IS NULL"),
    "conditional": ("t", "SELECT id, CASE WHEN n > 0 THEN 'up' WHEN n < 0 THEN 'down' END AS way, coalesce(x, 0.5) AS x FROM t"),
    "texts": ("t", "SELECT id, substr(g, 1, 1) AS f, length(g) AS l, g || '-' || g AS gg, g LIKE 'a%' AS like_a FROM t"),
    "dates": ("t", "SELECT id, extract(year FROM day) AS y, extract(month FROM day) AS m, date_trunc('hour', ts) AS h FROM t"),
    "span_compared": (
        "t",
        "SELECT id, ts - TIMESTAMP '2020-02-01 00:00:00' > INTERVAL '10 days' AS a, INTERVAL '36 hours' <= day - ts AS e, "
        "ts - TIMESTAMP '2020-02-01 00:00:00' BETWEEN INTERVAL '-1 month' AND INTERVAL '36 hours' AS c, "
        "coalesce(ts - day, INTERVAL '1 day') < INTERVAL '1 day 1 second' AS d FROM t",
    ),
    "span_joined": (
        "t",
        "SELECT a.id, b.id AS other FROM t a JOIN t b ON a.k = b.k AND a.ts - b.ts BETWEEN INTERVAL '-1 hour' AND INTERVAL '5 hours'",
    ),
    "span_parts": (
        "t",
        "SELECT id, extract(day FROM ts - TIMESTAMP '2020-02-01 00:00:00') AS d, extract(hour FROM ts - TIMESTAMP '2020-02-01 00:00:00') AS h, "
        "extract(minute FROM TIMESTAMP '2020-02-01 00:00:00' - ts) AS m, extract(epoch FROM ts) AS e, "
        "extract(epoch FROM ts - TIMESTAMP '2020-02-01 00:00:00') AS de FROM t",
    ),
    "dates_moved": (
        "t",
        "SELECT id, day + INTERVAL '36 hours' AS a, day - INTERVAL '1 hour' AS e, day + INTERVAL '90 minutes' > ts AS c, "
        "ts + INTERVAL '1 hour' * k AS d FROM t WHERE day + INTERVAL '12 hours' > TIMESTAMP '2020-01-10 11:00:00'",
    ),
    "zoned": (
        "t",
        "SELECT id, ts AT TIME ZONE 'Europe/Rome' AT TIME ZONE 'America/New_York' AS a, "
        "extract(hour FROM ts AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Rome') AS h FROM t",
    ),
    "casts": ("t", "SELECT id, CAST(n AS VARCHAR) AS s, CAST(k AS DOUBLE) AS f, CAST(d AS DECIMAL(20,4)) AS e FROM t"),
    "whole": (
        "t",
        "SELECT id, CAST(x AS BIGINT) AS a, CAST(d AS INTEGER) AS b, CAST(x * 0 + n / 2.0 AS BIGINT) AS e "
        "FROM t WHERE CAST(d / 1000000 AS INTEGER) IN (-5, 0, 3) OR CAST(n / 100000.0 AS INTEGER) = 2",
    ),
    "decimals": (
        "t",
        "SELECT id, round(d * 1.005, 2) AS a, d / 3 AS b, n * 2.5 AS c, x * 2.5 AS e, CASE WHEN b THEN 1.5 ELSE x END AS f, "
        "d = 0.1 + 0.2 AS g, n / 2.5 AS h, d % 0.7 AS i, coalesce(x, 0.5) AS j, x > 1.4 AND x <= 1.5 AS m FROM t",
    ),
    "shares": ("t", "SELECT k, sum(d) / count(*) AS m, 100.0 * sum(n) / count(n) AS p, sum(d * 1.19) AS s, avg(n * 0.1) AS a FROM t GROUP BY k"),
    "signs": ("t", "SELECT id FROM t WHERE n>-500 AND k<>-1 AND k>=+2 OR n<=-1000000"),
    "patterns": ("t", "SELECT id, g SIMILAR TO 'ab?' AS s, g LIKE 'a!b' ESCAPE '!' AS e, k BETWEEN SYMMETRIC 5 AND 2 AS b FROM t", "SELECT id, g SIMILAR TO 'ab?' AS s, g LIKE 'a!b' ESCAPE '!' AS e, k BETWEEN 2 AND 5 AS b FROM t"),
    "excluded": ("u", "SELECT * EXCLUDE (label) FROM u"),
    "ranges": ("t", "SELECT id FROM t WHERE k BETWEEN 2 AND 5 AND g IN ('a', 'ab') AND day >= DATE '2020-01-20'"),
    "nested": ("t", "SELECT y + 1 AS z, id FROM (SELECT id, n + k AS y FROM t WHERE k > 1) AS s WHERE y % 2 = 0"),
    "counted": ("t", "SELECT count(*) AS c, count(x) AS cx, count(DISTINCT g) AS cg, min(n) AS lo, max(n) AS hi FROM t"),
    "summed": ("t", "SELECT sum(n) AS n, sum(d) AS d, sum(x) AS x, avg(x) AS mx, stddev(x) AS sx, var_pop(x) AS vx FROM t"),
    "grouped": ("t", "SELECT g, k, count(*) AS c, sum(n) AS s, avg(n) AS m, min(day) AS first, max(ts) AS last FROM t GROUP BY g, k"),
    "odd": ("t", "SELECT k, max(odd) AS hi, min(odd) AS lo, sum(odd) AS s FROM t GROUP BY k"),
    "filtering": ("t", "SELECT k, count(*) FILTER (WHERE n > 0) AS up, sum(x) FILTER (WHERE b) AS sx FROM t GROUP BY k"),
    "having": ("t", "SELECT g, sum(d) AS s FROM t GROUP BY g HAVING count(*) > 10"),
    "by_month": ("t", "SELECT date_trunc('month', ts) AS m, count(*) AS c, bool_or(b) AS any_b FROM t GROUP BY 1"),
    "distinct": ("t", "SELECT DISTINCT k, g FROM t WHERE n IS NOT NULL"),
    "medians": ("t", "SELECT k, median(x) AS m FROM t GROUP BY k"),
    "distinct_sums": ("t", "SELECT k, sum(DISTINCT n % 10) AS s FROM t GROUP BY k"),
    "joined": ("t u", "SELECT t.id, u.label, t.n FROM t JOIN u ON t.k = u.k"),
    "left_joined": ("t u", "SELECT t.id, u.label, u.weight FROM t LEFT JOIN u ON t.k = u.k AND u.weight > 2"),
    "full_joined": ("t u", "SELECT t.id, u.label FROM t FULL JOIN u ON t.k = u.k WHERE t.id IS NULL OR t.n > 0"),
    "semi": ("t u", "SELECT id, k FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.weight > 3)"),
    "not_in": ("t u", "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE k IS NOT NULL)"),
    "not_in_nulls": ("t u", "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u)"),
    "not_in_correlated": ("t u", "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE u.weight > t.n % 7)"),
    "not_in_or": ("t u", "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u) OR b"),
    "not_in_or_correlated": ("t u", "SELECT id FROM t WHERE k NOT IN (SELECT k FROM u WHERE u.weight > t.n % 7) OR b"),
    "not_in_computed": ("t u", "SELECT id FROM t WHERE k NOT IN (SELECT weight + 1 FROM u) OR k + 1 NOT IN (SELECT k % 3 AS r FROM u) OR b"),
    "not_of_in": ("t u", "SELECT id FROM t WHERE NOT (k IN (SELECT k FROM u) AND n > 0)"),
    "not_of_nothing": ("t u", "SELECT id FROM t WHERE NOT (k IN (SELECT k FROM u WHERE weight > 99) AND n > 0)"),
    "in_unknown": ("t u", "SELECT id FROM t WHERE (k IN (SELECT k FROM u)) IS NULL OR (k NOT IN (SELECT k FROM u WHERE k > 2)) IS NULL"),
    "in_case": ("t u", "SELECT id FROM t WHERE CASE WHEN k NOT IN (SELECT k FROM u) THEN b WHEN NOT k IN (SELECT k FROM u WHERE k IS NOT NULL) THEN n > 0 ELSE n < 0 END"),
    "in_having": ("t u", "SELECT k, count(*) AS c FROM t GROUP BY k HAVING NOT (k IN (SELECT k FROM u) AND count(*) > 80)"),
    "any_of": ("t", "SELECT id FROM t WHERE k = ANY (SELECT k FROM t WHERE n > 1000000)"),
    "all_of": ("t", "SELECT id FROM t WHERE k <> ALL (SELECT k FROM t WHERE n > 1000000 AND k IS NOT NULL)"),
    "zeros": ("t", "SELECT count(DISTINCT z) AS z, count(DISTINCT k) AS k, count(*) AS c FROM t"),
    "zero_groups": ("t", "SELECT k, count(DISTINCT z) AS z, count(DISTINCT n) AS n FROM t GROUP BY k"),
    "zero_ranks": ("t", "SELECT id, dense_rank() OVER (ORDER BY z) AS r, count(*) OVER (PARTITION BY z) AS c FROM t"),
    "zero_found": ("t", "SELECT id FROM t WHERE z IN (0.0, 1, 2, 3, 4, 5, 6, 7) OR z IN (-0.0, 9)"),
    "zero_cases": ("t", "SELECT id, CASE z WHEN 0.0 THEN 'zero' WHEN 1 THEN 'one' END AS c, nullif(z, 0.0) AS n, z = -0.0 AS e FROM t"),
    "zero_joins": ("t", "SELECT count(*) AS c FROM t a JOIN t b ON a.z = b.z"),
    "joined_groups": ("t u", "SELECT u.label, count(*) AS c, sum(t.n) AS s FROM t JOIN u ON t.k = u.k GROUP BY u.label"),
    "keyed_join": ("t u", "SELECT t.k, count(*) AS c, max(u.weight) AS w FROM t JOIN u ON t.k = u.k GROUP BY t.k"),
    "windows": ("t", "SELECT id, rank() OVER (PARTITION BY k ORDER BY n) AS r, sum(n) OVER (PARTITION BY k ORDER BY n, id) AS s FROM t"),
    "lags": ("t", "SELECT id, lag(id) OVER (PARTITION BY g ORDER BY id) AS before FROM t"),
    "sliding": ("t", "SELECT id, avg(x) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS m FROM t"),
    "ordered": ("t", "SELECT id, n FROM t WHERE n IS NOT NULL ORDER BY n DESC, id LIMIT 17 OFFSET 3"),
    "united": ("t u", "SELECT k, 't' AS of FROM t UNION SELECT k, 'u' FROM u"),
    "excepted": ("t u", "SELECT k FROM t EXCEPT SELECT k FROM u"),
    "with_parts": ("t u", "WITH big AS (SELECT k, sum(n) AS s FROM t GROUP BY k) SELECT b.k, b.s, u.label FROM big b JOIN u ON b.k = u.k WHERE b.s > 0"),
    "compared": ("t", "SELECT id FROM t WHERE x > (SELECT avg(x) FROM t)"),
    "correlated": ("t u", "SELECT u.k, u.label FROM u WHERE u.weight < (SELECT count(*) FROM t WHERE t.k = u.k)"),
    "tumbled": (
        "t",
        "SELECT k, window_start, window_end, count(*) AS c, median(x) AS m FROM TUMBLE(t, ts, INTERVAL '6' HOURS) GROUP BY k, window_start, window_end",
        "SELECT k, time_bucket(INTERVAL 6 HOUR, ts) AS s, time_bucket(INTERVAL 6 HOUR, ts) + INTERVAL 6 HOUR AS e, count(*) AS c, median(x) AS m FROM t WHERE ts IS NOT NULL GROUP BY k, s, e",
    ),
    "tumbled_months": (
        "t",
        "SELECT id, window_start, window_end FROM TUMBLE((SELECT id, ts FROM t WHERE n > 0), ts, INTERVAL '2 months') AS w",
        "SELECT id, time_bucket(INTERVAL 2 MONTH, ts) AS s, time_bucket(INTERVAL 2 MONTH, ts) + INTERVAL 2 MONTH AS e FROM t WHERE n > 0 AND ts IS NOT NULL",
    ),
    "hopped": (
        "t",
        "SELECT window_start, window_end, count(*) AS c, sum(n) AS s FROM HOP(t, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '50 hours') GROUP BY window_start, window_end",
        HOPS,
    ),
    "sessions": (
        "t",
        "SELECT k, window_start, window_end, count(*) AS c, sum(n) AS s FROM SESSION(t, t.ts, INTERVAL '9' HOURS, t.k) GROUP BY k, window_start, window_end",
        SESSIONS,
    ),
    "mixed": ("t", MIXED + "SELECT id, d = x AS e, d < x AS l, x >= d AS g, d IS DISTINCT FROM x AS i, d <> f AS n, f < d AS s FROM m"),
    "mixed_ranges": ("t", MIXED + "SELECT id FROM m WHERE d BETWEEN x AND 1000 OR x BETWEEN d AND 1e30 OR x NOT IN (1, d, f)"),
    "mixed_cases": (
        "t",
        MIXED + "SELECT id, CASE d WHEN x THEN 'x' WHEN 1.5 THEN 'd' END AS c, CASE WHEN b THEN 1 WHEN k > 3 THEN d ELSE x END AS o, "
        "coalesce(d, x, 0) AS a, coalesce(f, d) AS s, nullif(d, x) AS i, greatest(d, x) AS g, least(f, d) AS l FROM m",
    ),
    "mixed_within": ("t", MIXED + "SELECT id FROM (SELECT id, x, CASE WHEN b THEN 1 ELSE d END AS o FROM m) AS o WHERE o > x"),
    "mixed_joins": ("t", MIXED + "SELECT count(*) AS c, sum(a.id) AS s FROM m a JOIN m b ON a.d = b.x AND a.k = b.k"),
    "mixed_using": ("t", MIXED + "SELECT count(*) AS c FROM (SELECT d AS v FROM m) AS a JOIN (SELECT x AS v FROM m) AS b USING (v)"),
    "mixed_subqueries": ("t", MIXED + "SELECT id FROM m WHERE d IN (SELECT x FROM m) OR x NOT IN (SELECT d FROM m WHERE d IS NOT NULL)"),
    "mixed_sets": ("t", MIXED + "SELECT d AS v FROM m UNION SELECT x FROM m UNION ALL SELECT k FROM m"),
    "mixed_differences": ("t", MIXED + "SELECT d AS v FROM m EXCEPT SELECT x FROM m"),
    "mixed_common": ("t", MIXED + "SELECT x AS v FROM m INTERSECT SELECT d FROM m"),
    "mixed_numbers": ("t", MIXED + "SELECT id, d <= 0.06 + 0.01 AS a, d = 1.5 AS b, d < 1e30 AS c, d > 1e-20 AS e, d IN (1.5, 2.5) AS i FROM m"),
    "bound": (
        "t",
        "SELECT id, n IS NOT DISTINCT FROM k AND b AS a, b AND k IS DISTINCT FROM n % 3 OR x > 0 AS o, NOT k IS DISTINCT FROM 2 AND b AS n, "
        "-k ^ 2 AS p, 2 ^ -1 AS q, b = g ~ 'a' AS m, b = g LIKE 'a%' AS l, b = k IN (1, 2) AS i, b = k BETWEEN 2 AND 4 AS r, "
        "g || k + 1 AS t, k & 1 = 1 AS u, b = (x > 0) IS NULL AS z, g ~ 'a' || 'b' AS y FROM t",
    ),
    "self_joined": ("t", "SELECT a.id, b.id AS other FROM t a JOIN t b ON a.id + 1 = b.id WHERE a.k = b.k"),
}


def make():
    columns = {name: pa.array([maybe(value()) for _ in range(ROWS)], kind) for name, (kind, value) in COLUMNS.items()}
    rows = pa.table({"id": pa.array(range(ROWS), pa.int64()), **columns})
    cuts = [0, 10, 250, 251, 600, ROWS]
    for number, (start, end) in enumerate(zip(cuts, cuts[1:])):
        pq.write_table(rows.slice(start, end - start), f"t-{number}.parquet")
    others = {"k": pa.array([k % 6 for k in range(13)] + [None], pa.int64()), "label": [f"l{k % 5}" for k in range(14)]}
    pq.write_table(pa.table({**others, "weight": pa.array([k % 7 for k in range(14)], pa.int32())}), "u.parquet")
    Path("queries").mkdir()
    lines = ['source "t" { files "t-*.parquet" }', 'source "u" { files "u.parquet" }']
    for name, (tables, statement, *_) in STATEMENTS.items():
        Path(f"queries/{name}.sql").write_text(statement)
        inputs = " ".join(f'"{table}"' for table in tables.split())
        lines.append(f'stage "{name}" {{ in {inputs}; sql file="queries/{name}.sql" }}')
        lines.append(f'sink "{name}" {{ in "{name}"; file "out/{name}.parquet" }}')
    Path("flow.kdl").write_text("\n".join(lines) + "\n")


def plain(value):
    match value:
        case None:
            return (0, "")
        case bool():
            return (1, value)
        case float() if math.isnan(value):
            return (3, "NaN")
        case float() | int() | Decimal():
            return (2, float(f"{float(value):.9g}"))
        case datetime() | date():
            return (4, str(value).removesuffix(" 00:00:00"))
        case _:
            return (5, str(value))


def check():
    duckdb.sql("CREATE VIEW t AS SELECT * FROM 't-*.parquet'")
    duckdb.sql("CREATE VIEW u AS SELECT * FROM 'u.parquet'")
    wrong = []
    for name, (_, *statements) in STATEMENTS.items():
        statement = statements[-1]
        due = sorted([plain(value) for value in row] for row in duckdb.sql(statement).fetchall())
        columns = pq.read_table(f"out/{name}.parquet").to_pydict().values()
        found = sorted([plain(value) for value in row] for row in zip(*columns))
        if found != due:
            pairs = [(one, other) for one, other in zip(found, due) if one != other]
            wrong.append(f"{name}: {len(found)} rows of {len(due)}; {pairs[:2]}")
    assert not wrong, "\n".join(wrong)


{"make": make, "check": check}[sys.argv[1]]()
