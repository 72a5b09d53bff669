//! What a Parquet file says of itself, and whether it can be read.

use std::sync::Arc;

use arrow_schema::{Field, Schema};
use bytes::Bytes;
use flowc_codec::promise::{check_footer, is_encrypted};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use super::types;
use crate::columnar::conform::guarded;
use crate::error::SourceError;
use crate::files::marks::skip_bom;
use crate::files::view::View;

/// What a file starts and ends with, and what an encrypted one does.
const MAGIC: &[u8] = b"PAR1";
const ENCRYPTED: &[u8] = b"PARE";

/// After the footer: its length, and [`MAGIC`].
const TAIL: u64 = 8;

/// Reads the footer of a Parquet file.
pub(super) fn load(view: &View) -> Result<ArrowReaderMetadata, SourceError> {
    let head = view.read(0, view.length().min(MAGIC.len() as u64))?;
    if head != MAGIC && head != ENCRYPTED {
        skip_bom(view.name(), &head)?;
        return Err(damaged(view, "it does not begin with `PAR1`".to_owned()));
    }
    let footer = footer(view)?;
    if head == ENCRYPTED || footer.as_deref().is_some_and(is_encrypted) {
        return Err(unreadable(view, "encrypted".to_owned(), "without encryption"));
    }
    if let Some(footer) = &footer {
        check_footer(footer).map_err(|reason| damaged(view, reason))?;
    }
    let metadata = guarded(|| ArrowReaderMetadata::load(view, ArrowReaderOptions::new()));
    let metadata = metadata.map_err(|reason| damaged(view, reason))?;
    check_alone(view, &metadata, footer.map_or(0, |footer| footer.len() as u64))?;
    Ok(metadata)
}

/// The columns of a file whose source does not declare them.
pub(crate) fn columns(view: &View) -> Result<Schema, SourceError> {
    let metadata = load(view)?;
    check_codecs(view, &metadata, |_| true)?;
    Ok(decoded(&metadata, None))
}

/// The bytes of the footer, where the file's end says that there is one.
fn footer(view: &View) -> Result<Option<Bytes>, SourceError> {
    let Some(end) = view.length().checked_sub(TAIL) else { return Ok(None) };
    let tail = view.read(end, TAIL)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let start = end.checked_sub(length).filter(|_| tail.ends_with(MAGIC));
    start.map(|start| view.read(start, length)).transpose()
}

/// Several files one after the other end with the footer of the last, whose offsets lead into the first.
fn check_alone(view: &View, metadata: &ArrowReaderMetadata, footer: u64) -> Result<(), SourceError> {
    let chunks = metadata.metadata().row_groups().iter().flat_map(|group| group.columns());
    let end = chunks.filter_map(end_of).max().unwrap_or(MAGIC.len() as u64);
    let before = view.length().saturating_sub(footer + TAIL).saturating_sub(end);
    let magic = MAGIC.len() as u64;
    if before < 2 * magic || *view.read(before - magic, 2 * magic)? != *[MAGIC, MAGIC].concat() {
        return Ok(());
    }
    let reason =
        format!("it is several Parquet files, one after the other: one ends at byte {before}; take them apart");
    Err(damaged(view, reason))
}

/// The end of all that the footer says of a chunk. Numbers from a file are not trusted.
fn end_of(chunk: &ColumnChunkMetaData) -> Option<u64> {
    let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
    let places = [
        Some((start, chunk.compressed_size())),
        chunk.column_index_offset().zip(chunk.column_index_length().map(i64::from)),
        chunk.offset_index_offset().zip(chunk.offset_index_length().map(i64::from)),
        chunk.bloom_filter_offset().zip(chunk.bloom_filter_length().map(i64::from)),
    ];
    let ends = places.into_iter().flatten().filter_map(|(start, length)| start.checked_add(length));
    ends.max().and_then(|end| u64::try_from(end).ok())
}

/// Refuses codecs that are not read, in these columns of the file.
pub(super) fn check_codecs(
    view: &View,
    metadata: &ArrowReaderMetadata,
    is_read: impl Fn(usize) -> bool,
) -> Result<(), SourceError> {
    let descriptor = metadata.parquet_schema();
    for (leaf, chunk) in metadata.metadata().row_groups().iter().flat_map(|group| group.columns().iter().enumerate()) {
        if let (true, Some(codec)) = (is_read(descriptor.get_column_root_idx(leaf)), unread_codec(chunk.compression()))
        {
            return Err(unreadable(view, format!("compressed with {codec}"), "with zstd"));
        }
    }
    Ok(())
}

fn unread_codec(codec: Compression) -> Option<&'static str> {
    match codec {
        Compression::BROTLI(_) => Some("brotli"),
        Compression::LZO => Some("lzo"),
        _ => None,
    }
}

fn unreadable(view: &View, what: String, remedy: &'static str) -> SourceError {
    SourceError::Unreadable { file: view.name().to_owned(), what, remedy }
}

