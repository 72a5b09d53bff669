//! Format `jsonl`: a JSON object a line. Missing members are null; those that no column takes are counted.
//!
//! Texts are gone through once: numbers and truth values are read where they stand, other values together with those of the column.
//! Every value becomes text where the schema says text, and text that spells a value of the column's type is taken as one.
//! Whole numbers are never rounded: `1.5` and `1.0` do not fit an integer column.

mod column;
mod cursor;
mod leaf;
mod scan;

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

#[cfg(feature = "kafka")]
use arrow_array::{Array, BinaryArray};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, SchemaRef};
use serde::de::IgnoredAny;

use self::column::{Column, Members};
use self::cursor::not_text;
pub(crate) use self::cursor::{Cursor, Token, check};
use crate::BATCH_ROWS;
use crate::error::{NOT_UTF8, SourceError};
use crate::fields::project;
use crate::ignored::Ignored;
use crate::text::checked::CheckedText;
use crate::text::framing::Framing;
use crate::text::parser::{BadRecord, Parser};
use crate::values::texts::unreadable;

/// Says which types a JSON value can be read as.
pub(crate) fn check_types(schema: &SchemaRef) -> Result<(), SourceError> {
    let unfit = schema.fields().iter().find_map(|field| Some((field, unreadable(field.data_type())?)));
    let Some((field, data_type)) = unfit else { return Ok(()) };
    let reason = format!("column `{}` is {data_type}, which no JSON value can be read as", field.name());
    Err(SourceError::UnfitSchema { format: "jsonl", reason })
}

/// Lines to batches.
pub(crate) struct JsonParser {
    /// All columns.
    schema: SchemaRef,
    /// Those of the batches.
    projection: Vec<usize>,
    /// Kept between batches; dropped after a fault.
    members: Option<Members>,
    /// The number of the next row.
    row: u64,
    ignored: Ignored,
}

impl JsonParser {
    /// A parser of these columns of the schema.
    pub(crate) fn new(schema: &SchemaRef, projection: &[usize]) -> Self {
        let (schema, projection) = (schema.clone(), projection.to_vec());
        Self { schema, projection, members: None, row: 0, ignored: Ignored::default() }
    }

    #[inline]
    fn read_record(&mut self, members: &mut Members, record: Option<&str>) -> Result<(), ArrowError> {
        let mut cursor = Cursor::of_text(record.ok_or_else(not_text)?);
        if !cursor.enter_object()? {
            return Err(ArrowError::JsonError(NO_OBJECT.to_owned()));
        }
        members.append_members(&mut cursor, self.row)?;
        self.row += 1;
        cursor.end()
    }

    /// Reads texts of JSON, each of which is a row; none is a row of nulls.
    #[cfg(feature = "kafka")]
    pub(crate) fn parse_texts(&mut self, texts: &BinaryArray) -> Result<RecordBatch, ArrowError> {
        let mut members = self.take_members();
        let mut checked = CheckedText::new(texts.value_data());
        for (row, bounds) in texts.value_offsets().windows(2).enumerate() {
            if texts.is_null(row) {
                members.append_null();
                continue;
            }
            let record = bounds[0] as usize..bounds[1] as usize;
            self.read_record(&mut members, checked.record(record))?;
        }
        let batch = self.finish(&mut members, texts.len())?;
        self.keep(members);
        Ok(batch)
    }

    /// Columns to append to. They are gone after a fault.
    fn take_members(&mut self) -> Members {
        let is_read = |place| self.projection.contains(&place);
        self.members.take().unwrap_or_else(|| Members::new(self.schema.fields(), is_read, ""))
    }

    /// Keeps columns whose rows were taken out.
    fn keep(&mut self, mut members: Members) {
        members.take_ignored(&mut self.ignored);
        self.members = Some(members);
    }

