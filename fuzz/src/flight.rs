//! Messages of stages that run in processes of their own, and of their clients.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_flight::FlightData;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use flowc_flight::testing;
use flowc_planner::plan::OutputColumn;
use flowc_runner::Invocation;

/// A stream of messages: of each the lengths of its header, body and metadata, in two bytes each, and these. What is no
/// message may be a description.
pub(crate) fn messages(bytes: &[u8]) {
    let _ = testing::description(bytes);
    // Whatever was accepted is sound all the way down.
    each(bytes, |batch| batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap()));
}

/// What a stage may write into shared memory: an IPC stream.
pub(crate) fn block(bytes: &[u8]) {
    if let Ok(batch) = testing::block(schema(), bytes) {
        batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
    }
}

/// The opening of an invocation, as a client sends it. What is accepted makes sense to a runner, and stages of a chain fit each
/// other.
pub(crate) fn opening(bytes: &[u8]) {
    let steps = testing::invocations(bytes).unwrap_or_default();
    for (invocation, gives) in &steps {
        makes_sense(invocation);
        assert_eq!(gives.len(), invocation.outputs.len());
    }
    for ((above, gives), (below, _)) in steps.iter().zip(steps.iter().skip(1)) {
        assert!(gives[0].iter().all(|&column| above.outputs[0].needed[column]));
        let types = |schema: &Schema, columns: &[usize]| {
            columns.iter().map(|&column| schema.field(column).data_type().clone()).collect::<Vec<_>>()
        };
        let due = &below.inputs[0].schema;
        let all: Vec<usize> = (0..due.fields().len()).collect();
        assert_eq!(types(&above.outputs[0].schema, &gives[0]), types(due, &all));
    }
}

fn makes_sense(invocation: &Invocation) {
    let fields = |input: usize| invocation.inputs[input].schema.fields();
    (0..invocation.inputs.len())
        .for_each(|input| assert!(invocation.inputs[input].reads.iter().all(|c| *c < fields(input).len())));
    assert!(invocation.main_input.is_none_or(|main| main < invocation.inputs.len()));
    for output in &*invocation.outputs {
        assert_eq!((output.columns.len(), output.needed.len()), (output.schema.fields().len(), output.columns.len()));
        for (origin, field) in output.columns.iter().zip(output.schema.fields()) {
            let OutputColumn::Passed { column } = *origin else { continue };
            assert_eq!(fields(output.rows.input().unwrap())[column].data_type(), field.data_type());
        }
    }
}

/// Hands over the batches of a stream that is accepted.
fn each(bytes: &[u8], take: impl FnMut(RecordBatch)) {
    let mut rest = bytes;
    let mut messages = Vec::new();
    while let Some((lengths, after)) = rest.split_at_checked(6) {
        rest = after;
        let mut part = |at: usize| {
            let length = usize::from(u16::from_le_bytes([lengths[at], lengths[at + 1]])).min(rest.len());
            let (part, after) = rest.split_at(length);
            rest = after;
            bytes::Bytes::copy_from_slice(part)
        };
        let (data_header, data_body, app_metadata) = (part(0), part(2), part(4));
        messages.push(FlightData { flight_descriptor: None, data_header, data_body, app_metadata });
    }
    testing::batches(schema(), messages).unwrap_or_default().into_iter().for_each(take);
}

/// Columns of all kinds of layout.
fn schema() -> SchemaRef {
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let pair = Fields::from(vec![Field::new("a", DataType::Int8, true), Field::new("b", DataType::Utf8View, false)]);
    let types = [
        DataType::Int64,
        DataType::Boolean,
        DataType::Utf8,
        DataType::LargeBinary,
        DataType::List(item(DataType::Int32)),
        DataType::FixedSizeList(item(DataType::Int16), 2),
        DataType::Struct(pair),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
    ];
    let field = |(i, data_type)| Field::new(format!("c{i}"), data_type, true);
    Arc::new(Schema::new(types.into_iter().enumerate().map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_a_block() {
        assert_eq!(testing::block(schema(), include_bytes!("../seeds/block/all-types")).unwrap().num_rows(), 3);
        assert!(testing::block(schema(), include_bytes!("../seeds/block/compressed")).is_err());
    }

    #[test]
    fn the_seed_is_a_chain() {
        let steps = testing::invocations(include_bytes!("../seeds/opening/chain")).unwrap();
        // To the second goes the frame and the numbers of rows, to the third what it reads, to the client the numbers alone.
        assert_eq!(steps.iter().map(|(_, gives)| gives[0].len()).collect::<Vec<_>>(), [3, 2, 1]);
        assert!(testing::invocations(include_bytes!("../seeds/opening/chain-misfit")).is_none());
    }

    #[test]
    fn the_seed_holds_batches() {
        let bytes = include_bytes!("../seeds/flight/all-types");
        let mut rows = 0;
        each(bytes, |batch| rows += batch.num_rows());
        assert_eq!(rows, 5);
    }
}
