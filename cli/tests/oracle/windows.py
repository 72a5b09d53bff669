"""Generated events with disorder, duplicates and late rows, and the windows that DuckDB finds in them."""

import random
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

DELAY, LATENESS = 5_000, 10_000
START = 1_709_290_000_000


def make() -> None:
    chance = random.Random(7)
    for name in ["a", "b", "c"]:
        rows = []
        for number in range(4000):
            time = START + number * 97 + chance.randrange(-6_000, 0)
            if chance.random() < 0.02:
                time -= chance.randrange(0, 120_000)
            rows.append((time, chance.choice("uvwxyz"), chance.randrange(100)))
            if chance.random() < 0.05:
                rows.append(rows[-1])
        rows.insert(100, (None, "u", 1))
        rows.insert(0, (-61_000, "old", 1))
        table = pa.table(
            {
                "at": pa.array([row[0] for row in rows], pa.timestamp("ms")),
                "user": [row[1] for row in rows],
                "n": pa.array([row[2] for row in rows], pa.int64()),
            }
        )
        pq.write_table(table, f"events-{name}.parquet", row_group_size=500)
    # Half an hour apart, over both nights in which clocks are changed, and a month's end.
    nights = [start + number * 1_800_000 for start in (1_711_700_000_000, 1_729_900_000_000) for number in range(300)]
    times = pa.array([time + chance.randrange(0, 1_000_000) for time in nights], pa.timestamp("ms"))
    pq.write_table(pa.table({"at": times, "n": pa.array(range(600), pa.int64())}), "nights.parquet", row_group_size=64)
    clicks = [(START + number * 400, chance.choice("uvwxyz")) for number in range(900)]
    times = pa.array([time for time, _ in clicks], pa.timestamp("ms"))
    pq.write_table(pa.table({"at": times, "user": [user for _, user in clicks]}), "clicks.parquet")


EVENTS = f"""
create view events as
select *, max(ms) over (
    partition by filename order by file_row_number rows between unbounded preceding and 1 preceding
) - {DELAY} as wm
from (select *, epoch_ms("at") as ms from read_parquet('events-*.parquet', filename=true, file_row_number=true));
"""


def panes(size: int, slide: int) -> str:
    """Every row with each window that it is in."""
    return f"""
    select e.*, w.start, w.start + {size} as stop
    from events e, lateral (
        select (floor(e.ms / {slide})::bigint - k) * {slide} as start from range({size // slide}) r(k)
    ) w
    where e.ms is not null
    """


def visits(rows: str) -> str:
    """The sessions that these rows of each user make."""
    return f"""
    select min(ms) as start, max(ms) + 1000 as stop, "user", count(*) as c, sum(n) as s
    from (
        select *, sum(begins) over (partition by "user" order by ms, filename, file_row_number) as session
        from (
            select *, coalesce((ms - lag(ms) over (partition by "user" order by ms, filename, file_row_number) >= 1000)::int, 1) as begins
            from events where ms is not null and (wm is null or wm < ms + 1000 + {LATENESS}) and {rows}
        )
    )
    group by "user", session
    """


def same(what: str, found: str, expected: str) -> None:
    extra = duckdb.sql(f"select count(*) from (({found}) except all ({expected}))").fetchall()[0][0]
    lost = duckdb.sql(f"select count(*) from (({expected}) except all ({found}))").fetchall()[0][0]
    rows = duckdb.sql(f"select count(*) from ({expected})").fetchall()[0][0]
    assert rows > 0, what
    assert (extra, lost) == (0, 0), f"{what}: {extra} rows too many, {lost} too few, of {rows}"


