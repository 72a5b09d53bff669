//! Batches as stages send them where they do not travel in Arrow.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, LargeBinaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use flowc_codec::{COLUMN, Codec};
use flowc_planner::plan::Serialization;

/// Lines of JSON.
pub(crate) fn json(bytes: &[u8]) {
    unpack(Serialization::Json, bytes);
}

/// A Parquet file.
pub(crate) fn parquet(bytes: &[u8]) {
    unpack(Serialization::Parquet, bytes);
}

/// What is accepted has the columns that are due, is sound all the way down, and comes back when it is packed again.
fn unpack(serialization: Serialization, bytes: &[u8]) -> Option<RecordBatch> {
    let mut codec = Codec::new(serialization, &schema())?;
    let packed: ArrayRef = Arc::new(LargeBinaryArray::from_vec(vec![bytes]));
    let batch = codec.unpack(&RecordBatch::try_from_iter([(COLUMN, packed)]).unwrap()).ok()?;
    assert_eq!(batch.schema(), schema());
    batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
    // In JSON a text may spell a number that is none.
    if let Ok(packed) = codec.pack(&batch) {
        let again = codec.unpack(&packed).unwrap();
        assert_eq!(format!("{again:?}"), format!("{batch:?}"));
    }
    Some(batch)
}

/// Columns of types that both carry.
fn schema() -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let pair = Fields::from(vec![Field::new("a", DataType::Int8, true), Field::new("b", DataType::LargeUtf8, true)]);
    let types = [
        DataType::Int64,
        DataType::Boolean,
        DataType::Utf8,
        DataType::List(item),
        DataType::Struct(pair),
        DataType::Float32,
    ];
    let field = |(i, data_type)| Field::new(format!("c{i}"), data_type, true);
    Arc::new(Schema::new(types.into_iter().enumerate().map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_hold_batches() {
        let rows = |serialization, bytes: &[u8]| unpack(serialization, bytes).map(|batch| batch.num_rows());
        assert_eq!(rows(Serialization::Json, include_bytes!("../seeds/packed-json/rows")), Some(3));
        assert_eq!(rows(Serialization::Parquet, include_bytes!("../seeds/packed-parquet/rows")), Some(3));
    }
}
