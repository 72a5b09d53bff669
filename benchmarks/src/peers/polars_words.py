"""Word count by Polars, streaming: lines in, words of ASCII letters and digits out."""
import sys

import polars as pl

pattern, output = sys.argv[1:]
lines = pl.scan_csv(
    pattern, has_header=False, separator="\x01", quote_char=None, new_columns=["line"], schema={"line": pl.String}
)
words = lines.select(pl.col("line").str.to_lowercase().str.extract_all("[a-z0-9]+").alias("word")).explode("word")
counts = words.drop_nulls().group_by("word").agg(pl.len().alias("count")).sort("word")
counts.sink_parquet(output, engine="streaming")
