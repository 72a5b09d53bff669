//! A stage that speaks the contract's bindings directly and breaks it in the way that its config names: the stage of
//! the runners' conformance suite, which says what it is, with more misbehaviour of the kind that wasm makes possible.
#![cfg(target_arch = "wasm32")]

use std::cell::{Cell, RefCell};

use flowc_sdk::arrow::datatypes::{DataType, Field, Schema};
use flowc_sdk::bindings::exports::flowc::stage::stage as wit;
use flowc_sdk::bindings::flowc::stage::data::{ArraysParam, Batch, Level, Node, emit, log, make};
use flowc_sdk::serde_json::Value;

mod answers;

use answers::column_type;

struct Hostile;

flowc_sdk::bindings::export_component!(Hostile with_types_in flowc_sdk::bindings);

thread_local! {
    static CONFIG: RefCell<Value> = const { RefCell::new(Value::Null) };
    static HELD: RefCell<Vec<Batch>> = const { RefCell::new(Vec::new()) };
    static SUM: Cell<Option<i64>> = const { Cell::new(None) };
}

impl wit::Guest for Hostile {
    fn signature() -> wit::StageSignature {
        answers::signature()
    }

    fn describe(config: String, _: Vec<Vec<u8>>) -> Result<wit::Description, wit::Problem> {
        answers::describe(&config)
    }

    fn open(config: String, _: Vec<Vec<u8>>, phase: wit::Phase, part: u64) -> Result<(), wit::Problem> {
        let config: Value =
            flowc_sdk::serde_json::from_str(&config).map_err(|error| answers::problem(&error.to_string()))?;
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
        if config["do"] == "panic-in-open" {
            panic!("no wish to open");
        }
        SUM.set((config["class"] == "combining").then_some(0));
        CONFIG.set(config);
        called(&format!("open {phase:?} {part}"));
        Ok(())
    }

    fn push(port: u32, batch: Batch) -> Result<(), wit::Problem> {
        called(&format!("push {port} {}", batch.rows()));
        if let Some(sum) = SUM.get() {
            SUM.set(Some(sum + total(&batch)));
            return Ok(());
        }
        let mode = CONFIG.with_borrow(|config| config["do"].as_str().unwrap_or("good").to_owned());
        misbehave(&mode, batch)
    }

    fn end_of_input(port: u32) -> Result<(), wit::Problem> {
        called(&format!("end {port}"));
        Ok(())
    }

    fn finish() -> Result<(), wit::Problem> {
        called("finish");
        if let Some(sum) = SUM.get() {
            emit(0, make(0, 1, column(&[sum]).param(), &column_type(DataType::Int64)));
        }
        let held = HELD.take();
        for batch in held.iter().rev() {
            emit(0, extra(batch));
        }
        Ok(())
    }
}

/// Tells of a call, where the config asks for it: Debug writes a phase as `Phase::Run`.
fn called(call: &str) {
    if CONFIG.with_borrow(|config| config["do"] == "calls") {
        log(Level::Info, &call.replace("Phase::", ""));
    }
}

/// The sum of the first column.
fn total(batch: &Batch) -> i64 {
    let arrays = batch.read(&[0]);
    let bytes = arrays.buffers.last().map_or(&[][..], Vec::as_slice);
    bytes.chunks_exact(8).filter_map(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?))).sum()
}