    /// Takes the rows out of the columns.
    fn finish(&self, members: &mut Members, rows: usize) -> Result<RecordBatch, ArrowError> {
        let mut finished: HashMap<usize, ArrayRef> = HashMap::new();
        for &place in &self.projection {
            if let Entry::Vacant(unread) = finished.entry(place) {
                unread.insert(members.finish_column(place)?);
            }
        }
        members.clear();
        let columns = self.projection.iter().map(|place| finished[place].clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(project(&self.schema, &self.projection), columns, &options)
    }

    /// The first column that has no room for its member of an object, and why.
    fn explain_object(&self, record: &[u8]) -> Result<Option<BadRecord>, ArrowError> {
        let mut cursor = Cursor::new(record)?;
        cursor.token()?;
        let mut values: HashMap<Cow<'_, str>, &str> = HashMap::new();
        while let Some(name) = cursor.next_member()? {
            values.insert(name, cursor.raw()?);
        }
        let fields = self.projection.iter().map(|&place| self.schema.field(place));
        let mut faulty = fields.filter_map(|field| {
            let reason = explain_value(field, values.get(field.name().as_str()).copied())?;
            Some(BadRecord { column: Some(field.name().clone()), reason })
        });
        Ok(faulty.next())
    }
}

const NO_OBJECT: &str = "not a JSON object";

/// Why a column has no room for a value; none if it has.
fn explain_value(field: &Field, value: Option<&str>) -> Option<String> {
    match value {
        None => (!field.is_nullable()).then(|| "missing, in a column without nulls".to_owned()),
        Some("null") => (!field.is_nullable()).then(|| "null in a column without nulls".to_owned()),
        Some(value) => {
            let read = || {
                let mut column = Column::new(field.data_type(), "");
                column.append(&mut Cursor::new(value.as_bytes())?, 0)?;
                column.finish()
            };
            read().is_err().then(|| format!("{value} is not a value of type {}", field.data_type()))
        }
    }
}

impl Parser for JsonParser {
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError> {
        let mut members = self.take_members();
        let mut checked = CheckedText::new(bytes);
        let (mut used, mut rows) = (0, 0);
        while rows < BATCH_ROWS {
            let Some(line) = Framing::JsonLines.last_record(bytes, used) else {
                used = bytes.len();
                break;
            };
            used = line.end;
            self.read_record(&mut members, checked.record(line))?;
            rows += 1;
        }
        let batch = self.finish(&mut members, rows)?;
        self.keep(members);
        Ok((batch, used))
    }

    fn explain(&mut self, record: &[u8], error: &ArrowError) -> BadRecord {
        let no_column = |reason: String| BadRecord { column: None, reason };
        if std::str::from_utf8(record).is_err() {
            return no_column(NOT_UTF8.to_owned());
        }
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(record) {
            return no_column(format!("not one JSON object: {error}"));
        }
        let explained = match check(record) {
            Ok(false) => return no_column(NO_OBJECT.to_owned()),
            Ok(true) => self.explain_object(record),
            Err(error) => Err(error),
        };
        match explained {
            Ok(Some(bad)) => bad,
            Ok(None) => no_column(error.to_string()),
            Err(ArrowError::JsonError(reason)) => no_column(reason),
            Err(error) => no_column(error.to_string()),
        }
    }

    fn take_ignored(&mut self) -> Ignored {
        std::mem::take(&mut self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, TimeUnit};
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
            "{\"n\":1,\"n\":2}",
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
    fn members_that_no_column_takes_are_counted_at_any_depth() {
        let inner = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        let entries = vec![Field::new("key", DataType::Utf8, false), Field::new("value", inner.clone(), true)];
        let entries = Field::new("entries", DataType::Struct(entries.into()), false);
        let columns = schema(&[
            ("n", DataType::Int64, true),
            ("s", inner.clone(), true),
            ("l", DataType::new_list(inner, true), true),
            ("m", DataType::Map(entries.into(), false), true),
        ]);
        let line = "{\"n\":1,\"new\":{\"x\":1},\"s\":{\"b\":1},\"l\":[{\"c\":1},{\"c\":2,\"a\":3}],\"m\":{\"k\":{\"d\":null}}}\n";
        // Rows that are bad are told as such.
        let text = format!("{{\"n\":1}}\n{}{{\"n\":\"x\",\"other\":1}}\n{line}", line.repeat(9000));
        let folder = Folder::new();
        let file = folder.write("input", text);
        for (bad_rows, rows) in [(BadRows::Skip, 9001), (BadRows::Stream, 9001)] {
            let open = folder.open(&file, &with_bad_rows(Format::JsonLines, bad_rows), &columns).unwrap();
            let expected = ["l[].c", "m.*.d", "new", "s.b"].map(|path| format!("{path} {rows}"));
            let mut ignored = crate::testing::ignored(&open);
            ignored.sort();
            assert_eq!(ignored, expected);
        }
    }

    #[test]
    fn a_repeated_member_is_a_bad_row_at_any_depth() {
        let inner = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        let entries = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)];
        let entries = Field::new("entries", DataType::Struct(entries.into()), false);
        let columns = schema(&[
            ("a", DataType::Int64, true),
            ("s", inner.clone(), true),
            ("l", DataType::new_list(inner, true), true),
            ("m", DataType::Map(entries.into(), false), true),
            ("t", DataType::Utf8, true),
        ]);
        let lines = [
            "{\"a\":1,\"a\":1}",
            "{\"s\":{\"a\":1,\"a\":2}}",
            "{\"l\":[{},{\"a\":1,\"\\u0061\":2}]}",
            "{\"m\":{\"a\":1,\"a\":2}}",
            "{\"t\":[{\"a\":1,\"a\":2}]}",
            "{\"x\":{\"y\":[{\"a\":1,\"a\":2}]}}",
            "{\"s\":{\"a\":1},\"b\":{\"a\":1,\"b\":1}}",
            "{\"a\":null,\"a\":1}",
            "{\"x\":1,\"x\":1}",
            "{\"l\":[{\"x\":1},{\"x\":1}]}",
        ];
        let table = read(&lines.join("\n"), &columns, BadRows::Stream).unwrap();
        assert_eq!(table.rows, ["~|{a: 1}|~|~|~", "~|~|[{a: ~}, {a: ~}]|~|~"]);
        let reasons: Vec<_> = table.rejects.iter().map(|reject| reject.split('|').nth(2).unwrap()).collect();
        let of = |member: &str| format!("the member `{member}` occurs more than once");
        assert_eq!(reasons, [&["a"; 7][..], &["x"]].concat().into_iter().map(of).collect::<Vec<_>>());
    }

