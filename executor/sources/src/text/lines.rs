//! Format `lines`: a row a line, in one column of text.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, SchemaRef};
use memchr::memchr_iter;

use crate::BATCH_ROWS;
use crate::fields::project;
use crate::text::parser::{BadRecord, Parser};

/// Splits text at line ends, `\n` or `\r\n`.
pub(crate) struct LineParser {
    schema: SchemaRef,
}

impl LineParser {
    /// `schema` has one column; `projection` repeats it any number of times, or not at all.
    pub(crate) fn new(schema: &SchemaRef, projection: &[usize]) -> Self {
        Self { schema: project(schema, projection) }
    }
}

impl Parser for LineParser {
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError> {
        let lines = Lines::split(bytes);
        let rows = lines.offsets.len() - 1;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(lines.offsets));
        let column: ArrayRef = Arc::new(StringArray::try_new(offsets, Buffer::from_vec(lines.text), None)?);
        let columns = vec![column; self.schema.fields().len()];
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok((RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?, lines.used))
    }

    fn explain(&mut self, record: &[u8], error: &ArrowError) -> BadRecord {
        let reason = match std::str::from_utf8(record) {
            Err(error) => format!("not UTF-8 at byte {} of the line", error.valid_up_to() + 1),
            Ok(_) => error.to_string(),
        };
        BadRecord { column: None, reason }
    }
}

/// Lines without their ends, one after another.
struct Lines {
    text: Vec<u8>,
    offsets: Vec<i32>,
    used: usize,
}

impl Lines {
    fn split(bytes: &[u8]) -> Self {
        let mut lines = Self { text: Vec::new(), offsets: Vec::with_capacity(BATCH_ROWS + 1), used: 0 };
        lines.offsets.push(0);
        for end in memchr_iter(b'\n', bytes).take(BATCH_ROWS) {
            lines.push(&bytes[lines.used..end]);
            lines.used = end + 1;
        }
        if lines.offsets.len() <= BATCH_ROWS && lines.used < bytes.len() {
            lines.push(&bytes[lines.used..]);
            lines.used = bytes.len();
        }
        lines
    }

    fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        // A segment is shorter than 2 GiB: records and cuts are bounded.
        self.offsets.push(self.text.len() as i32);
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use flowc_planner::plan::{BadRows, Format};
    use proptest::prelude::*;

    use crate::testing::{Folder, Table, schema, with_bad_rows};

    fn read(bytes: &[u8], bad_rows: BadRows) -> Result<Table, crate::SourceError> {
        let columns = schema(&[("line", DataType::Utf8, false)]);
        Folder::new().read(bytes, &with_bad_rows(Format::Lines, bad_rows), &columns)
    }

    #[test]
    fn line_ends_and_marks_are_no_content() {
        assert_eq!(read(b"\xEF\xBB\xBFa\r\n\nb \n c", BadRows::Fail).unwrap().rows, ["a", "", "b ", " c"]);
        assert_eq!(read(b"", BadRows::Fail).unwrap().rows.len(), 0);
        assert_eq!(read(b"\n", BadRows::Fail).unwrap().rows, [""]);
    }

    #[test]
    fn bytes_that_are_not_text_are_a_bad_row() {
        let bytes = b"a\nb\xFFb\nc\n\xC3\n\xA9";
        let error = read(bytes, BadRows::Fail).unwrap_err().to_string();
        assert!(error.starts_with("input: row 2: not UTF-8 at byte 2 of the line: b"), "{error}");
        let table = read(bytes, BadRows::Stream).unwrap();
        assert_eq!((table.rows, table.rejected), (vec!["a".to_owned(), "c".to_owned()], 3));
        assert!(table.rejects[2].starts_with("input|5|"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn lines_come_back(lines in proptest::collection::vec("[^\n\r]{0,6}", 0..9000)) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            prop_assume!(!text.starts_with('\u{feff}'));
            prop_assert_eq!(read(text.as_bytes(), BadRows::Fail).unwrap().rows, lines);
        }
    }
}
