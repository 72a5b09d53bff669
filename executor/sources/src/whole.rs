//! Format `bytes`: a file is one row, its name and its content.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use flowc_planner::key::{KeyHasher, RawDigest};

use crate::error::SourceError;
use crate::fields::project;
use crate::files::view::View;
use crate::segment::RawSegment;

/// The largest value that fits 32-bit offsets.
const MOST_BYTES: u64 = i32::MAX as u64;

/// The one segment of a file. Its content comes along.
pub(crate) fn segment(view: &View) -> Result<(RawSegment, Option<Bytes>), SourceError> {
    let length = view.length();
    if length > MOST_BYTES {
        return Err(SourceError::FileTooLarge { file: view.name().to_owned(), size: length });
    }
    let bytes = view.read(0, length)?;
    let raw = digest(view.name(), &bytes);
    Ok((RawSegment { offset: 0, length, ordinal: 0, rows: Some(1), raw, columns: None }, Some(bytes)))
}

/// The name is a value of the row, so it is in the digest.
fn digest(name: &str, bytes: &[u8]) -> RawDigest {
    let mut hasher = KeyHasher::new("flowc raw bytes 1");
    RawDigest::new(hasher.bytes(name.as_bytes()).digest(blake3::hash(bytes).as_bytes()).finish())
}

/// The row. Bytes that are not at hand are read again and must be what they were.
pub(crate) fn read(
    view: &View,
    schema: &SchemaRef,
    segment: &RawSegment,
    bytes: Option<Bytes>,
    projection: &[usize],
) -> Result<RecordBatch, SourceError> {
    let bytes = match bytes {
        Some(bytes) => bytes,
        None => view.read(0, segment.length)?,
    };
    if digest(view.name(), &bytes) != segment.raw {
        return Err(view.changed("its bytes changed"));
    }
    row(view.name(), &bytes, schema, projection)
        .map_err(|error| SourceError::Arrow { file: view.name().to_owned(), reason: error.to_string() })
}

fn row(name: &str, bytes: &[u8], schema: &SchemaRef, projection: &[usize]) -> Result<RecordBatch, ArrowError> {
    let column = |&column: &usize| -> ArrayRef {
        match column {
            0 => Arc::new(StringArray::from(vec![name])),
            _ => Arc::new(BinaryArray::from_vec(vec![bytes])),
        }
    };
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(project(schema, projection), projection.iter().map(column).collect(), &options)
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use flowc_planner::plan::Format;

    use crate::testing::{Folder, Table, schema, segments, spec};

    #[test]
    fn a_file_is_a_row_and_its_name_counts() {
        let columns = schema(&[("path", DataType::Utf8, false), ("content", DataType::Binary, false)]);
        let folder = Folder::new();
        let raw = |name: &str| {
            let file = folder.write(name, b"\x00\xFF");
            let open = folder.open(&file, &spec(Format::Bytes), &columns).unwrap();
            assert_eq!(Table::read(&open).unwrap().rows, [format!("{name}|00ff")]);
            segments(&open)[0].raw
        };
        assert_ne!(raw("a/b.bin"), raw("a/c.bin"));
        assert_eq!(folder.read("", &spec(Format::Bytes), &columns).unwrap().rows, ["input|"]);
    }
}
