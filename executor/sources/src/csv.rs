//! Format `csv`: the header, which maps a file's fields to the schema's columns by name, and the rows.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::{Decoder, Format};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::CsvDialect;

use crate::BATCH_ROWS;
use crate::dialect::{check_dialect, check_types, format, records};
use crate::error::SourceError;
use crate::framing::{CsvFraming, Framing};
use crate::parser::{BadRecord, Parser, conform, map_types, project, stand_in};
use crate::text::MOST_RECORD;
use crate::times::Ticks;
use crate::view::View;

/// What is wrong with a record that takes in all that follows it.
const OPEN_QUOTE: &str = "a quote is opened and never closed";

/// What is wrong with a field such as `"a"b`.
const TAIL: &str = "text follows the closing quote of a field";

/// How one file's records map to the schema.
#[derive(Clone, Debug)]
pub(crate) struct CsvLayout {
    dialect: CsvDialect,
    format: Format,
    /// A field per field of a record: the schema's column, or a text column that is never read.
    fields: SchemaRef,
    /// Per column of the schema, its field's place in a record.
    positions: Vec<usize>,
}

impl CsvLayout {
    /// Reads the header, if the dialect has one. Gives the layout and where the first record starts.
    pub(crate) fn open(
        view: &View,
        start: u64,
        dialect: &CsvDialect,
        schema: &SchemaRef,
    ) -> Result<(Self, u64), SourceError> {
        check_dialect(dialect)?;
        check_types(schema)?;
        let (names, start) = if dialect.header { read_header(view, start, dialect)? } else { (Vec::new(), start) };
        let (fields, positions) = if names.is_empty() {
            // Without a header fields are counted. An empty file has none, and no rows either.
            (schema.clone(), (0..schema.fields().len()).collect())
        } else {
            let positions = find_columns(view.name(), &names, schema)?;
            (spread(&names, schema, &positions), positions)
        };
        let fields = map_types(&fields, stand_in);
        Ok((Self { dialect: dialect.clone(), format: format(dialect)?, fields, positions }, start))
    }

    /// How its records are delimited.
    pub(crate) fn framing(&self) -> CsvFraming {
        CsvFraming::new(&self.dialect)
    }

    /// What, besides a segment's bytes, shapes its rows: names of other columns are not in it.
    pub(crate) fn hash_into(&self, hasher: &mut KeyHasher) {
        hasher.number(self.fields.fields().len() as u64).number(self.positions.len() as u64);
        for &position in &self.positions {
            hasher.number(position as u64);
        }
    }

    /// Names in the header that the schema does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let fields = self.fields.fields().iter().enumerate();
        fields.filter(|(place, _)| !self.positions.contains(place)).map(|(_, field)| field.name().clone()).collect()
    }

    /// A parser of these columns of the schema.
    pub(crate) fn parser(&self, schema: &SchemaRef, projection: &[usize]) -> CsvParser {
        let positions = projection.iter().map(|&column| self.positions[column]).collect();
        CsvParser { layout: self.clone(), schema: project(schema, projection), positions, decoder: None }
    }
}

/// The names in the first record, and where the next one starts.
pub(crate) fn read_header(view: &View, start: u64, dialect: &CsvDialect) -> Result<(Vec<String>, u64), SourceError> {
    let mut reader = records(dialect, view.cursor(start).take(MOST_RECORD as u64));
    let mut header = csv::StringRecord::new();
    let damaged = |error: csv::Error| SourceError::Damaged {
        file: view.name().to_owned(),
        format: "csv",
        reason: format!("its header is unreadable: {error}"),
    };
    reader.read_record(&mut header).map_err(damaged)?;
    if reader.position().byte() >= MOST_RECORD as u64 {
        return Err(SourceError::RecordTooLong { file: view.name().to_owned(), offset: start, limit: MOST_RECORD });
    }
    let mut end = start + reader.position().byte();
    // The reader stops between `\r` and `\n`.
    if end > 0 && end < view.length() && *view.read(end - 1, 2)? == *b"\r\n" {
        end += 1;
    }
    Ok((header.iter().map(str::to_owned).collect(), end.min(view.length())))
}