/// The file's columns in the types in which they are decoded. `schema`: the source's columns, where they are known.
pub(super) fn decoded(metadata: &ArrowReaderMetadata, schema: Option<&Schema>) -> Schema {
    let notes = metadata.metadata().file_metadata().key_value_metadata();
    let has_note = notes.is_some_and(|notes| notes.iter().any(|note| note.key == ARROW_SCHEMA_META_KEY));
    let descriptor = metadata.parquet_schema();
    let read_as = |(position, field): (usize, &Arc<Field>)| -> Arc<Field> {
        let wanted = schema.and_then(|schema| schema.field_with_name(field.name()).ok()).map(Field::data_type);
        let mut leaves = leaves(metadata, position).map(|leaf| descriptor.column(leaf));
        let data_type = types::read_as(field.data_type(), wanted, has_note, &mut leaves);
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    let fields = metadata.schema().fields();
    match descriptor.columns().iter().any(|leaf| types::is_open(leaf)) {
        true => Schema::new(fields.iter().enumerate().map(read_as).collect::<Vec<_>>()),
        false => Schema::new(fields.clone()),
    }
}

/// The leaves of a column.
pub(super) fn leaves(metadata: &ArrowReaderMetadata, position: usize) -> impl Iterator<Item = usize> {
    let descriptor = metadata.parquet_schema();
    (0..descriptor.num_columns()).filter(move |&leaf| descriptor.get_column_root_idx(leaf) == position)
}

pub(super) fn damaged(view: &View, reason: String) -> SourceError {
    let damaged = || SourceError::Damaged { file: view.name().to_owned(), format: "Parquet", reason };
    view.failure().unwrap_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int32Array, RecordBatch};
    use arrow_schema::DataType;
    use flowc_planner::plan::Format;
    use parquet::file::metadata::{ParquetMetaDataBuilder, ParquetMetaDataWriter};

    use super::super::testing::{numbers, read, refusal, written};
    use super::*;
    use crate::infer_schema;
    use crate::testing::{Folder, schema, spec};

    #[test]
    fn codecs_that_are_not_read_are_named_where_a_column_has_them() {
        let (a, b): (ArrayRef, ArrayRef) = (Arc::new(Int32Array::from(vec![1])), Arc::new(Int32Array::from(vec![2])));
        let bytes = written(&RecordBatch::try_from_iter([("a", a), ("b", b)]).unwrap());
        for (codec, name) in [(Compression::BROTLI(Default::default()), "brotli"), (Compression::LZO, "lzo")] {
            let bytes = with_codec(&bytes, codec);
            assert!(refusal(&bytes).contains(&format!(
                "input: it is compressed with {name}, which flowc cannot read; write it again with zstd"
            )));
            let other = schema(&[("b", DataType::Int32, true)]);
            assert_eq!(Folder::new().read(&bytes, &spec(Format::Parquet), &other).unwrap().rows, ["2"]);
        }
    }

    /// Says of the first column of a file that it has another codec.
    fn with_codec(bytes: &[u8], codec: Compression) -> Vec<u8> {
        let file = Bytes::copy_from_slice(bytes);
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
        let metadata = metadata.metadata();
        let group = metadata.row_group(0).clone();
        let mut columns = group.columns().to_vec();
        columns[0] = columns[0].clone().into_builder().set_compression(codec).build().unwrap();
        let group = group.into_builder().set_column_metadata(columns).build().unwrap();
        let metadata = ParquetMetaDataBuilder::new(metadata.file_metadata().clone()).add_row_group(group).build();
        let footer = u32::from_le_bytes(*bytes[bytes.len() - 8..].first_chunk().unwrap()) as usize;
        let mut changed = bytes[..bytes.len() - 8 - footer].to_vec();
        ParquetMetaDataWriter::new(&mut changed, &metadata).finish().unwrap();
        changed
    }

    #[test]
    fn encrypted_and_compressed_files_say_so() {
        let encrypted = [&b"PARE"[..], &[0; 20], &[8, 0, 0, 0], b"PARE"].concat();
        assert!(
            refusal(&encrypted).contains("it is encrypted, which flowc cannot read; write it again without encryption")
        );
        assert!(
            refusal(&crate::testing::gzip(&numbers(3))).contains("it is compressed with gzip; name it with the ending")
        );
        assert!(refusal(b"id,name\n1,a\n").contains("it does not begin with `PAR1`"));
    }

    #[test]
    fn several_files_one_after_the_other_are_not_one() {
        for (first, last) in [(3, 3), (1, 100_000), (100_000, 1), (0, 0), (2, 0), (0, 2)] {
            let (first, last) = (numbers(first), numbers(last));
            assert!(read(&first).is_ok());
            let several = refusal(&[first.as_slice(), &last].concat());
            let expected =
                format!("it is several Parquet files, one after the other: one ends at byte {}", first.len());
            assert!(several.contains(&expected), "{several}");
        }
        assert!(read(&[numbers(3), vec![0; 8]].concat()).is_err());
    }

    #[test]
    fn a_repeated_name_is_found_when_columns_are_inferred() {
        let field = |name: &str| Field::new(name, DataType::Int32, true);
        let columns: Vec<ArrayRef> = (0..3).map(|i| Arc::new(Int32Array::from(vec![i])) as ArrayRef).collect();
        let twice = Arc::new(Schema::new(vec![field("a"), field("b"), field("a")]));
        let bytes = written(&RecordBatch::try_new(twice, columns).unwrap());
        let folder = Folder::new();
        let input = folder.write("input", &bytes);
        let error = infer_schema(std::slice::from_ref(&input), &spec(Format::Parquet)).unwrap_err().to_string();
        assert!(
            error.contains("`a` occurs more than once") && error.contains("declare a `schema` without it"),
            "{error}"
        );
        let rest = schema(&[("b", DataType::Int32, true)]);
        assert_eq!(folder.read(&bytes, &spec(Format::Parquet), &rest).unwrap().rows, ["1"]);
    }
}
