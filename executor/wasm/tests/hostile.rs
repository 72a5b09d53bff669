//! A stage may do what it likes: the worst is that it fails, with a reason that names what is wrong.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use flowc_planner::plan::Limits;
use flowc_runner::{Batch, StageFault};
use flowc_wasm::WasmRunner;
use support::{Folder, HOSTILE, Keeper, Kept, describe, drive, fault, input_schema, invocation, run};

fn ids(batch: &Batch) -> Vec<i64> {
    batch.column(0).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn all_ids(kept: &Kept) -> Vec<i64> {
    kept.batches.iter().flat_map(|(_, batch)| ids(batch)).collect()
}

#[test]
fn a_stage_that_behaves_keeps_its_rows() {
    for mode in ["good", "slices"] {
        let config = format!(r#"{{"do": "{mode}"}}"#);
        let (outcome, kept) = run(&invocation(&config, Limits::default()), &[10, 0, 5]);
        outcome.unwrap();
        assert!(kept.closed);
        assert_eq!(all_ids(&kept), (0..15).collect::<Vec<_>>());
        let (_, first) = &kept.batches[0];
        assert_eq!(first.columns().len(), 3);
        assert!(first.columns().iter().all(Option::is_some));
    }
}

#[test]
fn picked_rows_take_all_columns_with_them() {
    let (outcome, kept) = run(&invocation(r#"{"do": "filter", "rows": "subset"}"#, Limits::default()), &[10, 5]);
    outcome.unwrap();
    assert_eq!(all_ids(&kept), [0, 2, 4, 6, 8, 10, 12, 14]);
    let texts = kept.batches[1].1.column(1).unwrap();
    assert_eq!(texts.as_string::<i32>().value(2), "text number 14");

    let (outcome, kept) = run(&invocation(r#"{"do": "take", "rows": "subset"}"#, Limits::default()), &[10]);
    outcome.unwrap();
    assert_eq!(all_ids(&kept), [2, 0]);
}

#[test]
fn columns_that_nobody_needs_are_left_out_and_need_not_be_there() {
    let mut invocation = invocation(r#"{"do": "filter", "rows": "subset"}"#, Limits::default());
    let mut outputs = invocation.outputs.to_vec();
    outputs[0].needed = vec![false; 3];
    invocation.outputs = outputs.into();
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX });
    let mut instance = flowc_runner::Runner::open(&HOSTILE.runner, &invocation, keeper).unwrap();
    instance.push(0, Batch::new(10, vec![None, None, None])).unwrap();
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    let kept = kept.lock().unwrap();
    assert_eq!(kept.batches[0].1.rows(), 5);
    assert!(kept.batches[0].1.columns().iter().all(Option::is_none));
}

#[test]
fn new_rows_are_rebuilt() {
    let (outcome, kept) = run(&invocation(r#"{"do": "words", "rows": "subset"}"#, Limits::default()), &[1]);
    outcome.unwrap();
    let (port, words) = &kept.batches[0];
    assert_eq!(*port, 1);
    assert_eq!(words.column(0).unwrap().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "bc"]);
}

#[test]
fn breaches_of_the_contract_are_named() {
    let breaches = [
        ("read-undeclared", "same", "column 1 of input port 0 is read, but 1 columns were declared"),
        ("read-twice", "same", "2 columns are read at once from the 1 of input port 0"),
        ("derive-short", "same", "output port 0: column `extra`"),
        ("derive-lying", "same", "output port 0: column `extra`"),
        ("derive-nothing", "same", "output port 0: column `extra`"),
        ("bad-offsets", "same", "output port 1: column `word`"),
        ("offsets-outside", "same", "output port 1: column `word`"),
        ("bad-text", "same", "output port 1: column `word`"),
        ("nulls", "same", "column `word`: 1 nulls, but the schema says that it has none"),
        ("make-long", "same", "a batch of 18446744073709551615 rows"),
        ("wrong-port", "same", "a batch made for output port 0 is emitted on output port 1"),
        ("no-such-port", "same", "there is no output port 9"),
        ("make-same", "same", "its batches are derived, not made"),
        ("emit-input", "same", "column `extra` of it is to be written"),
        ("refilter-output", "same", "a batch made for output port 0 can only be emitted there"),
        ("skip", "same", "0 of 15 were emitted"),
        ("read", "same", "0 of 15 were emitted"),
        ("twice", "same", "each once and in order: row 10 is due"),
        ("backwards", "same", "each once and in order: row 0 is due"),
        ("filter", "same", "each once and in order: row 0 is due"),
        ("bad-mask", "subset", "a mask has 0 bytes where 10 rows take 2"),
        ("bad-take", "subset", "row 10 is taken from a batch of 10 rows"),
        ("bad-slice", "subset", "rows from row 1 on, of a batch of 10 rows"),
    ];
    for (mode, rows, what) in breaches {
        match fault(mode, rows, Limits::default()) {
            StageFault::Contract(said) => assert!(said.contains(what), "{mode}: {said}"),
            other => panic!("{mode}: {other:?}"),
        }
    }
}

#[test]
fn problems_are_the_stages_own_words() {
    let message = "this row is not to my taste (choose another)".to_owned();
    let config_path = Some("/do".to_owned());
    assert_eq!(fault("problem", "same", Limits::default()), StageFault::Problem { message, config_path });
}

#[test]
fn code_that_stops_says_why() {
    let stops = [
        ("panic", "cannot go on with 10 rows"),
        ("panic-in-open", "no wish to open"),
        ("trap", "it aborted"),
        ("overflow", "its stack overflowed"),
    ];
    for (mode, what) in stops {
        match fault(mode, "same", Limits::default()) {
            StageFault::Trap(said) => assert!(said.contains(what), "{mode}: {said}"),
            other => panic!("{mode}: {other:?}"),
        }
    }
}

#[test]
fn memory_is_limited_wherever_it_is_taken() {
    let bytes = 64 << 20;
    for mode in ["memory", "handles", "same-memory", "explode"] {
        let limits = Limits { memory: Some(bytes), ..Limits::default() };
        assert_eq!(fault(mode, "subset", limits), StageFault::Memory { bytes }, "{mode}");
    }
    let limits = Limits { memory: Some(1 << 16), ..Limits::default() };
    assert_eq!(fault("good", "same", limits), StageFault::Memory { bytes: 1 << 16 });
}

#[test]
fn a_stage_that_never_returns_is_interrupted() {
    let limits = Limits { timeout_ms: Some(50), ..Limits::default() };
    assert_eq!(fault("loop", "same", limits.clone()), StageFault::Timeout { milliseconds: 50 });
    let limits = Limits { timeout_ms: Some(60_000), ..limits };
    let (outcome, kept) = run(&invocation(r#"{"do": "good"}"#, limits), &[10, 5]);
    outcome.unwrap();
    assert_eq!(all_ids(&kept).len(), 15);
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    let (outcome, kept) = run(&invocation(r#"{"do": "log", "rows": "subset"}"#, Limits::default()), &[1]);
    outcome.unwrap();
    assert_eq!(kept.lines.len(), flowc_wasm::LOG_LINES + 1);
    assert_eq!(kept.lines[7], ("info".to_owned(), "line 7".to_owned()));
    assert!(kept.lines.last().unwrap().1.contains("left out"));
}

#[test]
fn an_outlets_error_comes_back_as_it_is() {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let invocation = invocation(r#"{"do": "good"}"#, Limits::default());
    let error = drive(&invocation, &[10, 5], Keeper { kept, fail_at: 1 }).unwrap_err();
    assert_eq!((error.stage.as_str(), error.fault), ("below", StageFault::Cancelled));
}

#[test]
fn an_instance_has_no_history() {
    for _ in 0..3 {
        let (outcome, kept) = run(&invocation(r#"{"do": "late", "rows": "subset"}"#, Limits::default()), &[3]);
        outcome.unwrap();
        assert_eq!(all_ids(&kept), [0, 1, 2]);
    }
}

#[test]
fn lies_in_a_description_are_found_at_plan_time() {
    let lies = [
        ("reads-range", "the columns read of input `in` name column 3 of 3"),
        ("reads-order", "not in ascending order"),
        ("keys", "has keys, but is row-wise"),
        ("no-inputs", "it describes 0 inputs, but has 1"),
        ("no-outputs", "it describes 0 outputs, but has 2"),
        ("garbage-schema", "the schema of output `out` can't be read"),
        ("few-origins", "has 3 columns, its origins are 2"),
        ("passed-range", "column `id` of output `out` is column 7 of 3 of the input"),
        ("passed-type", "column `id` of output `out` is passed on as Int64, but is Utf8"),
        ("passed-null", "passed on as not nullable, but `score` is nullable"),
        ("passed-new", "is passed on, but the rows are new"),
        ("rows-range", "output `out` has the rows of input 3 of 1"),
        ("combining", "has the rows of a combining input"),
        ("partial", "it has partials, but no combining input"),
        ("no-parts", "it has no parts"),
        ("parts", "it has 2 parts, but inputs too"),
        ("panic", "no wish to describe"),
        ("problem", "I do not like this config"),
    ];
    for (lie, what) in lies {
        let problem = describe(&format!(r#"{{"describe": "{lie}"}}"#)).unwrap_err();
        assert!(problem.message.contains(what), "{lie}: {}", problem.message);
    }
    assert_eq!(describe("{}").unwrap().inputs[0].reads, [0]);
    assert_eq!(input_schema().fields().len(), 3);
}

#[test]
fn what_is_no_component_is_named_for_what_it_is() {
    let module = b"\0asm\x01\0\0\0".as_slice();
    let broken = [&HOSTILE.component[..200], &[0xff; 64]].concat();
    for (bytes, what) in [
        (b"hello".to_vec(), "not a wasm component"),
        (module.to_vec(), "a core wasm module, not a component"),
        (broken, "can't be compiled"),
        (b"\0asm\x0d\0\x01\0".to_vec(), "it does not export `flowc:stage/stage@0.1.0`"),
    ] {
        let digest = WasmRunner::digest(&bytes);
        HOSTILE.runner.add(bytes, digest);
        let problem = HOSTILE.runner.signature(&digest).unwrap_err();
        assert!(problem.message.contains(what), "{}", problem.message);
    }
}

#[test]
fn a_damaged_file_in_the_cache_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let ask = || {
        let runner = WasmRunner::new(Arc::new(Folder(folder.path().to_owned()))).unwrap();
        runner.add(HOSTILE.component.clone(), HOSTILE.digest);
        runner.signature(&HOSTILE.digest).unwrap()
    };
    let first = ask();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let good = std::fs::metadata(&files[0]).unwrap().len();
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[0], b"nothing that an engine would take").unwrap();
    assert_eq!(ask(), first);
    assert_eq!(std::fs::metadata(&files[0]).unwrap().len(), good);
}
