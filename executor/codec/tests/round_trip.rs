//! Batches of every type that a serialization carries come back equal; what it lacks is an error, and so is damage.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, LargeBinaryArray, ListArray, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use flowc_codec::{COLUMN, Codec, PackError};
use flowc_columns::testing::{array, data_types, every_type, values};
use flowc_planner::plan::Serialization;
use proptest::prelude::*;

const PACKED: [Serialization; 2] = [Serialization::Parquet, Serialization::Json];

fn batch(column: &ArrayRef) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..column.len() as i64));
    let nullable = [("row", numbers, false), ("x", column.clone(), true)];
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}

fn codec(serialization: Serialization, schema: &SchemaRef) -> Codec {
    Codec::new(serialization, schema).unwrap()
}

/// What comes back of a batch.
fn back(serialization: Serialization, batch: &RecordBatch) -> Result<RecordBatch, PackError> {
    let mut codec = codec(serialization, batch.schema_ref());
    let packed = codec.pack(batch)?;
    assert_eq!((packed.num_rows(), packed.schema_ref().field(0).name().as_str()), (1, COLUMN));
    Ok(codec.unpack(&packed).unwrap_or_else(|error| panic!("{serialization}: {error}\n{:?}", batch.schema())))
}

fn has_its_digits(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Decimal128(digits, _) => {
            column.as_primitive::<Decimal128Type>().validate_decimal_precision(*digits).is_ok()
        }
        DataType::Struct(_) => column.as_struct().columns().iter().all(has_its_digits),
        DataType::List(_) => has_its_digits(column.as_list::<i32>().values()),
        DataType::LargeList(_) => has_its_digits(column.as_list::<i64>().values()),
        _ => true,
    }
}

fn packed(bytes: &[u8]) -> RecordBatch {
    let column: ArrayRef = Arc::new(LargeBinaryArray::from_vec(vec![bytes]));
    RecordBatch::try_from_iter([(COLUMN, column)]).unwrap()
}

fn bytes(codec: &mut Codec, batch: &RecordBatch) -> Vec<u8> {
    codec.pack(batch).unwrap().column(0).as_binary::<i64>().value(0).to_vec()
}

#[test]
fn every_type_is_carried_or_refused_and_there_are_enough_of_them() {
    for serialization in PACKED {
        let carried: Vec<DataType> = every_type().into_iter().filter(|t| serialization.carries(t)).collect();
        assert!(carried.len() >= 12, "{serialization}: {carried:?}");
        for data_type in carried {
            for column in [new_null_array(&data_type, 3), new_null_array(&data_type, 0)] {
                let due = batch(&column);
                assert_eq!(back(serialization, &due).unwrap(), due, "{serialization} {data_type}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_carried_comes_back(
        data_type in data_types().prop_filter("carried by one", |t| Serialization::Parquet.carries(t)),
        rows in 0usize..40,
        content in any::<u64>(),
        layout in any::<u64>(),
    ) {
        let column = array(&data_type, rows, content, layout);
        prop_assume!(has_its_digits(&column));
        for serialization in PACKED.into_iter().filter(|serialization| serialization.carries(&data_type)) {
            let due = batch(&column);
            match back(serialization, &due) {
                Ok(found) => {
                    assert_eq!(found.schema(), due.schema());
                    assert_eq!(values(found.column(1)), values(due.column(1)), "{serialization} {data_type}");
                }
                Err(PackError::Value { odd, .. }) => {
                    assert!(serialization == Serialization::Json && odd.reason.contains("is no number that JSON has"));
                }
                Err(error) => panic!("{serialization} {data_type}: {error}"),
            }
        }
    }

    #[test]
    fn damage_is_an_error_or_other_rows(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        which in 0usize..2,
    ) {
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..50).map(|row| format!("text {row}"))));
        let due = batch(&texts);
        let mut codec = codec(PACKED[which], due.schema_ref());
        let mut bytes = bytes(&mut codec, &due);
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= byte;
        }
        if let Ok(found) = codec.unpack(&packed(&bytes)) {
            prop_assert_eq!(found.schema(), due.schema());
            found.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
        }
    }
}

