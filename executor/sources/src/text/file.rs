//! A text file as segments: cut where its content says, digested while the bytes are in the cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_planner::plan::BadRows;
use flowc_platform::lock;

use crate::error::SourceError;
use crate::files::view::View;
use crate::segment::RawSegment;
use crate::text::csv::CsvLayout;
use crate::text::cut::{CUT_SIZES, CutSizes, Cutter};
use crate::text::framing::{Framing, MOST_RECORD};
use crate::text::json;
use crate::text::lines;
use crate::text::parser::Parser;

/// How much is read at once when looking for a cut.
const READ_SIZE: usize = 1 << 20;

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

    /// The bytes of a segment, read again. They must be what they were.
    pub(crate) fn reread(&self, segment: &RawSegment) -> Result<Bytes, SourceError> {
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

    /// Columns that the schema does not have. What lines of JSON have besides is known when they have been read.
    pub(crate) fn unknown(&self) -> Vec<String> {
        match &self.format {
            TextFormat::Csv(layout) => layout.unknown(),
            TextFormat::JsonLines | TextFormat::Lines => Vec::new(),
        }
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
        let known = lock(&self.counted);
        let (from, before) = known.range(..=offset).next_back().map_or((self.start, 0), |(&at, &count)| (at, count));
        drop(known);
        let count = before + self.count_records(from, offset)?;
        lock(&self.counted).insert(offset, count);
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

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use flowc_planner::plan::CsvDialect;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Folder, schema, text};
    use crate::text::sift::Sift;

    const SMALL: CutSizes = CutSizes { least: 256, spread: 192, most: 1024 };

    fn open(bytes: &[u8], format: TextFormat, columns: &SchemaRef, bad_rows: BadRows, sizes: CutSizes) -> TextFile {
        let folder = Folder::new();
        let file = std::fs::File::open(folder.write("input", bytes).path).unwrap();
        let view = View::new(Arc::new(file), "input").unwrap();
        TextFile::new(view, columns.clone(), format, bad_rows, 0).with_sizes(sizes)
    }

    fn csv_format(columns: &SchemaRef) -> TextFormat {
        let folder = Folder::new();
        let file = std::fs::File::open(folder.write("input", "").path).unwrap();
        let view = View::new(Arc::new(file), "input").unwrap();
        let dialect = CsvDialect { header: false, ..CsvDialect::default() };
        TextFormat::Csv(Arc::new(CsvLayout::open(&view, 0, &dialect, columns).unwrap().0))
    }

    fn cuts(file: &TextFile) -> Vec<(RawSegment, Bytes)> {
        file.segments().map(|item| item.unwrap()).map(|(segment, bytes)| (segment, bytes.unwrap())).collect()
    }

    /// All rows, and all rejects, of a file.
    fn read(file: &TextFile) -> (Vec<String>, Vec<String>) {
        let (mut rows, mut rejects) = (Vec::new(), Vec::new());
        let columns: Vec<_> = (0..file.schema().fields().len()).collect();
        for (segment, bytes) in cuts(file) {
            let mut sift = Sift::new(file, &segment, Some(bytes), &columns).unwrap();
            while let Some(batch) = sift.batch().unwrap() {
                rows.extend(text(&batch));
            }
            rejects.extend(sift.take_rejects().unwrap().iter().flat_map(text));
        }
        (rows, rejects)
    }

    fn line() -> SchemaRef {
        schema(&[("line", DataType::Utf8, false)])
    }

    fn many_lines(seed: u64, count: u64) -> Vec<String> {
        let word = |i: u64| blake3::hash(&(seed + i).to_le_bytes()).to_hex();
        (0..count).map(|i| format!("{}\n", &word(i)[..10 + (i % 20) as usize])).collect()
    }

    #[test]
    fn an_insertion_or_a_change_moves_the_cuts_next_to_it_alone() {
        let lines = many_lines(7, 3000);
        let digests = |lines: &[String]| -> Vec<_> {
            let file = open(lines.concat().as_bytes(), TextFormat::Lines, &line(), BadRows::Fail, SMALL);
            cuts(&file).into_iter().map(|(segment, _)| segment.raw).collect()
        };
        let before = digests(&lines);
        assert!(before.len() > 50, "{} segments", before.len());
        for place in (0..3000).step_by(211) {
            let mut changed = lines.clone();
            changed.insert(place, "inserted\n".to_owned());
            let after = digests(&changed);
            let fresh = after.iter().filter(|digest| !before.contains(digest)).count();
            assert!(fresh <= 3, "an insertion at {place} made {fresh} segments new");
        }
    }

    #[test]
    fn segments_have_the_sizes_that_they_should() {
        let bytes = many_lines(1, 20000).concat();
        let file = open(bytes.as_bytes(), TextFormat::Lines, &line(), BadRows::Fail, SMALL);
        let lengths: Vec<_> = cuts(&file).iter().map(|(segment, _)| segment.length as usize).collect();
        let (last, others) = lengths.split_last().unwrap();
        assert!(others.iter().all(|length| (SMALL.least..=SMALL.most).contains(length)) && *last <= SMALL.most);
        let mean = bytes.len() / lengths.len();
        assert!((350..600).contains(&mean), "mean {mean}");
    }

    #[test]
    fn lines_that_are_all_alike_are_cut_too() {
        let bytes = "same\n".repeat(10000);
        let file = open(bytes.as_bytes(), TextFormat::Lines, &line(), BadRows::Fail, SMALL);
        assert!(cuts(&file).iter().all(|(segment, _)| segment.length as usize <= SMALL.most));
    }

    #[test]
    fn the_real_sizes_cut_large_files_too() {
        let bytes = many_lines(3, 1_000_000).concat();
        let file = open(bytes.as_bytes(), TextFormat::Lines, &line(), BadRows::Fail, CUT_SIZES);
        let parts = cuts(&file);
        assert!(parts.len() > 1);
        assert!(parts.iter().map(|(_, bytes)| bytes.to_vec()).collect::<Vec<_>>().concat() == bytes.as_bytes());
    }

    fn csv_line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[0-9]{1,4},[a-z ]{0,12}\n",
            2 => "[0-9]{1,4},\"[a-z,\n\"]{0,6}\"\r\n".prop_map(|s| s),
            1 => "[a-z\",]{0,8}\n",
            1 => Just("\n".to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn segments_together_are_the_file(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            for format in [TextFormat::Lines, TextFormat::JsonLines, csv_format(&line())] {
                let file = open(&bytes, format, &line(), BadRows::Skip, SMALL);
                let parts = cuts(&file);
                prop_assert!(!parts.is_empty());
                let mut at = 0;
                for (ordinal, (segment, part)) in parts.iter().enumerate() {
                    prop_assert_eq!((segment.offset, segment.length), (at, part.len() as u64));
                    prop_assert_eq!(segment.ordinal as usize, ordinal);
                    at += segment.length;
                }
                prop_assert_eq!(parts.iter().map(|(_, part)| part.to_vec()).collect::<Vec<_>>().concat(), bytes.clone());
            }
        }

        #[test]
        fn rows_and_rejects_do_not_depend_on_the_cuts(lines in proptest::collection::vec(csv_line(), 0..150)) {
            let columns = schema(&[("n", DataType::Int64, false), ("t", DataType::Utf8, true)]);
            let bytes = lines.concat();
            let whole = open(bytes.as_bytes(), csv_format(&columns), &columns, BadRows::Stream, CUT_SIZES);
            let cut = open(bytes.as_bytes(), csv_format(&columns), &columns, BadRows::Stream, SMALL);
            prop_assert_eq!(read(&whole), read(&cut));
        }
    }
}
