"""Writes records with other tools, which tests read: run it with fastavro and grpcio-tools installed.

`avro.json`: a schema, and the records of two versions of it by fastavro, in hexadecimal, with the rows as flowc prints them.
`shop.desc`: descriptors by protoc; `protobuf.json`: messages by Google's library.
"""

import datetime
import decimal
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import uuid

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = pathlib.Path(__file__).parent
UTC = datetime.timezone.utc

OLD = {
    "type": "record",
    "name": "Bid",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "int"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "gone", "type": {"type": "map", "values": "long"}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "WON"]}},
    ],
}
NEW = {
    "type": "record",
    "name": "Bid",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "WON", "LOST"]}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": None},
        {"name": "local", "type": ["null", {"type": "long", "logicalType": "local-timestamp-millis"}], "default": None},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "clock", "type": ["null", {"type": "int", "logicalType": "time-millis"}], "default": None},
        {"name": "key", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": None},
        {"name": "hash", "type": ["null", {"type": "fixed", "name": "Hash", "size": 2}], "default": None},
        {"name": "ratio", "type": ["null", "double"], "default": None},
        {"name": "note", "type": ["string", "null"], "default": "none"},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}, "default": []},
        {"name": "counts", "type": {"type": "map", "values": "long"}, "default": {}},
        {
            "name": "user",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "User",
                    "fields": [{"name": "name", "type": "string"}, {"name": "vip", "type": "boolean"}],
                },
            ],
            "default": None,
        },
    ],
}
OLD_ROWS = [
    ({"id": 7, "price": decimal.Decimal("1.50"), "gone": {"a": 1}, "state": "WON"},
     "7|1.50|WON|~|~|~|~|~|~|~|none|[]|{}|~"),
    ({"id": -1, "price": decimal.Decimal("-99999999.99"), "gone": {}, "state": "OPEN"},
     "-1|-99999999.99|OPEN|~|~|~|~|~|~|~|none|[]|{}|~"),
]
NEW_ROWS = [
    (
        {
            "id": 1 << 40,
            "price": decimal.Decimal("0.01"),
            "state": "LOST",
            "at": datetime.datetime(2026, 11, 1, 12, 0, 0, 123456, UTC),
            "local": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
            "day": datetime.date(2026, 11, 1),
            "clock": datetime.time(23, 59, 59, 999000),
            "key": uuid.UUID("12345678-9abc-def0-1234-56789abcdef0"),
            "hash": b"\xff\x00",
            "ratio": -0.5,
            "note": None,
            "tags": ["a", None, "ü"],
            "counts": {"x": -1},
            "user": {"name": "Ann", "vip": True},
        },
        "1099511627776|0.01|LOST|2026-11-01T12:00:00.123456Z|1969-12-31T23:59:59.999|2026-11-01|23:59:59.999|"
        "12345678-9abc-def0-1234-56789abcdef0|ff00|-0.5|~|[a, ~, ü]|{x: -1}|{name: Ann, vip: true}",
    ),
    (
        {"id": 0, "price": decimal.Decimal("0.00"), "state": "OPEN", "note": "n", "tags": [], "counts": {}},
        "0|0.00|OPEN|~|~|~|~|~|~|~|n|[]|{}|~",
    ),
]

PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message Other { string text = 1; }

message Bid {
  enum State { OPEN = 0; WON = 1; }
  message User { string name = 1; bool vip = 2; }
  message Tree { repeated Tree children = 1; }

  int64 id = 1;
  sint32 change = 2;
  double ratio = 3;
  string note = 4;
  bytes hash = 5;
  State state = 6;
  optional uint32 count = 7;
  User user = 8;
  repeated int32 sizes = 9;
  repeated User users = 10;
  map<string, int64> counts = 11;
  google.protobuf.Timestamp at = 12;
  google.protobuf.Int32Value wrapped = 13;
  oneof choice { string left = 14; int64 right = 15; }
  fixed64 big = 16;
  sfixed32 small = 17;
  float single = 18;
  bool flag = 19;
  uint64 most = 20;
  sint64 least = 21;
}
"""
MESSAGES = [
    ({}, "0|0|0.0|||OPEN|~|~|[]|[]|{}|~|~|~|~|0|0|0.0|false|0|0"),
    (
        {
            "id": -5, "change": -3, "ratio": 0.5, "note": "ü", "hash": b"\x00\x01", "state": 1, "count": 0,
            "user": {"name": "Ann", "vip": True}, "sizes": [1, -2], "users": [{}, {"name": "Bo"}],
            "counts": {"b": 2, "a": 1}, "at": {"seconds": -1, "nanos": 5}, "wrapped": {"value": 0}, "left": "l",
            "big": (1 << 64) - 1, "small": -7, "single": 1.5, "flag": True, "most": (1 << 64) - 1, "least": -(1 << 63),
        },
        "-5|-3|0.5|ü|0001|WON|0|{name: Ann, vip: true}|[1, -2]|[{name: , vip: false}, {name: Bo, vip: false}]|"
        "{a: 1, b: 2}|1969-12-31T23:59:59.000000005Z|0|l|~|18446744073709551615|-7|1.5|true|18446744073709551615|"
        "-9223372036854775808",
    ),
]


def avro(schema, row):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, row)
    return out.getvalue().hex()


def fill(message, values):
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if isinstance(value, dict) and field.is_repeated:
            for key, inner in value.items():
                getattr(message, name)[key] = inner
        elif isinstance(value, dict):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        elif isinstance(value, list):
            for inner in value:
                if isinstance(inner, dict):
                    fill(getattr(message, name).add(), inner)
                else:
                    getattr(message, name).append(inner)
        else:
            setattr(message, name, value)


def protobuf():
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "shop.proto").write_text(PROTO)
        out = HERE / "shop.desc"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_imports"]
        subprocess.run([*command, f"--descriptor_set_out={out}", "shop.proto"], check=True, cwd=folder)
    files = descriptor_pb2.FileDescriptorSet.FromString((HERE / "shop.desc").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    bid = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Bid"))
    told = []
    for values, text in MESSAGES:
        message = bid()
        fill(message, values)
        told.append({"bytes": message.SerializeToString(deterministic=True).hex(), "row": text})
    return told


def main():
    rows = lambda schema, rows: [{"bytes": avro(schema, row), "row": text} for row, text in rows]
    told = {"old": OLD, "new": NEW, "old-rows": rows(OLD, OLD_ROWS), "new-rows": rows(NEW, NEW_ROWS)}
    (HERE / "avro.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    (HERE / "protobuf.json").write_text(json.dumps(protobuf(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
