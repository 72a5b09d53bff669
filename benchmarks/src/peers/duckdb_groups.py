"""Aggregates of groups by DuckDB: file, output, and perhaps a file that must have the same rows."""
import sys

import duckdb

rows, output, *other = sys.argv[1:]
duckdb.execute(
    f"""
    COPY (
        SELECT key, count(*) AS count, sum(n) AS sum, min(n) AS least, max(n) AS greatest FROM '{rows}' GROUP BY key
    ) TO '{output}' (FORMAT parquet)
    """
)
for path in other:
    both = [
        f"SELECT key, count, CAST(sum AS DOUBLE) AS sum, least, greatest FROM '{path}'" for path in [output, path]
    ]
    for one, two in [both, both[::-1]]:
        if duckdb.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {two})").fetchone()[0]:
            sys.exit("the rows differ")