def check() -> None:
    duckdb.sql("set timezone = 'UTC'")
    duckdb.sql(EVENTS)
    on_time = f"(wm is null or wm < stop + {LATENESS})"
    bounds = 'epoch_ms("window-start") as start, epoch_ms("window-end") as stop'
    for name, size, slide in [("tumbling", 60_000, 60_000), ("sliding", 60_000, 10_000)]:
        same(
            name,
            f'select {bounds}, "user", "count" as c, "sum-n" as s from \'out/{name}.parquet\'',
            f'select start, stop, "user", count(*) as c, sum(n) as s from ({panes(size, slide)}) where {on_time} group by all',
        )
    same(
        "late",
        'select epoch_ms("at") as ms, "user", n, epoch_ms("window-end") as stop, "late-by" as l, partition as p, position as i from \'out/late.parquet\'',
        f'select ms, "user", n, stop, wm - stop, filename, file_row_number from ({panes(60_000, 60_000)}) where not {on_time}'
        ' union all select ms, "user", n, null, null, filename, file_row_number from events where ms is null',
    )
    same(
        "days",
        f"select {bounds}, \"count\" as c from 'out/days.parquet'",
        """
        select epoch_ms(day at time zone 'Europe/Oslo') as start,
            epoch_ms((day + interval 1 day) at time zone 'Europe/Oslo') as stop, count(*) as c
        from (
            select date_trunc('day', make_timestamptz(ms * 1000) at time zone 'Europe/Oslo') as day, wm
            from events where ms is not null
        )
        where wm is null or wm < epoch_ms((day + interval 1 day) at time zone 'Europe/Oslo')
        group by all
        """,
    )
    for unit in ["day", "week", "month"]:
        size = {"day": "1d", "week": "1w", "month": "1mo"}[unit]
        end = f"epoch_ms((unit + interval 1 {unit}) at time zone 'Europe/Oslo')"
        same(
            f"nights by {unit}",
            f'select {bounds}, "count" as c, "sum-n" as s from \'out/nights-{size}.parquet\'',
            f"""
            select epoch_ms(unit at time zone 'Europe/Oslo') as start, {end} as stop, count(*) as c, sum(n) as s
            from (
                select n, date_trunc('{unit}', "at"::timestamptz at time zone 'Europe/Oslo') as unit,
                    max(epoch_ms("at")) over (rows between unbounded preceding and 1 preceding) - 3600000 as wm
                from 'nights.parquet'
            )
            where wm is null or wm < {end}
            group by all
            """,
        )
    # Rows are left out before the windows: those that are left are late by all rows.
    few = "n < 30"
    same(
        "few-sliding",
        f'select {bounds}, "user", "count" as c, "sum-n" as s from \'out/few-sliding.parquet\'',
        f'select start, stop, "user", count(*) as c, sum(n) as s from ({panes(60_000, 10_000)}) where {on_time} and {few} group by all',
    )
    same(
        "few-tumbling",
        f'select {bounds}, epoch_ms("at") as ms, "user" from \'out/few-tumbling.parquet\'',
        f'select start, stop, max(ms) as ms, "user" from ({panes(60_000, 60_000)}) where {on_time} and {few} group by start, stop, "user"',
    )
    same(
        "few-late",
        'select epoch_ms("at") as ms, "user", n, epoch_ms("window-end") as stop, "late-by" as l, partition as p, position as i from \'out/few-late.parquet\'',
        f'select ms, "user", n, stop, wm - stop, filename, file_row_number from ({panes(60_000, 60_000)}) where not {on_time} and {few}'
        f' union all select ms, "user", n, null, null, filename, file_row_number from events where ms is null and {few}',
    )
    same(
        "few-visits",
        f'select {bounds}, "user", "count" as c, "sum-n" as s from \'out/few-visits.parquet\'',
        visits(few),
    )
    same(
        "latest",
        f'select {bounds}, epoch_ms("at") as ms, "user" from \'out/latest.parquet\'',
        f'select start, stop, max(ms) as ms, "user" from ({panes(60_000, 60_000)}) where {on_time} group by start, stop, "user"',
    )
    same(
        "visits",
        f'select {bounds}, "user", "count" as c, "sum-n" as s from \'out/visits.parquet\'',
        visits("true"),
    )
    for name, size, by in [("hundreds", 100, ""), ("fifties", 50, ', "user"')]:
        partition = 'partition by "user"' if by else ""
        same(
            name,
            f'select "window-start" as start, "window-end" as stop{by}, "count" as c, "sum-n" as s from \'out/{name}.parquet\'',
            f"""
            select number * {size} as start, (number + 1) * {size} as stop{by}, count(*) as c, sum(n) as s
            from (
                select *, (row_number() over ({partition} order by filename, file_row_number) - 1) // {size} as number from events
            )
            group by all
            """,
        )


{"make": make, "check": check}[sys.argv[1]]()
