//! Whatever batches are made of on their way to a stage and back, results and keys are the same.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::Path;

use support::components::pipeline;
use support::project::Project;
use support::results::{outputs, plan};

const SERIALIZATIONS: [&str; 3] = ["arrow", "parquet", "json"];

/// Makes columns of many types, and writes them again in another process.
const STAGE: &str = r#"
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import flowc
import pyarrow as pa

POINT = pa.struct([pa.field("x", pa.float32()), pa.field("names", pa.list_(pa.string()))])
JSON = {
    "truth": (pa.bool_(), lambda n: n % 2 == 0),
    "small": (pa.int8(), lambda n: n - 128),
    "large": (pa.uint64(), lambda n: 2**64 - 1 - n),
    "signed": (pa.int64(), lambda n: n - 2**63),
    "narrow": (pa.float32(), lambda n: 0.1 * n),
    "wide": (pa.float64(), lambda n: 1 / (n + 3)),
    "text": (pa.string(), lambda n: "\"\u2028\n\U0001f600\\" * n),
    "long": (pa.large_string(), str),
    "list": (pa.list_(pa.int32()), lambda n: [n, None] * n),
    "point": (POINT, lambda n: {"x": n / 7, "names": [None, "a"]}),
    "points": (pa.large_list(POINT), lambda n: [None, {"x": None, "names": []}]),
}
PARQUET = JSON | {
    "bytes": (pa.binary(), lambda n: b"\x00\xff" * n),
    "blob": (pa.large_binary(), lambda n: bytes([n])),
    "fixed": (pa.binary(2), lambda n: bytes([n, 0])),
    "price": (pa.decimal128(20, 3), lambda n: Decimal(n) / 8 - 10**16),
    "short": (pa.decimal128(5, 2), lambda n: Decimal(n) / 4),
    "day": (pa.date32(), lambda n: date(1, 1, 1) + timedelta(n)),
    "short_time": (pa.time32("ms"), lambda n: time(n, 1, 2, 3000)),
    "micro_time": (pa.time64("us"), lambda n: time(n, 1, 2, 3)),
    "long_time": (pa.time64("ns"), lambda n: time(n, 1, 2, 3)),
    "milli": (pa.timestamp("ms"), lambda n: datetime(1, 1, 1) + timedelta(n)),
    "zoned": (pa.timestamp("us", "Europe/Rome"), lambda n: datetime(2024, 2, 28) + timedelta(n)),
    "nano": (pa.timestamp("ns"), lambda n: datetime(1960, 1, 1, 0, 0, 0, n)),
    "infinite": (pa.float64(), lambda n: float("inf")),
}


def made(columns, numbers):
    return {
        name: pa.array([None if n % 5 == 3 else of(n) for n in numbers], kind) for name, (kind, of) in columns.items()
    }


def types(columns, suffix=""):
    return {name + suffix: flowc.nullable(kind) for name, (kind, _) in columns.items()}


def again(columns, rows):
    return {f"{name}_again": rows[name] for name in columns}


@flowc.stage(reads=["n"], adds=types(JSON))
def plain(rows: pa.RecordBatch):
    return made(JSON, rows["n"].to_pylist())


@flowc.stage(reads=list(JSON), adds=types(JSON, "_again"))
def plain_again(rows: pa.RecordBatch):
    return again(JSON, rows)


@flowc.stage(reads=["n"], adds=types(PARQUET))
def rich(rows: pa.RecordBatch):
    return made(PARQUET, rows["n"].to_pylist())


@flowc.stage(reads=list(PARQUET), adds=types(PARQUET, "_again"))
def rich_again(rows: pa.RecordBatch):
    return again(PARQUET, rows)
"#;

/// A Python stage that makes columns, and one in another process that writes them again.
fn python(entry: &str, serialization: &str) -> Project {
    let project = Project::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for name in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("kinds/{name}"), &std::fs::read_to_string(folder.join(name)).unwrap());
    }
    project.write("kinds/stage.py", STAGE);
    let numbers = (0..20).map(|number| format!("{number}\n")).collect::<String>();
    project.write("numbers.csv", &format!("n\n{numbers}"));
    text(&project, entry, serialization);
    project
}

fn text(project: &Project, entry: &str, serialization: &str) {
    let how = format!("isolate #true; serialization \"{serialization}\"");
    let text = format!(
        "source \"numbers\" {{ files \"numbers.csv\" }}
         stage \"made\" {{ in \"numbers\"; python \"kinds\" entry=\"stage:{entry}\"; {how} }}
         stage \"again\" {{ in \"made\"; python \"kinds\" entry=\"stage:{entry}_again\"; {how} }}
         sink \"out\" {{ in \"again\"; file \"out.arrow\" }}"
    );
    project.write("flow.kdl", &text);
}

/// That a run finds the results of all stages, but for those that only pass on what they are given.
fn is_cached(project: &Project, stages: usize) {
    let output = project.flowc(&["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let closing = said.lines().find_map(|line| line.strip_prefix(&format!("{stages} stages: ")));
    let outcomes = closing.and_then(|line| line.split(';').next()).unwrap_or_else(|| panic!("{said}"));
    let is_at_hand = |outcome: &str| outcome.ends_with(" cached") || outcome.ends_with(" passthrough");
    assert!(outcomes.split(", ").all(is_at_hand), "{said}");
}

#[test]
fn components_give_the_same_and_have_the_same_keys() {
    let how = |serialization| format!("isolate \"process\"; serialization \"{serialization}\"");
    let due = outputs(&pipeline("isolate #false"));
    for serialization in SERIALIZATIONS {
        assert_eq!(outputs(&pipeline(&how(serialization))), due, "{serialization}");
    }
    let project = pipeline(&how("arrow"));
    assert_eq!(outputs(&project), due);
    let arrow = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    for other in ["parquet", "json"] {
        project.write("flow.kdl", &arrow.replace("\"arrow\"", &format!("\"{other}\"")));
        assert_eq!(plan(&project).matches(&format!("batches travel as {other}\n")).count(), 6);
        is_cached(&project, 6);
    }
}

#[test]
fn python_stages_give_the_same_of_every_type_that_travels() {
    for (entry, serializations) in [("plain", &SERIALIZATIONS[..]), ("rich", &SERIALIZATIONS[..2])] {
        let found = serializations.iter().map(|serialization| outputs(&python(entry, serialization)));
        let found: Vec<_> = found.collect();
        assert!(found.iter().all(|outputs| *outputs == found[0]), "{entry}: {found:?}");
    }
    let project = python("plain", "arrow");
    outputs(&project);
    text(&project, "plain", "json");
    is_cached(&project, 2);
}

#[test]
fn what_does_not_travel_is_told_before_or_with_its_place() {
    let project = python("rich", "json");
    let said = project.flowc(&["plan"]).output().unwrap().stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("writes `bytes`: Binary does not travel as json without a change"), "{said}");

    let project = Project::new();
    project.write("numbers.csv", "x\n1.5\nNaN\n");
    let flow = "source \"numbers\" { files \"numbers.csv\"; schema { column \"x\" \"Float64\" } }
         stage \"all\" {
             in \"numbers\"; std \"filter@1\"; config { where { column \"x\"; op \"not-null\" } }
             isolate \"process\"; serialization \"json\"
         }
         sink \"out\" { in \"all\"; file \"out.csv\" }";
    project.write("flow.kdl", flow);
    let output = project.flowc(&["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("column `x`, row 2: NaN is no number that JSON has"), "{said}");
    assert!(said.contains("`all`") || said.contains("stage all"), "{said}");
}
