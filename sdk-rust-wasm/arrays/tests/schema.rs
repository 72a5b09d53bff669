//! Schemas are read and written as the crate arrow-ipc does; whatever the bytes, nothing panics.
#![allow(clippy::unwrap_used)]

mod generator;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow_schema::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use flowc_arrays::{read_schema, write_schema};
use generator::{Random, data_type};
use proptest::prelude::*;

fn schema(seed: u64) -> Schema {
    let random = &mut Random(seed);
    let metadata = |random: &mut Random| -> HashMap<String, String> {
        (0..random.below(3)).map(|i| (format!("key {i}"), "ü".repeat(random.below(3)))).collect()
    };
    let field = |i: usize| {
        let name = ["", "x", "ein Name, länger als ein Wort"][random.below(3)].to_owned() + &"_".repeat(i);
        let nullable = random.below(2) == 0;
        Field::new(name, data_type(random, 4), nullable).with_metadata(metadata(random))
    };
    let fields: Vec<Field> = (0..(seed % 5) as usize).map(field).collect();
    Schema::new_with_metadata(fields, metadata(random))
}

fn by_arrow(schema: &Schema) -> Vec<u8> {
    let (options, mut tracker) = (IpcWriteOptions::default(), DictionaryTracker::new(false));
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut bytes = Vec::new();
    write_message(&mut bytes, encoded, &options).unwrap();
    bytes
}

fn agrees(schema: &Schema) {
    assert_eq!(&read_schema(&by_arrow(schema)).unwrap(), schema);
    assert_eq!(&try_schema_from_ipc_buffer(&write_schema(schema)).unwrap(), schema);
    assert_eq!(&read_schema(&write_schema(schema)).unwrap(), schema);
}

#[test]
fn every_unit_is_written_and_read_as_arrow_does() {
    use TimeUnit::*;
    let mut types = vec![DataType::Null, DataType::Boolean, DataType::Float16, DataType::Date32, DataType::Date64];
    types.extend([Second, Millisecond].map(DataType::Time32));
    types.extend([Microsecond, Nanosecond].map(DataType::Time64));
    for unit in [Second, Millisecond, Microsecond, Nanosecond] {
        types.extend([DataType::Duration(unit), DataType::Timestamp(unit, None)]);
        types.push(DataType::Timestamp(unit, Some("Europe/Berlin".into())));
    }
    types.extend([IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(DataType::Interval));
    types.extend([DataType::Decimal32(9, -2), DataType::Decimal64(18, 3), DataType::Decimal256(76, 76)]);
    let fields = types.into_iter().enumerate().map(|(i, data_type)| Field::new(format!("{i}"), data_type, true));
    agrees(&Schema::new(fields.collect::<Vec<_>>()));
}

#[test]
fn an_ordered_dictionary_stays_ordered() {
    let data_type = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    #[allow(deprecated, reason = "the only way to make one")]
    let field = Field::new_dict("x", data_type, true, 0, true);
    let read = read_schema(&write_schema(&Schema::new(vec![field]))).unwrap();
    assert_eq!(read.field(0).dict_is_ordered(), Some(true));
}

#[test]
fn types_that_nest_without_end_are_refused() {
    let nest = |inner: DataType, _| DataType::List(Arc::new(Field::new_list_field(inner, true)));
    let deep = (0..flowc_arrays::MAX_DEPTH + 1).fold(DataType::Int8, nest);
    let refused = read_schema(&write_schema(&Schema::new(vec![Field::new("x", deep, true)]))).unwrap_err();
    assert!(refused.to_string().contains("depth"), "{refused}");
}

proptest! {
    #[test]
    fn schemas_are_those_of_arrow(seed: u64) {
        agrees(&schema(seed));
    }

    #[test]
    fn damage_is_an_error_or_another_schema(seed: u64, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = write_schema(&schema(seed));
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = read_schema(&bytes);
        let _ = read_schema(&bytes[..cut.index(bytes.len())]);
    }
}
