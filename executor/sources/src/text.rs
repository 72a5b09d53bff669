//! A text file as segments: cut where its content says, digested while the bytes are in the cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_planner::plan::BadRows;

use crate::csv::CsvLayout;
use crate::cut::{CUT_SIZES, CutSizes, Cutter};
use crate::error::SourceError;
use crate::framing::Framing;
use crate::parser::Parser;
use crate::segment::RawSegment;
use crate::sift::Sift;
use crate::view::View;
use crate::{json, lines};

/// The longest record. A quote that is never closed would otherwise make one of a whole file.
const MOST_RECORD: usize = 256 << 20;

/// How much is read at once when looking for a cut.
const READ_SIZE: usize = 1 << 20;

/// UTF-8's byte order mark, which some editors write before the first record.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What differs between text formats.
#[derive(Clone, Debug)]
pub(crate) enum TextFormat {
    Lines,
    JsonLines,
    Csv(Arc<CsvLayout>),
}

/// An open text file.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    view: View,
    schema: SchemaRef,
    format: TextFormat,
    bad_rows: BadRows,
    /// Where the first record starts: after a byte order mark and a header.
    start: u64,
    sizes: CutSizes,
    /// Records before an offset, as far as someone asked.
    counted: Arc<Mutex<BTreeMap<u64, u64>>>,
}

/// Bytes of a byte order mark at the start of a file.
pub(crate) fn bom_length(view: &View) -> Result<u64, SourceError> {
    let head = view.read(0, view.length().min(BOM.len() as u64))?;
    Ok(if head == BOM { BOM.len() as u64 } else { 0 })
}

impl TextFile {
    /// `start`: where the records begin.
    pub(crate) fn new(view: View, schema: SchemaRef, format: TextFormat, bad_rows: BadRows, start: u64) -> Self {
        Self { view, schema, format, bad_rows, start, sizes: CUT_SIZES, counted: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn with_sizes(mut self, sizes: CutSizes) -> Self {
        self.sizes = sizes;
        self
    }

    fn framing(&self) -> Framing {
        match &self.format {
            TextFormat::Lines => Framing::Lines,
            TextFormat::JsonLines => Framing::JsonLines,
            TextFormat::Csv(layout) => Framing::Csv(layout.framing()),
        }
    }

    /// Cuts the file in one pass. The bytes of each segment come along.
    pub(crate) fn segments(&self) -> TextSegments<'_> {
        TextSegments { file: self, pending: Vec::new(), read: self.start, ordinal: 0, done: false }
    }

    /// Reads the rows of a segment. Bytes that are not at hand are read again and must be what they were.
    pub(crate) fn read(
        &self,
        segment: &RawSegment,
        bytes: Option<Bytes>,
        projection: &[usize],
    ) -> Result<Sift, SourceError> {
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => self.reread(segment)?,
        };
        Ok(Sift::new(self.clone(), segment.offset, bytes, projection))
    }

    fn reread(&self, segment: &RawSegment) -> Result<Bytes, SourceError> {
        let bytes = self.view.read(segment.offset, segment.length)?;
        if self.digest(&bytes) != segment.raw {
            return Err(self.view.changed("its bytes changed"));
        }
        Ok(bytes)
    }

