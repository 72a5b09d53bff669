//! Reading a segment of text: batch by batch while all is well, and by halves down to the record where it is not.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{StringBuilder, UInt64Builder};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;
use bytes::Bytes;
use flowc_planner::plan::BadRows;
use flowc_planner::rejects_schema;

use crate::BATCH_ROWS;
use crate::error::SourceError;
use crate::fields::project;
use crate::ignored::Ignored;
use crate::segment::RawSegment;
use crate::text::file::TextFile;
use crate::text::parser::{BadRecord, Parser};

/// How much of a record an error message shows.
const SHOWN: usize = 200;

/// The rows of one segment of a text file.
pub(crate) struct Sift {
    file: TextFile,
    offset: u64,
    bytes: Bytes,
    at: usize,
    parser: Box<dyn Parser>,
    /// What is to be taken of the parser's columns; `None`: all.
    keep: Option<Vec<usize>>,
    /// Records so far, good and bad.
    records: u64,
    /// Good batches that were not given out yet, the next one last.
    ready: Vec<RecordBatch>,
    rejects: Rejects,
}

impl Sift {
    /// Reads these columns of a segment. Bytes that are not at hand are read again and must be what they were.
    pub(crate) fn new(
        file: &TextFile,
        segment: &RawSegment,
        bytes: Option<Bytes>,
        projection: &[usize],
    ) -> Result<Self, SourceError> {
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => file.reread(segment)?,
        };
        // Which rows are left out must not depend on the columns that are read.
        let all_columns: Vec<_> = (0..file.schema().fields().len()).collect();
        let (parsed, keep) = match file.bad_rows() {
            BadRows::Fail => (projection, None),
            BadRows::Skip | BadRows::Stream => (&all_columns[..], Some(projection.to_vec())),
        };
        let parser = file.parser(parsed);
        let keep = keep.filter(|columns| *columns != all_columns);
        let (file, offset, rejects) = (file.clone(), segment.offset, Rejects::default());
        Ok(Self { file, offset, bytes, at: 0, parser, keep, records: 0, ready: Vec::new(), rejects })
    }

    /// The next batch, of any size up to [`BATCH_ROWS`].
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        while self.ready.is_empty() && self.at < self.bytes.len() {
            self.advance()?;
        }
        Ok(self.ready.pop())
    }

    /// How many rows were left out so far.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejects.count
    }

    /// The rows that were left out so far, under [`BadRows::Stream`].
    pub(crate) fn take_rejects(&mut self) -> Result<Vec<RecordBatch>, SourceError> {
        self.rejects.take().map_err(|error| self.refused(&error))
    }

    /// What the rows so far have that no column takes.
    pub(crate) fn take_ignored(&mut self) -> Ignored {
        self.parser.take_ignored()
    }

    fn advance(&mut self) -> Result<(), SourceError> {
        let bytes = self.bytes.clone();
        match self.parser.parse(&bytes[self.at..]) {
            Ok((batch, used)) => {
                self.at = if used == 0 { bytes.len() } else { self.at + used };
                self.good(batch)
            }
            Err(_) => {
                let records = self.next_records();
                self.at = records.last().map_or(bytes.len(), |last| last.end);
                self.halve(&bytes, &records)?;
                self.ready.reverse();
                Ok(())
            }
        }
    }

    fn next_records(&self) -> Vec<Range<usize>> {
        let mut at = self.at;
        let records = std::iter::from_fn(|| {
            let record = self.file.record(&self.bytes, at)?;
            at = record.end;
            Some(record)
        });
        records.take(BATCH_ROWS).collect()
    }

    /// Takes the good ones of these records, in order, and rejects the others.
    fn halve(&mut self, bytes: &Bytes, records: &[Range<usize>]) -> Result<(), SourceError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let text = &bytes[first.start..last.end];
        let error = match self.parser.parse(text) {
            Ok((batch, _)) if batch.num_rows() == records.len() => return self.good(batch),
            Ok(_) => ArrowError::ParseError("not one record".to_owned()),
            Err(error) => error,
        };
        if records.len() == 1 {
            return self.bad(text, &error);
        }
        let (left, right) = records.split_at(records.len() / 2);
        self.halve(bytes, left)?;
        self.halve(bytes, right)
    }

    fn good(&mut self, batch: RecordBatch) -> Result<(), SourceError> {
        self.records += batch.num_rows() as u64;
        let kept = match &self.keep {
            Some(columns) => select(&batch, columns).map_err(|error| self.refused(&error))?,
            None => batch,
        };
        if kept.num_rows() > 0 {
            self.ready.push(kept);
        }
        Ok(())
    }

    fn bad(&mut self, record: &[u8], error: &ArrowError) -> Result<(), SourceError> {
        self.records += 1;
        // Where nobody hears the reason, it is not looked for.
        if self.file.bad_rows() == BadRows::Skip {
            self.rejects.count += 1;
            return Ok(());
        }
        let BadRecord { column, reason } = self.parser.explain(record, error);
        let row = self.row()?;
        if self.file.bad_rows() == BadRows::Stream {
            let reason = column.map_or(reason.clone(), |name| format!("column `{name}`: {reason}"));
            self.rejects.push(self.file.name(), row, &reason, &String::from_utf8_lossy(trim(record)));
            return Ok(());
        }
        let file = self.file.name().to_owned();
        let (text, record) = (shown(record), record.into());
        Err(SourceError::BadRow { file, row, column, reason, text, record })
    }

    /// The number in the file of the record that was counted last, from 1.
    fn row(&mut self) -> Result<u64, SourceError> {
        let before = match self.rejects.before {
            Some(before) => before,
            None => *self.rejects.before.insert(self.file.records_before(self.offset)?),
        };
        Ok(before + self.records)
    }

    fn refused(&self, error: &ArrowError) -> SourceError {
        SourceError::Arrow { file: self.file.name().to_owned(), reason: error.to_string() }
    }
}

