//! Format `jsonl`: a JSON object a line. Members that the schema has not are ignored; missing ones are null.
//!
//! A number, text or truth value becomes text where the schema says text, and text that spells a value of the column's
//! type is taken as one. Whole numbers are never rounded: `1.5` and `1.0` do not fit an integer column.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, SchemaRef};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::BATCH_ROWS;
use crate::error::SourceError;
use crate::framing::Framing;
use crate::parser::{BadRecord, ONE_TOO_MANY, Parser, conform, map_types, project, stand_in};
use crate::times::Ticks;

/// Says which types a JSON value can be read as.
pub(crate) fn check_types(schema: &SchemaRef) -> Result<(), SourceError> {
    new_decoder(&widen(schema))
        .map(|_| ())
        .map_err(|error| SourceError::UnfitSchema { format: "jsonl", reason: error.to_string() })
}

fn new_decoder(schema: &SchemaRef) -> Result<Decoder, ArrowError> {
    let builder = ReaderBuilder::new(schema.clone()).with_coerce_primitive(true);
    builder.with_batch_size(ONE_TOO_MANY).build_decoder()
}

/// Members of the first object that the schema does not have.
pub(crate) fn unknown_members(bytes: &[u8], schema: &SchemaRef) -> Vec<String> {
    let first = Framing::JsonLines.last_record(bytes, 0).map(|record| serde_json::from_slice(&bytes[record]));
    let Some(Ok(Value::Object(members))) = first else { return Vec::new() };
    members.into_iter().map(|(name, _)| name).filter(|name| schema.index_of(name).is_err()).collect()
}

/// Integers become text: arrow-json would round fractions, a cast of the digits does not.
fn widen(schema: &SchemaRef) -> SchemaRef {
    map_types(schema, widen_type)
}

fn widen_field(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(widen_type(field.data_type())))
}

