"""Holds TPC-H's queries against DuckDB, over the same files.

`tpch.py make SCALE` makes the tables, `tpch.py change` leaves out the last order of a file, `tpch.py check` compares answers.
"""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders"]


def make(scale):
    command = ["tpchgen-cli", "parquet", "--scale-factor", scale, "--output-dir", "data"]
    subprocess.run([*command, "--tables", ",".join(TABLES)], check=True)
    subprocess.run([*command, "--tables", "lineitem", "--parts", "8"], check=True)


def change():
    path = "data/lineitem/lineitem.5.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.slice(0, rows.num_rows - 7), path)


def alike(found, due):
    """Equal, but for the last digit of a decimal or float."""
    if isinstance(found, (float, Decimal)) and due is not None:
        digit = 10.0 ** found.as_tuple().exponent if isinstance(found, Decimal) else 0
        return abs(float(found) - float(due)) <= digit + 1e-9 * abs(float(due))
    return found == due


def check():
    for table in TABLES:
        duckdb.sql(f"CREATE VIEW {table} AS SELECT * FROM 'data/{table}.parquet'")
    duckdb.sql("CREATE VIEW lineitem AS SELECT * FROM 'data/lineitem/*.parquet'")
    wrong = []
    for path in sorted(Path("queries").iterdir()):
        due = duckdb.sql(path.read_text()).fetchall()
        found = duckdb.sql(f"SELECT * FROM 'out/{path.stem}.parquet'").fetchall()
        pairs = [(one, other) for one, other in zip(found, due) if not all(map(alike, one, other))]
        if pairs or len(found) != len(due):
            wrong.append(f"{path.stem}: {len(found)} rows of {len(due)}; {pairs[:2]}")
    assert not wrong, "\n".join(wrong)


{"make": make, "change": change, "check": check}[sys.argv[1]](*sys.argv[2:])