/// Finds each of the schema's columns in a header.
fn find_columns(file: &str, names: &[String], schema: &SchemaRef) -> Result<Vec<usize>, SourceError> {
    let find = |field: &Arc<Field>| {
        let mut places = names.iter().enumerate().filter(|(_, name)| *name == field.name()).map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => {
                Err(SourceError::RepeatedColumn { file: file.to_owned(), column: field.name().clone() })
            }
            (None, _) => Err(SourceError::MissingColumn {
                file: file.to_owned(),
                column: field.name().clone(),
                found: names.to_vec(),
            }),
        }
    };
    schema.fields().iter().map(find).collect()
}

/// The schema's fields in the file's order, with text where the schema has nothing.
fn spread(names: &[String], schema: &SchemaRef, positions: &[usize]) -> SchemaRef {
    let mut fields: Vec<_> = names.iter().map(|name| Arc::new(Field::new(name, DataType::Utf8, true))).collect();
    for (field, &position) in schema.fields().iter().zip(positions) {
        fields[position] = field.clone();
    }
    Arc::new(Schema::new(fields))
}

/// Records to batches.
pub(crate) struct CsvParser {
    layout: CsvLayout,
    /// Of the batches.
    schema: SchemaRef,
    /// Per column of the batches, its place in a record.
    positions: Vec<usize>,
    /// Kept between records, for its buffers; dropped after a fault and at an end.
    decoder: Option<Decoder>,
}

impl CsvParser {
    fn new_decoder(layout: &CsvLayout, positions: &[usize]) -> Decoder {
        let builder = ReaderBuilder::new(layout.fields.clone()).with_format(layout.format.clone());
        builder.with_batch_size(BATCH_ROWS).with_projection(positions.to_vec()).build_decoder()
    }

    /// Whether something follows the last record that may be a comment without a line end.
    fn ends_in_comment(&self, bytes: &[u8]) -> bool {
        let Some(comment) = self.layout.dialect.comment.map(|c| c as u8) else { return false };
        let last_line = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let mut parts = bytes[last_line..].split(|&byte| byte == b'\r');
        parts.any(|part| part.first() == Some(&comment)) && self.last_record(bytes).end < bytes.len()
    }

    /// The last record in bytes that begin and end with whole records; empty if there is none.
    fn last_record(&self, bytes: &[u8]) -> Range<usize> {
        let framing = Framing::Csv(self.layout.framing());
        let mut last = 0..0;
        while let Some(record) = framing.last_record(bytes, last.end) {
            last = record;
        }
        last
    }

    /// The first column that this record can't fill.
    fn faulty_column(&self, record: &[u8]) -> Option<usize> {
        (0..self.positions.len()).find(|&column| {
            let mut decoder = Self::new_decoder(&self.layout, &self.positions[column..=column]);
            let decoded = decode(&mut decoder, record).map(|(batch, _)| batch);
            let fits = |batch| conform(&batch, &project(&self.schema, &[column]), Ticks::Refused);
            decoded.and_then(|batch| batch.map(fits).transpose()).is_err()
        })
    }
}

impl Parser for CsvParser {
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError> {
        let decoder = self.decoder.take();
        let mut decoder = decoder.unwrap_or_else(|| Self::new_decoder(&self.layout, &self.positions));
        let (batch, used) = decode(&mut decoder, bytes)?;
        if used < bytes.len() {
            self.decoder = Some(decoder);
        } else if self.ends_in_comment(bytes) {
            // The decoder takes a comment without a line end for a record. The caller's framing knows better.
            return Err(ArrowError::CsvError("the last line is a comment".to_owned()));
        } else if self.layout.framing().is_open(&bytes[self.last_record(bytes)]) {
            return Err(ArrowError::CsvError(OPEN_QUOTE.to_owned()));
        }
        if self.layout.framing().has_tail(&bytes[..used]) {
            return Err(ArrowError::CsvError(TAIL.to_owned()));
        }
        let batch = batch.map_or_else(
            || Ok(RecordBatch::new_empty(self.schema.clone())),
            |b| conform(&b, &self.schema, Ticks::Refused),
        )?;
        Ok((batch, used))
    }

