//! Records of Avro that fastavro wrote, and what is wrong with others.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::columns::columns;
use super::decode::AvroDecoder;
use super::encode::AvroEncoder;
use super::schema_of::schema_of_columns;
use crate::fault::Fault;
use crate::registry::RegistryError;
use crate::schemas::SchemaById;
use crate::testing::{text, values, written};

/// A registry in memory. It is down for the id 99.
struct Memory(HashMap<u32, String>);

impl SchemaById for Memory {
    fn schema(&self, id: u32) -> Result<Option<Arc<str>>, RegistryError> {
        match id {
            99 => Err(RegistryError::Unreachable { url: "http://r".to_owned(), reason: "refused".to_owned() }),
            id => Ok(self.0.get(&id).map(|schema| schema.as_str().into())),
        }
    }
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/bytes/avro.json")).unwrap()
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body].concat()
}

/// A decoder of the newer schema, from both. Schema 3 has another type in place of a field.
fn decoder(projection: &[usize]) -> AvroDecoder {
    let fixture = fixture();
    let other =
        json!({ "type": "record", "name": "Bid", "namespace": "shop", "fields": [{ "name": "id", "type": "string" }] });
    let schemas = [(1, &fixture["old"]), (2, &fixture["new"]), (3, &other)];
    let schemas = schemas.into_iter().map(|(id, schema)| (id, schema.to_string())).collect();
    AvroDecoder::new(&fixture["new"].to_string(), Some(Arc::new(Memory(schemas))), projection).unwrap()
}

fn all() -> Vec<usize> {
    (0..columns(&fixture()["new"].to_string()).unwrap().fields().len()).collect()
}

