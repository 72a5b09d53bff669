"""Reads folders `name=value` of a bucket as pyarrow and DuckDB do, or fills the bucket with folders of this one."""

import pathlib
import sys

import duckdb
import pyarrow.dataset as ds
import pyarrow.fs as fs

ROWS = [
    (1, "Rome", "2026-01-01"),
    (2, "New York/NY", "2026-01-02"),
    (3, None, "2026-01-01"),
    (4, "a=b%20c", "2026-01-02"),
    (5, "Zürich", "2026-01-01"),
    (6, "Rome", "2026-01-02"),
]


def bucket(url):
    """The bucket, as a file system."""
    host = url.removeprefix("http://")
    return fs.S3FileSystem(
        access_key="test", secret_key="test", region="us-east-1", endpoint_override=host, scheme="http"
    )


def read(store):
    """Compares what others read with the rows."""
    for form in ["parquet", "csv"]:
        data = ds.dataset(f"sales/{form}", filesystem=store, format=form, partitioning="hive")
        rows = data.to_table(columns=["n", "city", "day"]).to_pylist()
        found = sorted((row["n"], row["city"], str(row["day"])) for row in rows)
        assert found == ROWS, (form, found)
        fs.copy_files(f"sales/{form}", f"copied-{form}", source_filesystem=store)
        reader = f"read_{form}('copied-{form}/**/*.{form}', hive_partitioning = true)"
        found = duckdb.sql(f"select n, city, day::varchar from {reader} order by n").fetchall()
        assert found == ROWS, (form, found)


def upload(store):
    """Copies the folders of `partitioned.py`."""
    for folder in ["pyarrow/parquet", "pyarrow/csv", "pyarrow/arrow", "duckdb-parquet", "duckdb-csv"]:
        for file in pathlib.Path(folder).rglob("*.*"):
            with store.open_output_stream(f"sales/{file}") as stream:
                stream.write(file.read_bytes())


if __name__ == "__main__":
    store = bucket(sys.argv[1])
    upload(store) if sys.argv[2:] == ["upload"] else read(store)
