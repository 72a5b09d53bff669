//! Speaks version 0.2.0 of the stage contract, by its bindings alone.
//!
//! The input is one column of `Int64` without nulls. Output `odd` keeps its odd numbers, picked in every way that there
//! is; output `made` has the double of each number.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "stage.wit", world: "component" });

use exports::flowc::stage::stage as wit;
use flowc::stage::data::{Arrays, Batch, Level, Node, emit, log, make};

struct Released;

thread_local! {
    /// The schema of the input, which is that of the written column too.
    static TYPES: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

export!(Released);

impl wit::Guest for Released {
    fn signature() -> wit::StageSignature {
        wit::StageSignature {
            doc: "Speaks the contract.".to_owned(),
            inputs: vec!["in".to_owned()],
            outputs: vec!["odd".to_owned(), "made".to_owned()],
            config_schema: "{\"type\":\"object\"}".to_owned(),
        }
    }

    fn describe(_: String, inputs: Vec<Vec<u8>>) -> Result<wit::Description, wit::Problem> {
        let [schema] = &inputs[..] else { return Err(problem("one input is due")) };
        let input = wit::InputDescription { class: wit::Class::RowWise, reads: vec![0], keys: vec![] };
        let output = |rows, origin| wit::OutputDescription { schema: schema.clone(), rows, columns: vec![origin] };
        let odd = output(wit::RowsRelation::Subset(0), wit::ColumnOrigin::Passed(0));
        let made = output(wit::RowsRelation::New, wit::ColumnOrigin::Written);
        Ok(wit::Description { inputs: vec![input], outputs: vec![odd, made], partial: None, parts: 1 })
    }

    fn open(_: String, inputs: Vec<Vec<u8>>, phase: wit::Phase, _: u64) -> Result<(), wit::Problem> {
        log(Level::Info, &format!("opened for {phase:?}"));
        TYPES.set(inputs.into_iter().next().unwrap_or_default());
        Ok(())
    }

    fn push(port: u32, batch: Batch) -> Result<(), wit::Problem> {
        let numbers = read(&batch);
        if numbers.contains(&-1) {
            return Err(problem("minus one is not to be had"));
        }
        log(Level::Debug, &format!("{} rows on port {port}", batch.rows()));
        emit(0, pick(&batch, &numbers));
        give(&numbers.iter().map(|number| number * 2).collect::<Vec<_>>());
        Ok(())
    }

    fn end_of_input(_: u32) -> Result<(), wit::Problem> {
        Ok(())
    }

    fn finish() -> Result<(), wit::Problem> {
        Ok(())
    }
}

fn problem(message: &str) -> wit::Problem {
    wit::Problem { message: message.to_owned(), config_path: None, help: None }
}

fn read(batch: &Batch) -> Vec<i64> {
    let arrays = batch.read(&[0]);
    let bytes = arrays.buffers.last().map_or(&[][..], Vec::as_slice);
    bytes.chunks_exact(8).filter_map(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?))).collect()
}

/// The odd numbers: by mask, then by number, then by slice, then as a batch of the output.
fn pick(batch: &Batch, numbers: &[i64]) -> Batch {
    let mut mask = vec![0u8; numbers.len().div_ceil(8)];
    let odd = (0..).zip(numbers).filter(|(_, number)| **number % 2 != 0).map(|(row, _): (usize, _)| row);
    let count = odd.map(|row| mask[row / 8] |= 1 << (row % 8)).count() as u32;
    let all: Vec<u32> = (0..count).collect();
    let nothing = Arrays { nodes: vec![], buffers: vec![], variadic_counts: vec![] };
    batch.filter(&mask).take(&all).slice(0, u64::from(count)).derive(0, &nothing, &[])
}

/// Rows of output `made`.
fn give(numbers: &[i64]) {
    let nodes = vec![Node { length: numbers.len() as u64, null_count: 0 }];
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let arrays = Arrays { nodes, buffers: vec![vec![], bytes], variadic_counts: vec![] };
    emit(1, TYPES.with_borrow(|types| make(1, numbers.len() as u64, &arrays, types)));
}
