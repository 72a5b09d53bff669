"""Whether results of windows have the same rows: flowc's file, and the folder of Flink's files."""
import sys

import duckdb

ours, theirs = sys.argv[1:]
duckdb.execute("SET TimeZone = 'UTC'")
both = [
    f"""SELECT CAST("window-start" AS TIMESTAMP), CAST("window-end" AS TIMESTAMP), key, count, CAST(sum AS BIGINT)
        FROM '{ours}'""",
    f"""SELECT CAST("begin" AS TIMESTAMP), CAST("end" AS TIMESTAMP), key, count, sum FROM read_parquet('{theirs}/part-*')""",
]
if not duckdb.execute(f"SELECT count(*) FROM ({both[0]})").fetchone()[0]:
    sys.exit("there are no rows")
for one, two in [both, both[::-1]]:
    rows = duckdb.execute(f"{one} EXCEPT ALL {two} LIMIT 3").fetchall()
    if rows:
        sys.exit(f"the rows differ: {rows}")