/// Some columns of a batch; none of them is a batch too.
fn select(batch: &RecordBatch, columns: &[usize]) -> Result<RecordBatch, ArrowError> {
    let arrays = columns.iter().map(|&column| batch.column(column).clone()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(project(&batch.schema(), columns), arrays, &options)
}

fn trim(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

fn shown(record: &[u8]) -> String {
    let record = trim(record);
    // Quotes are as in the file: records of JSON are full of them.
    let visible = |c: char| if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().to_string() };
    let text: String = String::from_utf8_lossy(&record[..record.len().min(SHOWN)]).chars().map(visible).collect();
    if record.len() > SHOWN { format!("{text}...") } else { text }
}

/// Bad rows, collected.
#[derive(Default)]
struct Rejects {
    count: u64,
    /// Records of the file before the segment, once known.
    before: Option<u64>,
    files: StringBuilder,
    rows: UInt64Builder,
    reasons: StringBuilder,
    texts: StringBuilder,
    full: Vec<RecordBatch>,
}

impl Rejects {
    fn push(&mut self, file: &str, row: u64, reason: &str, text: &str) {
        self.count += 1;
        self.files.append_value(file);
        self.rows.append_value(row);
        self.reasons.append_value(reason);
        self.texts.append_value(text);
    }

    fn take(&mut self) -> Result<Vec<RecordBatch>, ArrowError> {
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(self.files.finish()),
            Arc::new(self.rows.finish()),
            Arc::new(self.reasons.finish()),
            Arc::new(self.texts.finish()),
        ];
        let all = RecordBatch::try_new(rejects_schema(), columns)?;
        let starts = (0..all.num_rows()).step_by(BATCH_ROWS);
        self.full.extend(starts.map(|start| all.slice(start, BATCH_ROWS.min(all.num_rows() - start))));
        Ok(std::mem::take(&mut self.full))
    }
}
