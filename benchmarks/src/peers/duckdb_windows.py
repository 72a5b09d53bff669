"""Counts and sums by minute and key by DuckDB: files, output, and perhaps a file that must have the same rows."""
import sys

import duckdb

pattern, output, *other = sys.argv[1:]
duckdb.execute(
    f"""
    COPY (
        SELECT time_bucket(INTERVAL 1 MINUTE, "at") AS begin, key, count(*) AS count, sum(n) AS sum
        FROM '{pattern}'
        GROUP BY ALL
    ) TO '{output}' (FORMAT parquet)
    """
)
for path in other:
    both = [
        f"SELECT begin, key, count, CAST(sum AS DOUBLE) AS sum FROM '{output}'",
        f"""SELECT CAST("window-start" AS TIMESTAMP), key, count, CAST(sum AS DOUBLE) FROM '{path}'""",
    ]
    for one, two in [both, both[::-1]]:
        if duckdb.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {two})").fetchone()[0]:
            sys.exit("the rows differ")
