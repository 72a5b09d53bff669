"""Word count by DuckDB: lines in, words of ASCII letters and digits out."""
import sys

import duckdb

pattern, output = sys.argv[1:]
duckdb.execute(
    f"""
    COPY (
        SELECT word, count(*) AS count
        FROM (
            SELECT unnest(regexp_extract_all(lower(line), '[a-z0-9]+')) AS word
            FROM read_csv('{pattern}', columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
                          delim = '\x01', quote = '', escape = '', max_line_size = 16000000, strict_mode = false)
        )
        GROUP BY word
        ORDER BY word
    ) TO '{output}' (FORMAT parquet)
    """
)
