//! Kinds of memos are told apart, others' are not trusted, and records can be read in every later version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use flowc_demand::SegmentTimes;
use flowc_planner::key::ContentDigest;
use flowc_sinks::SinkState;
use flowc_store::Store;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::StageRan;
use crate::intake::inventory::{SegmentFacts, SourceMemo};
use crate::plan::freshness::Mark;
use crate::record::history::{LogLine, PinnedRun};
use crate::record::pages::Page;
use crate::record::run::{RunRecord, WholeRun};

const ALL: [Memo; 22] = [
    SEGMENT,
    SIGNATURE,
    DESCRIPTION,
    PLAN,
    RUN,
    PAGE,
    SINK,
    ANNOUNCED,
    LOG,
    CONTENT,
    PIN,
    FILES,
    CODE,
    UP_TO_DATE,
    FOUND,
    MARK,
    RAN,
    FORCED,
    TIMES,
    LATE,
    TRIAL,
    MADE_ON,
];
const KEY: [u8; 32] = [7; 32];

/// What other versions of flowc would ask for.
fn of_others(memo: Memo) -> Vec<Memo> {
    let newer = Memo { version: memo.version + 1, ..memo };
    let other_build = memo.build.map(|_| Memo { build: Some("another build"), ..memo });
    [newer].into_iter().chain(other_build).collect()
}

#[test]
fn kinds_are_told_apart() {
    let numbers: BTreeSet<u8> = ALL.iter().map(|memo| memo.number).collect();
    assert_eq!(numbers.len(), ALL.len());
}

#[test]
fn what_another_version_remembered_is_not_trusted_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    // A small fact, and one that lies in a file where its kind may.
    for fact in ["fact".to_owned(), "fact".repeat(10_000)] {
        for memo in ALL {
            for other in of_others(memo) {
                let store = Store::open(folder.path()).unwrap();
                store.remember(other, &KEY, &fact).unwrap();
                assert_eq!(store.memo::<String>(memo, &KEY).unwrap(), None, "{memo:?} before it is committed");
                store.flush().unwrap();
                let store = Store::open(folder.path()).unwrap();
                assert_eq!(store.memo::<String>(memo, &KEY).unwrap(), None, "{memo:?}");
                assert_eq!(store.memos::<String>(memo).unwrap(), [], "{memo:?} among all");
                assert_eq!(store.memo(other, &KEY).unwrap().as_ref(), Some(&fact), "{other:?}");
                store.remember(memo, &KEY, &fact).unwrap();
                store.flush().unwrap();
                let store = Store::open(folder.path()).unwrap();
                assert_eq!(store.memo(memo, &KEY).unwrap().as_ref(), Some(&fact), "{memo:?} is made again");
                assert_eq!(store.memo::<String>(other, &KEY).unwrap(), None, "{other:?} is replaced");
                store.forget(memo, &KEY);
                store.flush().unwrap();
            }
        }
    }
}

/// A kind of records: how the bytes of one are read and written. Values are told as JSON.
struct Form {
    name: &'static str,
    memo: Memo,
    read: fn(Memo, Vec<u8>) -> Option<Value>,
    write: fn(Memo, &Value) -> Vec<u8>,
}

fn form<T: Serialize + DeserializeOwned>(name: &'static str, memo: Memo) -> Form {
    let read = |memo: Memo, bytes| Some(serde_json::to_value(memo.decode::<T>(&KEY, bytes)?).unwrap());
    let write = |memo: Memo, value: &Value| {
        let record: T = serde_json::from_value(value.clone()).unwrap();
        memo.encode(&KEY, &record).unwrap()
    };
    Form { name, memo, read, write }
}

fn records() -> Vec<Form> {
    vec![
        form::<SegmentFacts>("segment", SEGMENT),
        form::<WholeRun>("run", WHOLE_RUN),
        form::<RunRecord>("run-2", RUN),
        form::<Page>("page", PAGE),
        form::<SinkState>("sink", SINK),
        form::<SinkState>("announced", ANNOUNCED),
        form::<Vec<LogLine>>("log", LOG),
        form::<ContentDigest>("content", CONTENT),
        form::<PinnedRun>("pin", PIN),
        form::<SourceMemo<'_>>("files", FILES),
        form::<Mark>("mark", MARK),
        form::<StageRan>("ran", RAN),
        form::<BTreeMap<String, Mark>>("forced", FORCED),
        form::<SegmentTimes>("times", TIMES),
        form::<u64>("late", LATE),
        form::<String>("made-on", MADE_ON),
    ]
}

/// A record as a version of flowc wrote it, and its value.
#[derive(Serialize, Deserialize)]
struct Fixture {
    /// With the seal; hex, in lines.
    bytes: Vec<String>,
    value: Value,
}

fn from_hex(lines: &[String]) -> Vec<u8> {
    let hex = lines.concat();
    (0..hex.len() / 2).map(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(48).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect()
}

/// A record that can't be read any more is one that all users lose, and with a lost run record `store gc` removes its results.
/// `FLOWC_BLESS=1` writes the bytes of a value anew, but only where those that are there give another value.
#[test]
fn records_of_earlier_versions_can_be_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let mut wrong = Vec::new();
    for Form { name, memo, read, write } in records() {
        let path = folder.join(format!("{name}.json"));
        let mut fixture: Fixture = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        match read(memo, from_hex(&fixture.bytes)) {
            Some(value) if value == fixture.value => {}
            _ if std::env::var_os("FLOWC_BLESS").is_some() => {
                fixture.bytes = to_hex(&write(memo, &fixture.value));
                std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&fixture).unwrap())).unwrap();
            }
            read => wrong.push(format!("{name}: {read:?}")),
        }
    }
    assert!(wrong.is_empty(), "not the values that were written:\n{}", wrong.join("\n"));
}

/// What a build made of something is trusted by that build alone: no other one reads it, so its form may change.
#[test]
fn every_record_has_a_fixture() {
    let of_records: BTreeSet<u8> = ALL.iter().filter(|memo| memo.build.is_none()).map(|memo| memo.number).collect();
    let with_fixture: BTreeSet<u8> = records().iter().map(|form| form.memo.number).collect();
    assert_eq!(with_fixture, of_records);
}
