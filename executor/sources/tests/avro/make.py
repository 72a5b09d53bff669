"""Writes the container files of this folder with fastavro: `pip install fastavro cramjam backports.zstd`."""

import datetime
import decimal
import pathlib

import fastavro

SCHEMA = {
    "type": "record",
    "name": "Bid",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "who", "type": ["null", "string"], "default": None},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["ASK", "BID"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}


def row(number: int) -> dict:
    return {
        "id": number,
        "who": None if number % 3 == 2 else f"w{number}",
        "price": decimal.Decimal(number * 25) / 100,
        "at": datetime.datetime(2024, 3, 1, 12, 0, number % 60, tzinfo=datetime.UTC),
        "kind": ["ASK", "BID"][number % 2],
        "tags": ["t"] * (number % 3),
    }


for codec in ["null", "deflate", "snappy", "zstandard", "bzip2"]:
    path = pathlib.Path(__file__).parent / f"{codec}.avro"
    with path.open("wb") as file:
        rows = [row(number) for number in range(40)]
        mark = b"0123456789abcdef"
        fastavro.writer(file, fastavro.parse_schema(SCHEMA), rows, codec=codec, sync_interval=300, sync_marker=mark)