    #[test]
    fn rows_do_not_depend_on_the_columns_that_are_read() {
        let columns = schema(&[("a", DataType::Int64, true), ("b", DataType::Utf8, true)]);
        let folder = Folder::new();
        let file = folder.write("input", "{\"a\":1,\"b\":{\"x\":[1]}}\n{\"b\":null,\"a\":2}\n{}\n");
        let open = folder.open(&file, &with_bad_rows(Format::JsonLines, BadRows::Fail), &columns).unwrap();
        let segment = crate::testing::segments(&open).remove(0);
        let expected: [(&[usize], [&str; 3]); 4] = [
            (&[0], ["1", "2", "~"]),
            (&[1], ["{\"x\":[1]}", "~", "~"]),
            (&[1, 0, 1], ["{\"x\":[1]}|1|{\"x\":[1]}", "~|2|~", "~|~|~"]),
            (&[], ["", "", ""]),
        ];
        for (projection, rows) in expected {
            let batch = open.read(&segment, None, projection).unwrap().next().unwrap().unwrap();
            assert_eq!(crate::testing::text(&batch), rows, "{projection:?}");
        }
        let twice = folder.write("twice", "{\"a\":1,\"b\":1,\"b\":2}\n");
        let open = folder.open(&twice, &with_bad_rows(Format::JsonLines, BadRows::Fail), &columns).unwrap();
        let segment = crate::testing::segments(&open).remove(0);
        assert!(open.read(&segment, None, &[0]).unwrap().next().unwrap().is_err());
    }

    #[test]
    fn nulls_are_refused_where_none_may_be_at_any_depth() {
        let field = Field::new("a", DataType::Int64, false);
        let inner = DataType::Struct(vec![field.clone()].into());
        let columns = schema(&[
            ("s", inner, true),
            ("l", DataType::List(field.clone().into()), true),
            ("f", DataType::FixedSizeList(field.into(), 2), true),
        ]);
        let lines = [
            "{\"s\":{\"a\":1},\"l\":[1],\"f\":[1,2]}",
            "{\"s\":{}}",
            "{\"s\":{\"a\":null}}",
            "{\"l\":[null]}",
            "{\"f\":[1,null]}",
            "{\"f\":[1]}",
            "{\"f\":[1,2,3]}",
            "{}",
        ];
        let table = read(&lines.join("\n"), &columns, BadRows::Stream).unwrap();
        assert_eq!(table.rows, ["{a: 1}|[1]|[1, 2]", "~|~|~"]);
        assert_eq!(table.rejects.len(), 6);
    }

    #[test]
    fn an_object_over_several_lines_is_no_row_however_the_lines_add_up() {
        let columns = schema(&[("n", DataType::Int64, true)]);
        let table = read("{\"n\":1}{\"n\":2}\n{\"n\":\n3}\n", &columns, BadRows::Skip).unwrap();
        assert_eq!((table.rows.len(), table.rejected), (0, 3));
    }
}