    fn explain(&mut self, record: &[u8], error: &ArrowError) -> BadRecord {
        if self.layout.framing().is_open(record) {
            return BadRecord { column: None, reason: OPEN_QUOTE.to_owned() };
        }
        if self.layout.framing().has_tail(record) {
            return BadRecord { column: None, reason: TAIL.to_owned() };
        }
        let mut values = csv::ByteRecord::new();
        let read = records(&self.layout.dialect, record).read_byte_record(&mut values);
        let expected = self.layout.fields.fields().len();
        if read.is_err() || values.len() != expected {
            let reason = format!("{expected} fields expected, {} found", values.len());
            return BadRecord { column: None, reason };
        }
        if let Some(place) = values.iter().position(|value| std::str::from_utf8(value).is_err()) {
            let column = Some(self.layout.fields.field(place).name().clone());
            return BadRecord { column, reason: "not UTF-8".to_owned() };
        }
        match self.faulty_column(record) {
            Some(column) => {
                let value = String::from_utf8_lossy(&values[self.positions[column]]);
                self.explain_value(self.schema.field(column), &value)
            }
            None => BadRecord { column: None, reason: error.to_string() },
        }
    }
}

impl CsvParser {
    fn explain_value(&self, field: &Field, value: &str) -> BadRecord {
        let reason = if !field.is_nullable() && value == self.layout.dialect.null {
            "null in a column without nulls".to_owned()
        } else {
            format!("{value:?} is not a value of type {}", field.data_type())
        };
        BadRecord { column: Some(field.name().clone()), reason }
    }
}

