"""Writes files that other readers read wrong, or flowc does not read."""

import datetime
import pathlib

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

FAR = ["0001-01-01T00:00:00", "1600-01-01T00:00:00", "2024-02-29T12:00:00.123456", "9999-12-31T23:59:59"]


class Keys(pe.KmsClient):
    """Keeps keys nowhere: they are wrapped in themselves."""

    def wrap_key(self, key, _):
        """The key as it is."""
        return key.hex()

    def unwrap_key(self, key, _):
        """The key as it was."""
        return bytes.fromhex(key)


def encrypted(table, name, plaintext_footer):
    """An encrypted file."""
    factory = pe.CryptoFactory(lambda _: Keys())
    options = pe.EncryptionConfiguration(
        footer_key="footer", column_keys={"key": ["n"]}, plaintext_footer=plaintext_footer, double_wrapping=False
    )
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), options)
    with pq.ParquetWriter(name, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


def main():
    """Writes all of them to the folder at hand."""
    numbers = pa.table({"n": range(1000), "t": [f"text {i}" for i in range(1000)]})
    pq.write_table(numbers, "brotli.parquet", compression="brotli")
    encrypted(numbers, "encrypted.parquet", plaintext_footer=False)
    encrypted(numbers, "columns.parquet", plaintext_footer=True)
    pq.write_table(numbers, "summed.parquet", compression="none", use_dictionary=False, write_page_checksum=True)
    times = pa.table({"t": pa.array(map(datetime.datetime.fromisoformat, FAR), pa.timestamp("us"))})
    pq.write_table(times, "times.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    duckdb.sql("copy (select 'small'::enum('small', 'large') as size) to 'enumeration.parquet' (format parquet)")
    duckdb.sql("copy (select unnest([interval 2 days, interval 3 months]) as i) to 'intervals.parquet' (format parquet)")
    pq.write_table(pa.table({"s": pa.array(["a"]), "n": pa.array([1], pa.int16())}), "text1.parquet")
    pq.write_table(pa.table({"s": pa.array(["b"], pa.large_string()), "n": [2]}), "text2.parquet")
    whole = pathlib.Path("summed.parquet").read_bytes()
    page = whole.index(b"text 500")
    pathlib.Path("flipped.parquet").write_bytes(whole[:page] + b"T" + whole[page + 1 :])


main()