fn misbehave(mode: &str, batch: Batch) -> Result<(), wit::Problem> {
    let rows = batch.rows();
    match mode {
        "good" | "calls" => emit(0, extra(&batch)),
        "read" => drop(batch.read(&[0])),
        "slices" => {
            emit(0, extra(&batch.slice(0, rows / 2)));
            emit(0, extra(&batch.slice(rows / 2, rows - rows / 2)));
        }
        "filter" => emit(0, extra(&batch.filter(&vec![0b0101_0101; rows.div_ceil(8) as usize]))),
        "take" => emit(0, extra(&batch.take(&[2, 0, 0]).take(&[0, 2]))),
        "words" => emit(1, words(&[0, 1, 3], b"abc", 2, &[])),
        "problem" => return Err(answers::problem("this row is not to my taste")),
        "read-undeclared" => drop(batch.read(&[1])),
        "read-twice" => drop(batch.read(&[0, 0])),
        "derive-short" => drop(derive(&batch, numbers(rows - 1).param())),
        "derive-lying" => drop(derive(&batch, Numbers { claimed: rows, ..numbers(rows - 1) }.param())),
        "derive-nothing" => drop(derive(&batch, NOTHING)),
        "derive-untyped" => drop(batch.derive(0, numbers(rows).param(), &[])),
        "derive-garbage-types" => drop(batch.derive(0, numbers(rows).param(), &[7; 99])),
        "derive-other-type" => {
            // Twice: the right statement before must not stand for a wrong one after it.
            drop(extra(&batch));
            drop(batch.derive(0, numbers(rows).param(), &column_type(DataType::Float64)));
        }
        "derive-two-types" => {
            let two = [Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)];
            drop(batch.derive(0, numbers(rows).param(), &answers::message(&Schema::new(two.to_vec()))));
        }
        "bad-offsets" => drop(words(&[0, 3, 1], b"abc", 2, &[])),
        "offsets-outside" => drop(words(&[0, 1, 300], b"abc", 2, &[])),
        "bad-text" => drop(words(&[0, 1, 3], b"a\xff\xfe", 2, &[])),
        "nulls" => drop(words(&[0, 1, 3], b"abc", 2, &[0b01])),
        "make-long" => drop(make(1, u64::MAX, NOTHING, &column_type(DataType::Utf8))),
        "wrong-port" => emit(1, extra(&batch)),
        "no-such-port" => emit(9, extra(&batch)),
        "make-same" => drop(make(0, rows, numbers(rows).param(), &column_type(DataType::Int64))),
        "emit-input" => emit(0, batch),
        "refilter-output" => drop(extra(&batch).filter(&[0xff])),
        "skip" => {}
        "twice" => (0..2).for_each(|_| emit(0, extra(&batch))),
        "backwards" | "late" => HELD.with_borrow_mut(|held| held.push(batch)),
        "bad-mask" => drop(batch.filter(&[])),
        "bad-take" => drop(batch.take(&[rows as u32])),
        "bad-slice" => drop(batch.slice(1, u64::MAX)),
        "panic" => panic!("cannot go on with {rows} rows"),
        "trap" => core::arch::wasm32::unreachable(),
        "overflow" => drop(std::hint::black_box(recurse(rows))),
        "loop" => endless(),
        "memory" => drop(std::hint::black_box(hoard_memory())),
        "handles" => hoard_handles(&batch),
        "keep-rows" => std::mem::forget(batch.slice(0, 1)),
        "keep-picks" => std::mem::forget(batch.filter(&vec![1; rows.div_ceil(8) as usize])),
        "keep-outputs" => std::mem::forget(extra(&batch.slice(0, 1))),
        "same-memory" => same_memory(&batch),
        "explode" => explode(&batch),
        "log" => (0..100_000).for_each(|i| log(Level::Info, &format!("line {i}"))),
        other => return Err(answers::problem(&format!("no such misbehaviour: {other}"))),
    }
    Ok(())
}

/// An Int64 column.
struct Numbers {
    claimed: u64,
    bytes: Vec<u8>,
    node: [Node; 1],
    buffers: Vec<&'static [u8]>,
}

fn numbers(rows: u64) -> Numbers {
    column(&(0..rows as i64).collect::<Vec<_>>())
}

fn column(values: &[i64]) -> Numbers {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Numbers { claimed: values.len() as u64, bytes, node: [Node { length: 0, null_count: 0 }], buffers: vec![] }
}

impl Numbers {
    fn param(self) -> ArraysParam<'static> {
        let Numbers { claimed, bytes, mut node, mut buffers } = self;
        node[0].length = claimed;
        buffers.extend([&[] as &[u8], bytes.leak()]);
        ArraysParam { nodes: Vec::from(node).leak(), buffers: buffers.leak(), variadic_counts: &[] }
    }
}

const NOTHING: ArraysParam<'static> = ArraysParam { nodes: &[], buffers: &[], variadic_counts: &[] };

fn extra(batch: &Batch) -> Batch {
    derive(batch, numbers(batch.rows()).param())
}

/// A batch of output `out` with this column, whatever is in it.
fn derive(batch: &Batch, column: ArraysParam<'_>) -> Batch {
    batch.derive(0, column, &column_type(DataType::Int64))
}

fn words(offsets: &[i32], text: &[u8], rows: u64, validity: &[u8]) -> Batch {
    let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let nodes = [Node { length: rows, null_count: u64::from(!validity.is_empty()) }];
    let arrays = ArraysParam { nodes: &nodes, buffers: &[validity, &offsets, text], variadic_counts: &[] };
    make(1, rows, arrays, &column_type(DataType::Utf8))
}

#[expect(unconditional_recursion, reason = "this is what the test is of")]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(depth + 1)) + 1)
}

fn endless() {
    let mut i = 0u64;
    while std::hint::black_box(i) < u64::MAX {
        i += 1;
    }
}

fn hoard_memory() -> Vec<Vec<u8>> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

fn hoard_handles(batch: &Batch) {
    let mut hoard = Vec::new();
    loop {
        hoard.push(batch.slice(0, 1));
    }
}

/// Names the same megabyte a million times over.
fn same_memory(batch: &Batch) {
    let megabyte = vec![0u8; 1 << 20];
    let buffers = vec![megabyte.as_slice(); 1 << 16];
    drop(derive(batch, ArraysParam { buffers: &buffers, ..NOTHING }));
}

/// Takes one row so often that its text alone would fill any memory.
fn explode(batch: &Batch) {
    drop(derive(&batch.take(&vec![0; 4 << 20]), numbers(4 << 20).param()));
}