#[test]
fn more_rows_than_are_decoded_at_once_come_back() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
    for serialization in PACKED {
        let due = batch(&numbers);
        assert_eq!(back(serialization, &due).unwrap(), due);
    }
}

#[test]
fn numbers_that_are_none_are_named_with_their_row() {
    let floats = Float64Array::from(vec![Some(1.5), None, Some(f64::NAN), Some(f64::INFINITY)]);
    let due = batch(&(Arc::new(floats) as ArrayRef));
    let mut codec = codec(Serialization::Json, due.schema_ref());
    codec.pack(&due.slice(0, 2)).unwrap();
    let error = codec.pack(&due.slice(2, 2)).unwrap_err().to_string();
    assert!(error.starts_with("column `x`, row 3: NaN is no number that JSON has"), "{error}");
    assert_eq!(back(Serialization::Parquet, &due).unwrap().column(1).len(), 4);
}

#[test]
fn numbers_that_are_none_are_found_deep_within_but_not_under_nulls() {
    let item = Arc::new(Field::new("item", DataType::Float64, true));
    let floats = Arc::new(Float64Array::from(vec![1.0, f64::NEG_INFINITY, 2.0]));
    let list = |validity| {
        let offsets = arrow_buffer::OffsetBuffer::from_lengths([1, 1, 1]);
        ListArray::new(item.clone(), offsets, floats.clone(), validity)
    };
    let hidden = Arc::new(list(Some(vec![true, false, true].into()))) as ArrayRef;
    assert!(back(Serialization::Json, &batch(&hidden)).is_ok());
    let fields = Fields::from(vec![Field::new("list", DataType::List(item.clone()), true)]);
    let shown = Arc::new(StructArray::new(fields, vec![Arc::new(list(None))], None)) as ArrayRef;
    let error = back(Serialization::Json, &batch(&shown)).unwrap_err().to_string();
    assert!(error.starts_with("column `x`, row 2: -inf"), "{error}");
}

#[test]
fn other_columns_and_what_is_none_are_refused() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "two"]));
    for (serialization, reason) in [
        (Serialization::Parquet, "its columns are `row` Int64, `x` Utf8, and due are `row` Int64, `x` Int64"),
        (Serialization::Json, "invalid type: string \"1\", expected Int64"),
    ] {
        let bytes = bytes(&mut codec(serialization, batch(&text).schema_ref()), &batch(&text));
        let codec = codec(serialization, batch(&numbers).schema_ref());
        let error = codec.unpack(&packed(&bytes)).unwrap_err();
        assert!(error.contains(reason), "{error}");
        for nothing in ["no such thing", "[1, 2]", "{\"row\": 1, \"x\": 2, \"y\": 3}", "{\"row\": 1"] {
            assert!(codec.unpack(&packed(nothing.as_bytes())).is_err(), "{serialization} {nothing}");
        }
        assert!(codec.unpack(&batch(&numbers)).unwrap_err().contains("holds no one `batch`"));
    }
}

#[test]
fn what_would_grow_when_it_is_read_is_refused() {
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;

    let text: ArrayRef = Arc::new(StringArray::from(vec!["same"; 1000]));
    let batch = RecordBatch::try_from_iter([("x", text)]).unwrap();
    let write = |properties: WriterProperties| {
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let codec = codec(Serialization::Parquet, batch.schema_ref());
    let refusal = |properties| codec.unpack(&packed(&write(properties))).unwrap_err();
    let dictionary = refusal(WriterProperties::builder().build());
    assert!(dictionary.contains("PLAIN is due"), "{dictionary}");
    let compressed = WriterProperties::builder().set_dictionary_enabled(false).set_compression(Compression::SNAPPY);
    assert!(refusal(compressed.build()).contains("it is compressed"));
}

#[test]
fn without_columns_or_in_arrow_nothing_is_packed() {
    let none: SchemaRef = Arc::new(Schema::empty());
    let some: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    assert!(Codec::new(Serialization::Json, &none).is_none());
    assert!(Codec::new(Serialization::Arrow, &some).is_none());
}