/// Decodes at most a batch of records; an end of the bytes ends the last record.
fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<(Option<RecordBatch>, usize), ArrowError> {
    let mut used = 0;
    loop {
        let taken = decoder.decode(&bytes[used..])?;
        used += taken;
        if taken == 0 || decoder.capacity() == 0 {
            return Ok((decoder.flush()?, used));
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_schema::TimeUnit;
    use flowc_planner::plan::{BadRows, Format as SourceFormat};

    use super::*;
    use crate::testing::{Folder, Table, csv, schema, segments, spec, with_bad_rows};

    fn columns() -> SchemaRef {
        schema(&[("id", DataType::Int64, false), ("name", DataType::Utf8, true)])
    }

    fn read(text: &str) -> Result<Table, SourceError> {
        Folder::new().read(text, &spec(csv()), &columns())
    }

    fn rows(text: &str) -> Vec<String> {
        read(text).unwrap().rows
    }

    #[test]
    fn columns_are_found_by_name_wherever_they_are() {
        assert_eq!(rows("name,other,id\na,x,1\n\"b,\"\"c\"\"\",y,2"), ["1|a", "2|b,\"c\""]);
        assert_eq!(rows("\u{feff}id,name\r\n1,a\r\n2,\"x\r\ny\"\r\n"), ["1|a", "2|x\r\ny"]);
        assert_eq!(rows("id,name\n\n1,\n\n"), ["1|~"]);
    }

    #[test]
    fn a_file_without_records_has_no_rows() {
        for text in ["", "\u{feff}", "\n\r\n", "id,name\n", "id,name"] {
            assert!(rows(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn headers_that_do_not_fit_are_errors() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("id,title\n").contains("no column `name`; the file has `id`, `title`"));
        assert!(error("id,name,id\n").contains("`id` occurs more than once"));
        assert_eq!(rows("x,id,name,x\n1,2,3,4\n"), ["2|3"], "a repeated name that nobody asked for");
    }

    #[test]
    fn dialects() {
        let dialect = CsvDialect {
            header: false,
            delimiter: ';',
            quote: '\'',
            escape: Some('\\'),
            comment: Some('#'),
            null: "NA".to_owned(),
        };
        let text = "# it's a comment\n1;'a\\';b'\nNA;x\n2;NA\n3;\n";
        let read = Folder::new().read(text, &with_bad_rows(SourceFormat::Csv(dialect), BadRows::Stream), &columns());
        let table = read.unwrap();
        assert_eq!(table.rows, ["1|a';b", "2|~", "3|"]);
        assert_eq!(table.rejects, ["input|2|column `id`: null in a column without nulls|NA;x"]);
    }

    #[test]
    fn a_comment_at_the_very_end_is_no_row() {
        let dialect = CsvDialect { comment: Some('#'), ..CsvDialect::default() };
        let columns = schema(&[("t", DataType::Utf8, true)]);
        let format = SourceFormat::Csv(dialect);
        let rows = |text: &str| Folder::new().read(text, &spec(format.clone()), &columns).unwrap().rows;
        assert_eq!(rows("t\na\n# end"), ["a"]);
        assert_eq!(rows("t\na\r# end\r!"), ["a"]);
        assert_eq!(rows("t\n\"a\n# b\""), ["a\n# b"]);
    }

    #[test]
    fn types() {
        let zone = |zone: &str| DataType::Timestamp(TimeUnit::Second, Some(zone.into()));
        let columns = schema(&[
            ("d", DataType::Date32, true),
            ("t", zone("UTC"), true),
            ("m", DataType::Decimal128(10, 2), true),
            ("b", DataType::Boolean, true),
            ("f", DataType::Float64, true),
        ]);
        let text = "d,t,m,b,f\n2024-02-29,2024-02-29T12:00:00Z,12.5,true,1e3\n,,,,\n";
        let folder = Folder::new();
        let open = folder.open(&folder.write("input", text), &spec(csv()), &columns).unwrap();
        let batch = open.read(&segments(&open)[0], None, &[0, 2, 3, 4]).unwrap().next().unwrap().unwrap();
        assert_eq!(crate::testing::text(&batch), ["2024-02-29|12.50|true|1000.0", "~|~|~|~"]);
        let batch = open.read(&segments(&open)[0], None, &[1]).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.schema().field(0), columns.field(1));
        let seconds = batch.column(0).as_primitive::<arrow_array::types::TimestampSecondType>();
        assert_eq!(seconds.iter().collect::<Vec<_>>(), [Some(1_709_208_000), None]);
        let list = DataType::new_list(DataType::Int64, true);
        let error = Folder::new().read("l\n", &spec(csv()), &schema(&[("l", list, true)])).unwrap_err();
        assert!(error.to_string().contains("column `l`"), "{error}");
    }

    #[test]
    fn times_are_never_cut() {
        let columns =
            schema(&[("d", DataType::Date32, true), ("t", DataType::Timestamp(TimeUnit::Second, None), true)]);
        let text = "d,t\n2024-02-29,2024-02-29T12:00:00.000Z\n1900-01-01,\n2024-02-29T01:00:00,\n,1969-12-31T23:59:59.5\n\
                    ,2024-02-29T12:00:00.0000001\n";
        let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns).unwrap();
        assert_eq!(table.rows, ["2024-02-29|2024-02-29T12:00:00", "1900-01-01|~"]);
        assert_eq!(table.rejects.len(), 3, "{:?}", table.rejects);
        assert!(
            table.rejects[1].contains("column `t`: \"1969-12-31T23:59:59.5\" is not a value"),
            "{:?}",
            table.rejects
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_a_bad_row_and_not_a_long_field() {
        let text = "id,name\n1,\"a\"\n2,\"b\n3,c\n4,d\n";
        let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns()).unwrap();
        assert_eq!(table.rows, ["1|a"]);
        assert_eq!(table.rejects, ["input|2|a quote is opened and never closed|2,\"b\n3,c\n4,d"]);
        assert_eq!(rows("id,name\n1,\"a\"\"\"").as_slice(), ["1|a\""]);
    }

    #[test]
    fn text_after_a_closing_quote_is_a_bad_row() {
        let text = "id,name\n1,\"a\"\"b\"\n2,\"y\"z\n3,c\"d\" e\n4,\"f\" \n\"5\",\"g\"\r\n6,\"\"\"\"";
        let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns()).unwrap();
        assert_eq!(table.rows, ["1|a\"b", "3|c\"d\" e", "5|g", "6|\""]);
        assert_eq!(
            table.rejects,
            [
                "input|2|text follows the closing quote of a field|2,\"y\"z",
                "input|4|text follows the closing quote of a field|4,\"f\" ",
            ]
        );
    }

    #[test]
    fn quotes_in_comments_are_no_quotes() {
        let format = SourceFormat::Csv(CsvDialect { comment: Some('#'), ..CsvDialect::default() });
        let read = |text: &str| Folder::new().read(text, &with_bad_rows(format.clone(), BadRows::Stream), &columns());
        let table = read("id,name\n1,a\n#,\"b\"c\n#,\"d\n2,\"e\"f\n3,g\n").unwrap();
        assert_eq!(table.rows, ["1|a", "3|g"]);
        assert_eq!(table.rejects, ["input|2|text follows the closing quote of a field|2,\"e\"f"]);
    }

    #[test]
    fn decimals_are_never_rounded() {
        let columns = schema(&[("m", DataType::Decimal128(10, 2), true), ("d", DataType::Decimal32(3, 3), true)]);
        let text = "m,d\n12.5,0.125\n-0.010,1e-3\n,\n0.125,0\n0,0.1234\n99999999.99,0\n100000000,0\n1.000000000000000000000000000000000001,0\n";
        let table = Folder::new().read(text, &with_bad_rows(csv(), BadRows::Stream), &columns).unwrap();
        assert_eq!(table.rows, ["12.50|0.125", "-0.01|0.001", "~|~", "99999999.99|0.000"]);
        let reasons: Vec<_> = table.rejects.iter().map(|reject| reject.split('|').nth(2).unwrap()).collect();
        let misfit = |column: &str, value: &str, data_type: &str| {
            format!("column `{column}`: {value:?} is not a value of type {data_type}")
        };
        assert_eq!(
            reasons,
            [
                misfit("m", "0.125", "Decimal128(10, 2)"),
                misfit("d", "0.1234", "Decimal32(3, 3)"),
                misfit("m", "100000000", "Decimal128(10, 2)"),
                misfit("m", "1.000000000000000000000000000000000001", "Decimal128(10, 2)"),
            ]
        );
    }

    #[test]
    fn bad_rows_are_named_counted_or_collected() {
        let text = b"id,name\n1,a\nx,b\n3\n,d\n5,\xFF\n\n6,\"f\nf\",g\n7,h";
        let with = |bad_rows| Folder::new().read(text, &with_bad_rows(csv(), bad_rows), &columns());
        let error = with(BadRows::Fail).unwrap_err().to_string();
        assert!(error.starts_with("input: row 2, column `id`: \"x\" is not a value of type Int64: x,b"), "{error}");
        let skipped = with(BadRows::Skip).unwrap();
        assert_eq!((skipped.rows, skipped.rejected, skipped.rejects), (vec!["1|a".into(), "7|h".into()], 5, vec![]));
        assert_eq!(
            with(BadRows::Stream).unwrap().rejects,
            [
                "input|2|column `id`: \"x\" is not a value of type Int64|x,b",
                "input|3|2 fields expected, 1 found|3",
                "input|4|column `id`: null in a column without nulls|,d",
                "input|5|column `name`: not UTF-8|5,\u{fffd}",
                "input|6|2 fields expected, 3 found|6,\"f\nf\",g",
            ]
        );
    }

    #[test]
    fn rows_after_many_batches_are_numbered_right_and_batches_stay_full() {
        let mut text = String::from("id,name\n");
        (1..=30_000).for_each(|i| text += &if i % 9000 == 0 { "bad\n".to_owned() } else { format!("{i},n\n") });
        let folder = Folder::new();
        let file = folder.write("input", &text);
        let open = folder.open(&file, &with_bad_rows(csv(), BadRows::Stream), &columns()).unwrap();
        let mut reader = open.read(&segments(&open)[0], None, &[0]).unwrap();
        let sizes: Vec<_> = reader.by_ref().map(|batch| batch.unwrap().num_rows()).collect();
        assert_eq!(sizes, [8192, 8192, 8192, 30_000 - 3 - 3 * 8192]);
        let rejects = reader.rejects().unwrap();
        let rows = rejects[0].column(1).as_primitive::<arrow_array::types::UInt64Type>();
        assert_eq!(rows.values(), &[9000, 18_000, 27_000]);
    }

    #[test]
    fn renaming_a_column_that_nobody_reads_changes_no_digest() {
        let folder = Folder::new();
        let raw = |text: &str| {
            let file = folder.write("input", text);
            segments(&folder.open(&file, &spec(csv()), &columns()).unwrap())[0].raw
        };
        assert_eq!(raw("id,name,x\n1,a,b\n"), raw("id,name,longer\n1,a,b\n"));
        assert_ne!(raw("id,name,x\n1,a,b\n"), raw("id,x,name\n1,a,b\n"));
    }

    #[test]
    fn dialects_that_contradict_themselves_are_errors() {
        let with = |delimiter, quote| {
            check_dialect(&CsvDialect { delimiter, quote, ..CsvDialect::default() }).unwrap_err().to_string()
        };
        assert!(with('"', '"').contains("must differ"));
        assert!(with('é', '"').contains("not one ASCII character"));
        assert!(with('\n', '"').contains("line end"));
    }
}
