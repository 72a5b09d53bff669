"""Prints what DuckDB answers, a line a row."""

import sys

import duckdb

for row in duckdb.sql(sys.argv[1]).fetchall():
    print(*row, sep="|")
