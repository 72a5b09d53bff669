"""Writes rows in folders `name=value` as pyarrow and DuckDB do."""

import datetime

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

ROWS = pa.table(
    {
        "n": pa.array(range(40), pa.int64()),
        "city": pa.array([["Rome", "New York/NY", "a=b%20c", None, "Zürich"][i % 5] for i in range(40)]),
        "year": pa.array([2020 + i % 3 for i in range(40)], pa.int64()),
        "day": pa.array([datetime.date(2024, 2, 1 + i % 2) for i in range(40)]),
    }
)


def main():
    """Writes a folder for each of the writers, and all rows as one file."""
    duckdb.sql("copy (select * from ROWS) to 'all.parquet' (format parquet)")
    by = ["city", "year", "day"]
    partitioning = ds.partitioning(pa.schema([ROWS.schema.field(name) for name in by]), flavor="hive")
    for form in ["parquet", "csv", "arrow"]:
        ds.write_dataset(ROWS, f"pyarrow/{form}", format=form, partitioning=partitioning)
    for form in ["parquet", "csv"]:
        duckdb.sql(f"copy (select * from ROWS) to 'duckdb-{form}' (format {form}, partition_by (city, year, day))")


main()