fn reason(decoder: &mut AvroDecoder, value: &[u8]) -> String {
    match decoder.decode(&values([value])).unwrap_err() {
        Fault::Record(reason) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn types_are_those_of_columns() {
    let columns = columns(&fixture()["new"].to_string()).unwrap();
    let types: Vec<String> = columns
        .fields()
        .iter()
        .map(|field| format!("{} {}{}", field.name(), field.data_type(), if field.is_nullable() { "?" } else { "" }))
        .collect();
    let expected = [
        "id Int64",
        "price Decimal128(10, 2)",
        "state Utf8",
        "at Timestamp(µs, \"UTC\")?",
        "local Timestamp(ms)?",
        "day Date32?",
        "clock Time32(ms)?",
        "key Utf8?",
        "hash FixedSizeBinary(2)?",
        "ratio Float64?",
        "note Utf8?",
        "tags List(Utf8)",
        "counts Map(\"entries\": non-null Struct(\"key\": non-null Utf8, \"value\": non-null Int64), unsorted)",
        "user Struct(\"name\": non-null Utf8, \"vip\": non-null Boolean)?",
    ];
    assert_eq!(types, expected.map(str::to_owned));
}

#[test]
fn records_of_several_schemas_become_rows_of_one_in_their_order() {
    let fixture = fixture();
    let ((old, old_rows), (new, new_rows)) = (written(&fixture["old-rows"]), written(&fixture["new-rows"]));
    let records = [framed(1, &old[0]), framed(2, &new[0]), framed(1, &old[1]), framed(2, &new[1]), framed(2, &new[0])];
    let values = values(records.iter().map(Vec::as_slice));
    let batch = decoder(&all()).decode(&values).unwrap();
    assert_eq!(text(&batch), [&old_rows[0], &new_rows[0], &old_rows[1], &new_rows[1], &new_rows[0]].map(String::clone));
    // Columns that nobody reads change nothing.
    let batch = decoder(&[2, 0, 2]).decode(&values).unwrap();
    assert_eq!(text(&batch)[1..3], ["LOST|1099511627776|LOST", "OPEN|-1|OPEN"]);
    assert_eq!(decoder(&[]).decode(&values).unwrap().num_rows(), 5);
}

#[test]
fn a_schema_of_the_text_needs_no_registry() {
    let fixture = fixture();
    let (new, rows) = written(&fixture["new-rows"]);
    let mut decoder = AvroDecoder::new(&fixture["new"].to_string(), None, &all()).unwrap();
    assert_eq!(text(&decoder.decode(&values(new.iter().map(Vec::as_slice))).unwrap()), rows);
}

#[test]
fn what_is_wrong_with_a_record_is_told_and_the_next_one_is_read() {
    let fixture = fixture();
    let ((old, _), (new, rows)) = (written(&fixture["old-rows"]), written(&fixture["new-rows"]));
    let good = framed(2, &new[0]);
    let mut decoder = decoder(&all());
    let cases = [
        (b"{\"id\":1}".to_vec(), "it does not begin with the id of a schema: its first byte is 123, not 0"),
        (vec![0, 0, 0], "it is too short for the id of a schema"),
        (Vec::new(), "it is too short for the id of a schema"),
        (framed(7, &old[0]), "the registry has no schema with the id 7"),
        (framed(3, &[2, 65]), "schema 3, in which it was written, does not resolve to the schema that is read"),
        (framed(2, &new[0][..new[0].len() - 1]), "it ends in the middle of a value"),
        (framed(2, &[]), "it ends in the middle of a value"),
        ([good.clone(), vec![0]].concat(), "bytes follow the record's last value"),
        ([good.clone(), good.clone()].concat(), "bytes follow the record's last value"),
    ];
    for (record, expected) in cases {
        let told = reason(&mut decoder, &record);
        assert!(told.starts_with(expected), "{record:?}: {told}");
        assert_eq!(text(&decoder.decode(&values([&good[..]])).unwrap()), rows[..1]);
    }
    // Nothing is known of a record whose registry does not answer.
    let fault = decoder.decode(&values([&framed(99, &[])[..]])).unwrap_err();
    assert!(matches!(fault, Fault::Registry(RegistryError::Unreachable { .. })), "{fault}");
}

#[test]
fn a_tombstone_is_a_row_of_nulls_where_these_may_be() {
    let schema = json!({ "type": "record", "name": "R", "fields": [{ "name": "n", "type": ["null", "long"] }] });
    let tombstones: BinaryArray = [Some(&[2u8, 14][..]), None, Some(&[0])].into_iter().collect();
    let mut decoder = AvroDecoder::new(&schema.to_string(), None, &[0]).unwrap();
    assert_eq!(text(&decoder.decode(&tombstones).unwrap()), ["7", "~", "~"]);
    assert!(self::decoder(&all()).decode(&BinaryArray::new_null(1)).is_err());
}

#[test]
fn what_no_column_holds_is_named() {
    let of = |field: Value| {
        let schema = json!({ "type": "record", "name": "R", "fields": [{ "name": "f", "type": field }] });
        columns(&schema.to_string()).unwrap_err().to_string()
    };
    let union = of(json!(["null", "int", "string"]));
    assert!(union.starts_with("the field `f` of the schema is a union of several types"), "{union}");
    let inner = json!({ "type": "record", "name": "I", "fields": [{ "name": "u", "type": ["int", "string"] }] });
    let within = of(json!({ "type": "array", "items": inner }));
    assert!(within.contains("the field `f[].u` of the schema"), "{within}");
    let empty = of(json!({ "type": "array", "items": "null" }));
    assert!(empty.contains("`f` of the schema is an array of items without bytes"), "{empty}");
    let itself = of(json!(["null", "R"]));
    assert!(itself.contains("the schema is not valid Avro"), "{itself}");
    for (schema, expected) in [
        ("", "it is no JSON"),
        ("\"string\"", "the schema is not valid Avro"),
        ("{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}", "the record has no fields"),
        (
            "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"no\"}]}",
            "the schema is not valid Avro",
        ),
    ] {
        let told = columns(schema).unwrap_err().to_string();
        assert!(told.contains(expected), "{schema}: {told}");
    }
}

fn encode(schema: &str, id: Option<u32>, batch: &RecordBatch) -> Result<Vec<Vec<u8>>, String> {
    let mut encoder = AvroEncoder::new(schema, id, &batch.schema()).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    encoder.encode(batch, &mut |record| records.push(record.to_vec())).map_err(|error| error.to_string())?;
    Ok(records)
}

#[test]
fn rows_are_written_as_fastavro_writes_them() {
    let fixture = fixture();
    let schema = fixture["new"].to_string();
    let (new, rows) = written(&fixture["new-rows"]);
    let mut decoder = AvroDecoder::new(&schema, None, &all()).unwrap();
    let batch = decoder.decode(&values(new.iter().map(Vec::as_slice))).unwrap();
    let records = encode(&schema, None, &batch).unwrap();
    assert_eq!(records, new, "{rows:?}");
    let framed_records = encode(&schema, Some(258), &batch).unwrap();
    assert_eq!(framed_records, new.iter().map(|body| framed(258, body)).collect::<Vec<_>>());
}

fn batch(columns: Vec<(&str, ArrayRef, bool)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn values_that_a_schema_has_no_room_for_are_told_by_row_and_column() {
    let schema =
        |own: Value| json!({ "type": "record", "name": "R", "fields": [{ "name": "a", "type": own }] }).to_string();
    let texts = |texts: &[Option<&str>]| batch(vec![("a", Arc::new(StringArray::from(texts.to_vec())) as _, true)]);
    let numbers = |numbers: Vec<i64>| batch(vec![("a", Arc::new(Int64Array::from(numbers)) as _, false)]);
    let state = json!({ "type": "enum", "name": "S", "symbols": ["A", "B"] });
    let uuid = json!({ "type": "string", "logicalType": "uuid" });
    let money = json!({ "type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2 });
    let cases = [
        (
            schema(state),
            texts(&[Some("A"), Some("C")]),
            "row 1 of a batch, column `a`: `C` is no symbol of the enum; it has A, B",
        ),
        (
            schema(uuid),
            texts(&[Some("12345678-9abc-def0-1234-56789abcdef0"), Some("1")]),
            "row 1 of a batch, column `a`: `1` is no UUID",
        ),
        (
            schema(json!("string")),
            texts(&[Some("x"), None]),
            "row 1 of a batch, column `a`: null, where the schema has no null",
        ),
        (
            schema(json!("int")),
            numbers(vec![1, 1 << 40]),
            "row 1 of a batch, column `a`: 1099511627776 does not fit Int32",
        ),
        (schema(money), numbers(vec![99, 100]), "row 1 of a batch, column `a`: 100 does not fit Decimal128(4, 2)"),
        (
            schema(json!("boolean")),
            numbers(vec![1]),
            "the column `a` has type Int64, where the schema has what is read as Boolean",
        ),
    ];
    for (schema, batch, expected) in cases {
        let told = encode(&schema, None, &batch).unwrap_err();
        assert!(told.starts_with(expected), "{told}");
    }
    let other = batch(vec![("b", Arc::new(Int64Array::from(vec![1])) as _, false)]);
    let told = encode(&schema(json!("long")), None, &other).unwrap_err();
    assert!(told.starts_with("the column `b` is no field of the schema"), "{told}");
    let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let told = encode(&schema(json!("long")), None, &none).unwrap_err();
    assert!(told.starts_with("the field `a` of the schema has no column"), "{told}");
}

#[test]
fn a_zone_of_another_name_is_the_same_instant() {
    let times =
        TimestampMicrosecondArray::from(vec![Some(-7_000_000_000_000_000), None]).with_timezone("Europe/Berlin");
    let zoned = batch(vec![("t", Arc::new(times) as _, true)]);
    let schema = schema_of_columns(&zoned.schema(), "row").unwrap();
    let records = encode(&schema, None, &zoned).unwrap();
    let mut decoder = AvroDecoder::new(&schema, None, &[0]).unwrap();
    let read = decoder.decode(&values(records.iter().map(Vec::as_slice))).unwrap();
    assert_eq!(text(&read), ["1748-03-06T11:33:20Z", "~"]);
}

#[test]
fn columns_that_avro_does_not_have_are_named() {
    let of = |name: &str, data_type: DataType| {
        schema_of_columns(&Schema::new(vec![Field::new(name, data_type, true)]), "row").unwrap_err().to_string()
    };
    assert!(of("a b", DataType::Int64).starts_with("the column `a b` has a name that Avro does not have"));
    assert!(of("n", DataType::UInt64).contains("which no integer of Avro holds; cast it"));
    let inner =
        DataType::Struct(vec![Field::new("d", DataType::Duration(arrow_schema::TimeUnit::Second), true)].into());
    assert!(of("s", inner).starts_with("the column `s.d` has type Duration(s), which Avro does not have"));
    let unsigned = batch(vec![("n", Arc::new(UInt64Array::from(vec![1])) as _, false)]);
    let long = json!({ "type": "record", "name": "R", "fields": [{ "name": "n", "type": "long" }] });
    assert_eq!(encode(&long.to_string(), None, &unsigned).unwrap(), [[2]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_come_back_through_a_schema_that_follows_from_them(
        numbers in proptest::collection::vec(any::<Option<i64>>(), 0..20),
        word in ".{0,12}",
    ) {
        let texts: StringArray = numbers.iter().map(|number| number.map(|number| format!("{word}{number}"))).collect();
        let lists = arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>(
            numbers.iter().map(|number| number.map(|number| vec![Some(number as i32), None])),
        );
        let rows = batch(vec![
            ("n", Arc::new(Int64Array::from(numbers.clone())) as _, true),
            ("t", Arc::new(texts) as _, true),
            ("l", Arc::new(lists) as _, true),
        ]);
        let schema = schema_of_columns(&rows.schema(), "row").unwrap();
        let records = encode(&schema, None, &rows).unwrap();
        let mut decoder = AvroDecoder::new(&schema, None, &[0, 1, 2]).unwrap();
        let read = decoder.decode(&values(records.iter().map(Vec::as_slice))).unwrap();
        prop_assert_eq!(text(&read), text(&rows));
        for (read, rows) in read.columns().iter().zip(rows.columns()) {
            prop_assert_eq!(read.null_count(), rows.null_count());
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60), id in 1u32..4) {
        let mut decoder = decoder(&all());
        let _ = decoder.decode(&values([&framed(id, &bytes)[..]]));
        let _ = decoder.decode(&values([&bytes[..]]));
    }
}