fn widen_type(data_type: &DataType) -> DataType {
    match data_type {
        whole if whole.is_integer() => DataType::Utf8,
        DataType::List(item) => DataType::List(widen_field(item)),
        DataType::LargeList(item) => DataType::LargeList(widen_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(widen_field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(widen_field).collect()),
        other => stand_in(other),
    }
}

/// Lines to batches.
pub(crate) struct JsonParser {
    schema: SchemaRef,
    wide: SchemaRef,
    /// Kept for its buffers; dropped after a fault.
    decoder: Option<Decoder>,
}

impl JsonParser {
    /// A parser of these columns of the schema.
    pub(crate) fn new(schema: &SchemaRef, projection: &[usize]) -> Self {
        let schema = project(schema, projection);
        Self { wide: widen(&schema), schema, decoder: None }
    }

    /// Takes the rows that the decoder has, as the schema says.
    fn finish(&self, decoder: &mut Decoder) -> Result<RecordBatch, ArrowError> {
        match decoder.flush()? {
            Some(wide) => conform(&wide, &self.schema, Ticks::Taken),
            None => Ok(RecordBatch::new_empty(self.schema.clone())),
        }
    }

    fn explain_object(&self, record: &[u8], object: &Value, error: &ArrowError) -> BadRecord {
        let faulty = (0..self.schema.fields().len())
            .find(|&column| JsonParser::new(&self.schema, &[column]).parse(record).is_err());
        let Some(column) = faulty else { return BadRecord { column: None, reason: error.to_string() } };
        let field = self.schema.field(column);
        BadRecord { column: Some(field.name().clone()), reason: explain_value(field, object.get(field.name())) }
    }
}

fn explain_value(field: &Field, value: Option<&Value>) -> String {
    match value {
        None if !field.is_nullable() => "missing, in a column without nulls".to_owned(),
        Some(Value::Null) if !field.is_nullable() => "null in a column without nulls".to_owned(),
        Some(value) => format!("{value} is not a value of type {}", field.data_type()),
        None => format!("the member is not a value of type {}", field.data_type()),
    }
}

/// Feeds one line. It must hold one value: not two, not a part of one.
fn feed(decoder: &mut Decoder, line: &[u8]) -> Result<(), ArrowError> {
    // The decoder takes commas as they come.
    serde_json::from_slice::<IgnoredAny>(line).map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let before = decoder.len();
    let used = decoder.decode(line)?;
    if used == line.len() && decoder.len() == before + 1 && !decoder.has_partial_record() {
        return Ok(());
    }
    Err(ArrowError::JsonError("not one JSON object".to_owned()))
}

impl Parser for JsonParser {
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError> {
        let decoder = self.decoder.take();
        let mut decoder = decoder.map_or_else(|| new_decoder(&self.wide), Ok)?;
        let (mut used, mut rows) = (0, 0);
        while rows < BATCH_ROWS {
            let Some(line) = Framing::JsonLines.last_record(bytes, used) else {
                used = bytes.len();
                break;
            };
            used = line.end;
            feed(&mut decoder, &bytes[line])?;
            rows += 1;
        }
        let batch = self.finish(&mut decoder)?;
        self.decoder = Some(decoder);
        Ok((batch, used))
    }

    fn explain(&mut self, record: &[u8], error: &ArrowError) -> BadRecord {
        let reason = match serde_json::from_slice::<Value>(record) {
            Ok(object @ Value::Object(_)) => return self.explain_object(record, &object, error),
            Ok(_) => "not a JSON object".to_owned(),
            Err(error) => format!("not one JSON object: {error}"),
        };
        BadRecord { column: None, reason }
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;
    use flowc_planner::plan::{BadRows, Format};

    use super::*;
    use crate::testing::{Folder, Table, schema, with_bad_rows};

    fn read(text: &str, columns: &SchemaRef, bad_rows: BadRows) -> Result<Table, SourceError> {
        Folder::new().read(text, &with_bad_rows(Format::JsonLines, bad_rows), columns)
    }

    #[test]
    fn members_become_columns() {
        let items = DataType::new_list(DataType::Int32, true);
        let columns = schema(&[("n", DataType::UInt64, true), ("t", DataType::Utf8, true), ("l", items, true)]);
        let text = "{\"n\":18446744073709551615,\"t\":\"ü\",\"l\":[1,null]}\r\n\n{\"other\":{},\"t\":1.5}\n";
        let table = read(text, &columns, BadRows::Fail).unwrap();
        assert_eq!(table.rows, ["18446744073709551615|ü|[1, ~]", "~|1.5|~"]);
    }

    #[test]
    fn whole_numbers_are_never_rounded() {
        let inner = DataType::Struct(vec![Field::new("n", DataType::Int8, true)].into());
        let columns = schema(&[("n", DataType::Int64, false), ("s", inner, true)]);
        let text = "{\"n\":1.5}\n{\"n\":9223372036854775807}\n{\"n\":1,\"s\":{\"n\":300}}\n{\"n\":\"7\"}\n";
        let table = read(text, &columns, BadRows::Stream).unwrap();
        assert_eq!(table.rows, ["9223372036854775807|~", "7|~"]);
        assert_eq!(table.rejects[0], "input|1|column `n`: 1.5 is not a value of type Int64|{\"n\":1.5}");
        assert!(table.rejects[1].starts_with("input|3|column `s`: "), "{:?}", table.rejects);
    }

    #[test]
    fn decimals_are_never_rounded() {
        let money = DataType::Decimal128(10, 2);
        let inner =
            DataType::Struct(vec![Field::new("m", money.clone(), true), Field::new("n", DataType::Int8, true)].into());
        let columns = schema(&[("m", money.clone(), true), ("l", DataType::new_list(inner, true), true)]);
        let text = "{\"m\":1.50,\"l\":[{\"m\":2.250,\"n\":\"007\"}]}\n{\"m\":\"0.125\"}\n{\"l\":[{\"m\":1},{\"m\":0.001}]}\n{\"m\":1e2}\n";
        let table = read(text, &columns, BadRows::Stream).unwrap();
        assert_eq!(table.rows, ["1.50|[{m: 2.25, n: 7}]", "100.00|~"]);
        assert_eq!(
            table.rejects[0],
            "input|2|column `m`: \"0.125\" is not a value of type Decimal128(10, 2)|{\"m\":\"0.125\"}"
        );
        assert!(table.rejects[1].starts_with("input|3|column `l`: "), "{:?}", table.rejects);
    }

    #[test]
    fn times_are_never_cut() {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let inner = DataType::Struct(vec![Field::new("t", time.clone(), true)].into());
        let columns = schema(&[
            ("t", time.clone(), true),
            ("d", DataType::Date32, true),
            ("l", DataType::new_list(inner, true), true),
        ]);
        let lines = [
            "{\"t\":\"2024-02-29T12:00:00.123Z\",\"d\":\"2024-02-29\",\"l\":[{\"t\":\"1970-01-01\"},{}]}",
            "{\"t\":1709208000123,\"d\":19782}",
            "{\"t\":\"2024-02-29T12:00:00.1234Z\"}",
            "{\"t\":1.5}",
            "{\"d\":\"2024-02-29T12:00:00\"}",
            "{\"l\":[{\"t\":\"1970-01-01T00:00:00.0001\"}]}",
        ];
        let table = read(&lines.join("\n"), &columns, BadRows::Stream).unwrap();
        let expected = [
            "2024-02-29T12:00:00.123|2024-02-29|[{t: 1970-01-01T00:00:00}, {t: ~}]",
            "2024-02-29T12:00:00.123|2024-02-29|~",
        ];
        assert_eq!(table.rows, expected);
        let reasons: Vec<_> = table.rejects.iter().map(|reject| reject.split('|').nth(2).unwrap()).collect();
        assert_eq!(reasons[0], "column `t`: \"2024-02-29T12:00:00.1234Z\" is not a value of type Timestamp(ms)");
        assert_eq!(reasons[1], "column `t`: 1.5 is not a value of type Timestamp(ms)");
        assert!(reasons[2].starts_with("column `d`: ") && reasons[3].starts_with("column `l`: "), "{reasons:?}");
    }

    #[test]
    fn what_is_no_object_of_the_schema_is_a_bad_row() {
        let columns = schema(&[("n", DataType::Float64, false), ("t", DataType::Utf8, true)]);
        let lines = [
            "{\"n\":1}",
            "{\"n\":",
            "{\"n\":1,}",
            "{\"n\":1 \"t\":\"a\"}",
            "{\"n\":01}",
            "{\"n\":1}{\"n\":2}",
            "[1]",
            "7",
            "{}",
            "{\"n\":null}",
            "{\"n\":true}",
            "{\"n\":1,\"t\":[]}",
            "null",
            "{\"n\":2}",
        ];
        let table = read(&lines.join("\n"), &columns, BadRows::Stream).unwrap();
        assert_eq!(table.rows, ["1.0|~", "2.0|~"]);
        let rows: Vec<_> = table.rejects.iter().map(|reject| reject.split('|').nth(1).unwrap()).collect();
        assert_eq!(rows, ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"]);
        assert!(table.rejects[7].contains("column `n`: missing"), "{:?}", table.rejects);
        let error = read(&lines.join("\n"), &columns, BadRows::Fail).unwrap_err().to_string();
        assert!(error.starts_with("input: row 2: not one JSON object: "), "{error}");
    }

    #[test]
    fn members_that_the_schema_does_not_have_are_named() {
        let columns = schema(&[("n", DataType::Int64, true)]);
        assert_eq!(unknown_members(b"\n{\"n\":1,\"new\":{},\"x\":null}\n{\"y\":1}", &columns), ["new", "x"]);
        assert!(unknown_members(b"[1]\n", &columns).is_empty() && unknown_members(b"", &columns).is_empty());
    }

    #[test]
    fn an_object_over_several_lines_is_no_row_however_the_lines_add_up() {
        let columns = schema(&[("n", DataType::Int64, true)]);
        let table = read("{\"n\":1}{\"n\":2}\n{\"n\":\n3}\n", &columns, BadRows::Skip).unwrap();
        assert_eq!((table.rows.len(), table.rejected), (0, 3));
    }
}
