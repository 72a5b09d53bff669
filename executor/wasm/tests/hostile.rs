//! A stage may do what it likes: the worst is that it fails, with a reason that names what is wrong.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use flowc_planner::plan::Limits;
use flowc_runner::StageFault;
use flowc_runner::conformance::{failures, input_schema};
use flowc_wasm::{CompiledFolder, WasmRunner};
use support::{HOSTILE, describe, fault, invocation, run};

#[test]
fn the_runner_does_what_every_runner_must() {
    assert_eq!(failures(&*HOSTILE), [""; 0]);
}

#[test]
fn rows_taken_by_number_may_be_taken_again() {
    let (outcome, kept) = run(&invocation(r#"{"do": "take", "rows": "subset"}"#, Limits::default()), &[10]);
    outcome.unwrap();
    assert_eq!(kept.ids(), [2, 0]);
    let texts = kept.batches[0].1.column(1).unwrap();
    assert_eq!(texts.as_string::<i32>().value(0), "text number 2");
}

#[test]
fn breaches_of_the_contract_are_named() {
    let breaches = [
        ("read-twice", "same", "2 columns are read at once from the 1 of input port 0"),
        ("derive-lying", "same", "output port 0: column `extra`"),
        ("derive-nothing", "same", "output port 0: column `extra`"),
        ("derive-untyped", "same", "output port 0: the types of its columns can't be read"),
        ("derive-garbage-types", "same", "output port 0: the types of its columns can't be read"),
        ("derive-other-type", "same", "output port 0: column `extra`: declared as Int64, but given as Float64"),
        ("derive-two-types", "same", "output port 0: columns given: 2, columns declared: 1"),
        ("offsets-outside", "same", "output port 1: column `word`"),
        ("make-long", "same", "a batch of 18446744073709551615 rows"),
        ("wrong-port", "same", "a batch made for output port 0 is emitted on output port 1"),
        ("make-same", "same", "its batches are derived, not made"),
        ("emit-input", "same", "column `extra` of it is to be written"),
        ("refilter-output", "same", "a batch made for output port 0 can only be emitted there"),
        ("read", "same", "0 of 15 were emitted"),
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
fn code_that_stops_says_why() {
    let stops = [("trap", "it aborted"), ("overflow", "its stack overflowed")];
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
    for mode in ["handles", "same-memory", "explode"] {
        let limits = Limits { memory: Some(bytes), ..Limits::default() };
        assert_eq!(fault(mode, "subset", limits), StageFault::Memory { bytes }, "{mode}");
    }
    let limits = Limits { memory: Some(1 << 16), ..Limits::default() };
    assert_eq!(fault("good", "same", limits), StageFault::Memory { bytes: 1 << 16 });
}

#[test]
fn batches_kept_by_handle_count_as_the_stages_memory() {
    let (bytes, sizes) = (16 << 20, [50_000; 30]);
    let run_in = |mode: &str| {
        let limits = Limits { memory: Some(bytes), ..Limits::default() };
        run(&invocation(&format!(r#"{{"do": "{mode}", "rows": "subset"}}"#), limits), &sizes).0
    };
    for mode in ["keep-rows", "keep-picks", "keep-outputs"] {
        assert_eq!(run_in(mode).unwrap_err().fault, StageFault::Memory { bytes }, "{mode}");
    }
    run_in("skip").unwrap();
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    let (outcome, kept) = run(&invocation(r#"{"do": "log", "rows": "subset"}"#, Limits::default()), &[1]);
    outcome.unwrap();
    assert_eq!(kept.lines.len(), flowc_wasm::LOG_LINES + 1);
    assert_eq!(kept.lines[7], ("info".to_owned(), "line 7".to_owned()));
    assert!(kept.lines.last().unwrap().1.starts_with("log limit reached"));
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
        (b"\0asm\x0d\0\x01\0".to_vec(), "it does not export `flowc:stage/stage@0.2.0`"),
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
        let runner = WasmRunner::new(Arc::new(CompiledFolder(folder.path().to_owned()))).unwrap();
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
