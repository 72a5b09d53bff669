"""TPC-H by DataFusion in one process.

`make SCALE FOLDER` makes the tables, `change FOLDER ROWS` writes one row group of `lineitem` without its last rows,
`time FOLDER QUERY CORES` prints the seconds that a query takes, from nothing to all rows.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders"]
CHANGED = "lineitem/lineitem.5.parquet"


def make(scale, folder):
    command = ["tpchgen-cli", "parquet", "--scale-factor", scale, "--output-dir", folder]
    subprocess.run([*command, "--tables", ",".join(TABLES)], check=True)
    subprocess.run([*command, "--tables", "lineitem", "--parts", "8"], check=True)
    shutil.move(f"{folder}/{CHANGED}", f"{folder}/original.parquet")
    change(folder, "0")


def change(folder, rows):
    import pyarrow.parquet as pq

    original = pq.ParquetFile(f"{folder}/original.parquet")
    middle = original.num_row_groups // 2
    # Equal row groups are written as equal bytes.
    with pq.ParquetWriter(f"{folder}/{CHANGED}", original.schema_arrow) as writer:
        for group in range(original.num_row_groups):
            table = original.read_row_group(group)
            left_out = int(rows) if group == middle else 0
            writer.write_table(table.slice(0, table.num_rows - left_out), row_group_size=table.num_rows)


def timed(folder, query, cores):
    from datafusion import SessionConfig, SessionContext

    text = Path(query).read_text().strip().rstrip(";")
    start = time.perf_counter()
    context = SessionContext(SessionConfig().with_target_partitions(int(cores)))
    for table in TABLES:
        context.register_parquet(table, f"{folder}/{table}.parquet")
    context.register_parquet("lineitem", f"{folder}/lineitem/")
    context.sql(text).collect()
    print(time.perf_counter() - start)


{"make": make, "change": change, "time": timed}[sys.argv[1]](*sys.argv[2:])
