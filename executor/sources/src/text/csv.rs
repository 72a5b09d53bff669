//! Format `csv`: the header, which maps a file's fields to the schema's columns by name, and the rows.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::{Decoder, Format};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::CsvDialect;

use crate::BATCH_ROWS;
use crate::error::{NOT_UTF8, SourceError};
use crate::fields::{map_types, project};
use crate::files::view::View;
use crate::text::dialect::{check_dialect, format, records};
use crate::text::framing::{CsvFraming, Framing, MOST_RECORD};
use crate::text::parser::{BadRecord, Parser};
use crate::text::quoted::{QuotedNulls, is_text};
use crate::values::texts::{has_infinity, is_value, read_texts};

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
        let (names, start) = if dialect.header { read_header(view, start, dialect)? } else { (Vec::new(), start) };
        let (fields, positions) = if names.is_empty() {
            // Without a header fields are counted. An empty file has none, and no rows either.
            (schema.clone(), (0..schema.fields().len()).collect())
        } else {
            let positions = find_columns(view.name(), &names, schema)?;
            (spread(&names, schema, &positions), positions)
        };
        let fields = nullable(&map_types(&fields, decoded_type));
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

/// What arrow-csv makes of a field: values of the types of which it takes the same spellings as [`read_texts`], and text
/// of all others.
fn decoded_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => data_type.clone(),
        number if number.is_integer() || number.is_floating() => number.clone(),
        _ => DataType::Utf8,
    }
}

/// The names in the first record, and where the next one starts.
pub(crate) fn read_header(view: &View, start: u64, dialect: &CsvDialect) -> Result<(Vec<String>, u64), SourceError> {
    let mut reader = records(dialect, view.cursor(start).take(MOST_RECORD as u64));
    let mut header = csv::ByteRecord::new();
    let damaged = |error: csv::Error| SourceError::Damaged {
        file: view.name().to_owned(),
        format: "csv",
        reason: format!("its header is unreadable: {error}"),
    };
    reader.read_byte_record(&mut header).map_err(damaged)?;
    if reader.position().byte() >= MOST_RECORD as u64 {
        return Err(SourceError::RecordTooLong { file: view.name().to_owned(), offset: start, limit: MOST_RECORD });
    }
    let mut end = start + reader.position().byte();
    // The reader stops between `\r` and `\n`.
    if end > 0 && end < view.length() && *view.read(end - 1, 2)? == *b"\r\n" {
        end += 1;
    }
    Ok((names(view.name(), &header)?, end.min(view.length())))
}

/// The fields of a header as names of columns.
pub(crate) fn names(file: &str, header: &csv::ByteRecord) -> Result<Vec<String>, SourceError> {
    let name = |(place, field): (usize, &[u8])| {
        let not_utf8 =
            |_| SourceError::NotUtf8 { file: file.to_owned(), place: format!("header, field {}", place + 1) };
        String::from_utf8(field.to_vec()).map_err(not_utf8)
    };
    header.iter().enumerate().map(name).collect()
}

/// The fields, nulls allowed: which of them are none is not known before quotes have been looked at.
fn nullable(fields: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        fields.fields().iter().map(|field| Field::clone(field).with_nullable(true)).collect::<Vec<_>>(),
    ))
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
    /// A decoder for at most a batch of records, with no more room than for as many as `bytes` can hold: it reserves all
    /// of it at once. A record has a byte for each of its fields.
    fn new_decoder(&self, fields: &SchemaRef, bytes: &[u8]) -> Decoder {
        let rows = BATCH_ROWS.min(bytes.len() / fields.fields().len().max(1) + 1);
        #[cfg(test)]
        tests::RESERVED.with(|reserved| reserved.set(reserved.get() + rows * fields.fields().len()));
        let builder = ReaderBuilder::new(fields.clone()).with_format(self.layout.format.clone());
        builder.with_batch_size(rows).with_projection(self.positions.clone()).build_decoder()
    }

    /// Turns decoded columns into the schema's.
    fn conform(&self, bytes: &[u8], decoded: RecordBatch) -> Result<RecordBatch, ArrowError> {
        // A number that is too large is infinity to the decoder: the texts tell.
        if decoded.columns().iter().any(has_infinity) {
            let texts = map_types(&self.layout.fields, |_| DataType::Utf8);
            let (texts, _) = decode(&mut self.new_decoder(&texts, bytes), bytes)?;
            return texts
                .map_or_else(|| Ok(RecordBatch::new_empty(self.schema.clone())), |texts| self.read(bytes, texts));
        }
        self.read(bytes, decoded)
    }

    fn read(&self, bytes: &[u8], decoded: RecordBatch) -> Result<RecordBatch, ArrowError> {
        let (schema, positions) = (&self.schema, &self.positions[..]);
        let quoted = QuotedNulls { framing: self.layout.framing(), null: &self.layout.dialect.null, schema, positions };
        let decoded = quoted.restore(decoded, bytes)?;
        let read = |(column, field): (&ArrayRef, &Arc<Field>)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => read_texts(column.as_string(), field.data_type()),
        };
        let columns = decoded.columns().iter().zip(self.schema.fields()).map(read).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
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

    /// The first column that has no room for its field of this record, and why.
    fn explain_fields(&self, record: &[u8], fields: &csv::ByteRecord) -> Option<BadRecord> {
        let null = self.layout.dialect.null.as_str();
        let quoted = self.layout.framing().quoted_fields(record, null.as_bytes());
        self.schema.fields().iter().zip(&self.positions).find_map(|(field, &position)| {
            let text = String::from_utf8_lossy(&fields[position]);
            let is_null = text == null && !(is_text(field.data_type()) && quoted.contains(&position));
            let reason = match is_null {
                true if field.is_nullable() => return None,
                true => "null in a column without nulls".to_owned(),
                false if is_value(&text, field.data_type()) => return None,
                false => format!("{text:?} is not a value of type {}", field.data_type()),
            };
            Some(BadRecord { column: Some(field.name().clone()), reason })
        })
    }
}

impl Parser for CsvParser {
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError> {
        let decoder = self.decoder.take();
        let mut decoder = decoder.unwrap_or_else(|| self.new_decoder(&self.layout.fields, bytes));
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
            |decoded| self.conform(&bytes[..used], decoded),
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
            return BadRecord { column, reason: NOT_UTF8.to_owned() };
        }
        self.explain_fields(record, &values).unwrap_or_else(|| BadRecord { column: None, reason: error.to_string() })
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
mod tests;
