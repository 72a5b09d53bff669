//! The columns of streams of bad rows.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The columns of a source's bad rows: `file` and `row` (the data row in the file, from 1) say where, `reason` why, and
/// `text` holds the record as it lies in the file, without its line end.
pub fn rejects_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let row = Field::new("row", DataType::UInt64, false);
    Arc::new(Schema::new(vec![text("file"), row, text("reason"), text("text")]))
}

/// The columns of bad records of a topic.
pub(crate) fn record_rejects_schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", time, true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
    ]))
}
