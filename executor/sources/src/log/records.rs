//! The records of a block, as a batch has them.

use std::sync::{Arc, LazyLock};

use arrow_array::{Array, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_kafka::{Headers, Record};
use flowc_planner::plan::RecordField;

/// The columns of a block.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", DataType::Int64, true),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", RecordField::Headers.data_type(), false),
    ]))
});

/// The records of a batch of a block.
pub(super) struct Records<'a> {
    pub(super) offsets: &'a Int64Array,
    pub(super) timestamps: &'a Int64Array,
    pub(super) keys: &'a BinaryArray,
    pub(super) values: &'a BinaryArray,
    pub(super) headers: &'a ListArray,
}

impl<'a> Records<'a> {
    /// Those of a batch; none if its columns are not those of a block.
    pub(super) fn of(batch: &'a RecordBatch) -> Option<Self> {
        let [offsets, timestamps, keys, values, headers] = batch.columns() else { return None };
        Some(Self {
            offsets: offsets.as_any().downcast_ref()?,
            timestamps: timestamps.as_any().downcast_ref()?,
            keys: keys.as_any().downcast_ref()?,
            values: values.as_any().downcast_ref()?,
            headers: headers.as_any().downcast_ref()?,
        })
    }

    /// A value's bytes.
    pub(super) fn value(&self, row: usize) -> Option<&'a [u8]> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    /// A key's bytes.
    pub(super) fn key(&self, row: usize) -> Option<&'a [u8]> {
        self.keys.is_valid(row).then(|| self.keys.value(row))
    }

    /// A record's time.
    pub(super) fn timestamp(&self, row: usize) -> Option<i64> {
        self.timestamps.is_valid(row).then(|| self.timestamps.value(row))
    }

    /// Hands on a record.
    pub(super) fn with<T>(&self, row: usize, act: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers = StoredHeaders(self.headers.value(row));
        let (offset, timestamp) = (self.offsets.value(row), self.timestamp(row));
        act(&Record { offset, timestamp, key: self.key(row), value: self.value(row), headers: &headers })
    }
}

/// The headers of a record in a block.
struct StoredHeaders(arrow_array::ArrayRef);

impl Headers for StoredHeaders {
    fn each(&self, take: &mut dyn FnMut(&str, Option<&[u8]>)) {
        let Some(parts) = self.0.as_any().downcast_ref::<StructArray>() else { return };
        let names = parts.column(0).as_any().downcast_ref::<StringArray>();
        let values = parts.column(1).as_any().downcast_ref::<BinaryArray>();
        let (Some(names), Some(values)) = (names, values) else { return };
        (0..names.len()).for_each(|row| take(names.value(row), values.is_valid(row).then(|| values.value(row))));
    }
}