    fn digest(&self, bytes: &[u8]) -> RawDigest {
        let mut hasher = KeyHasher::new("flowc raw text 1");
        hasher.digest(blake3::hash(bytes).as_bytes());
        if let TextFormat::Csv(layout) = &self.format {
            layout.hash_into(&mut hasher);
        }
        RawDigest::new(hasher.finish())
    }

    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        self.view.name()
    }

    /// What becomes of rows that do not fit.
    pub(crate) fn bad_rows(&self) -> BadRows {
        self.bad_rows
    }

    /// All columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The record at or after a place, where `bytes` ends with a record.
    pub(crate) fn record(&self, bytes: &[u8], from: usize) -> Option<std::ops::Range<usize>> {
        self.framing().last_record(bytes, from)
    }

    /// A parser of these columns.
    pub(crate) fn parser(&self, projection: &[usize]) -> Box<dyn Parser> {
        match &self.format {
            TextFormat::Lines => Box::new(lines::LineParser::new(&self.schema, projection)),
            TextFormat::JsonLines => Box::new(json::JsonParser::new(&self.schema, projection)),
            TextFormat::Csv(layout) => Box::new(layout.parser(&self.schema, projection)),
        }
    }

    /// How many records lie before an offset, which is a record's start. Counts on from the nearest known place.
    pub(crate) fn records_before(&self, offset: u64) -> Result<u64, SourceError> {
        let known = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, before) = known.range(..=offset).next_back().map_or((self.start, 0), |(&at, &count)| (at, count));
        drop(known);
        let count = before + self.count_records(from, offset)?;
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).insert(offset, count);
        Ok(count)
    }

    fn count_records(&self, mut from: u64, end: u64) -> Result<u64, SourceError> {
        let framing = self.framing();
        let (mut buffer, mut count) = (Vec::new(), 0);
        while from + (buffer.len() as u64) < end {
            let held = buffer.len() as u64;
            self.view.append(&mut buffer, from + held, (end - from - held).min(held.max(READ_SIZE as u64)))?;
            let mut used = 0;
            while let Some(record) = framing.record(&buffer, used) {
                (used, count) = (record.end, count + 1);
            }
            buffer.drain(..used);
            from += used as u64;
        }
        Ok(count)
    }
}

/// One pass over a text file.
pub(crate) struct TextSegments<'a> {
    file: &'a TextFile,
    /// Bytes that were read and belong to no segment yet.
    pending: Vec<u8>,
    /// Where the next read starts.
    read: u64,
    ordinal: u32,
    done: bool,
}

impl TextSegments<'_> {
    fn segment(&mut self) -> Result<Option<(RawSegment, Option<Bytes>)>, SourceError> {
        let nothing_left = self.pending.is_empty() && self.read >= self.file.view.length();
        if nothing_left && self.ordinal > 0 {
            return Ok(None);
        }
        let offset = self.read - self.pending.len() as u64;
        let length = self.find_cut(offset)?;
        let rest = self.pending.split_off(length);
        let bytes = Bytes::from(std::mem::replace(&mut self.pending, rest));
        let raw = self.file.digest(&bytes);
        let ordinal = self.ordinal;
        self.ordinal += 1;
        let segment = RawSegment { offset, length: length as u64, ordinal, rows: None, raw, columns: None };
        Ok(Some((segment, Some(bytes))))
    }

    /// The length of the segment that starts with the first pending byte. Reads until that can be told.
    fn find_cut(&mut self, offset: u64) -> Result<usize, SourceError> {
        let mut cutter = Cutter::new(self.file.framing(), self.file.sizes);
        self.fill(self.file.sizes.least)?;
        loop {
            let complete = self.read >= self.file.view.length();
            if let Some(length) = cutter.cut(&self.pending, complete) {
                return Ok(length);
            }
            if self.pending.len() - cutter.seen() > MOST_RECORD {
                let (file, offset) = (self.file.name().to_owned(), offset + cutter.seen() as u64);
                return Err(SourceError::RecordTooLong { file, offset, limit: MOST_RECORD });
            }
            self.fill(self.pending.len() + READ_SIZE.max(self.pending.len() / 4))?;
        }
    }

    fn fill(&mut self, wanted: usize) -> Result<(), SourceError> {
        let missing = wanted.saturating_sub(self.pending.len()) as u64;
        let more = missing.min(self.file.view.length().saturating_sub(self.read));
        self.file.view.append(&mut self.pending, self.read, more)?;
        self.read += more;
        Ok(())
    }
}

impl Iterator for TextSegments<'_> {
    type Item = Result<(RawSegment, Option<Bytes>), SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.segment().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
