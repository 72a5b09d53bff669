//! What Parquet, Arrow and Avro have in common: columns by name, types that must agree, decoders that must not be trusted.

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use flowc_codec::shown;

use crate::columnar::convert::{convert, converts};
use crate::error::SourceError;
use crate::fields::project;

/// Per column of the source's schema, the file's column of that name. Its type is the schema's, or converts to it.
pub(crate) fn match_columns(file: &str, found: &Schema, schema: &Schema) -> Result<Vec<usize>, SourceError> {
    schema.fields().iter().map(|field| match_column(file, found, field)).collect()
}

fn match_column(file: &str, found: &Schema, field: &Field) -> Result<usize, SourceError> {
    let (file, column) = (file.to_owned(), field.name().clone());
    let mut places = found.fields().iter().enumerate().filter(|(_, own)| own.name() == field.name());
    let Some((place, own)) = places.next() else {
        let found = found.fields().iter().map(|own| own.name().clone()).collect();
        return Err(SourceError::MissingColumn { file, column, found });
    };
    if places.next().is_some() {
        return Err(SourceError::RepeatedColumn { file, column });
    }
    if !converts(own.data_type(), field.data_type()) {
        let (expected, found) = (Box::new(field.data_type().clone()), Box::new(own.data_type().clone()));
        return Err(SourceError::TypeDiffers { file, column, expected, found });
    }
    Ok(place)
}

/// Columns of the file that the schema does not have.
pub(crate) fn unknown_columns(found: &Schema, schema: &Schema) -> Vec<String> {
    let unknown = found.fields().iter().filter(|field| schema.index_of(field.name()).is_err());
    unknown.map(|field| field.name().clone()).collect()
}

/// Calls a decoder. Decoders return errors for most damage and panic for some; both are the file's fault here.
pub(crate) fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    flowc_platform::guarded(call)?.map_err(|error| error.to_string())
}

/// Gives a decoder's batches the source's schema: order, types, nullability, metadata.
pub(crate) struct Conform {
    file: String,
    schema: SchemaRef,
    /// Rows of the file before the next batch.
    row: u64,
}

impl Conform {
    /// For these columns of the source's schema, from this row of the file on.
    pub(crate) fn new(file: &str, schema: &SchemaRef, projection: &[usize], row: u64) -> Self {
        Self { file: file.to_owned(), schema: project(schema, projection), row }
    }

    /// The batch in the source's schema. Columns are found by name.
    pub(crate) fn apply(&mut self, batch: &RecordBatch) -> Result<RecordBatch, SourceError> {
        let refused = |reason: String| SourceError::Arrow { file: self.file.clone(), reason };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let column = batch.column_by_name(field.name());
            let column = column.ok_or_else(|| refused(format!("the decoder lost column `{}`", field.name())))?;
            columns.push(self.column(column, field)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let batch = batch.map_err(|error| refused(error.to_string()))?;
        self.row += batch.num_rows() as u64;
        Ok(batch)
    }

    fn column(&self, column: &ArrayRef, field: &Field) -> Result<ArrayRef, SourceError> {
        let converted = convert(column, field.data_type()).map_err(|error| self.misfit(column, field, &error))?;
        let nulls = converted.logical_nulls().filter(|nulls| !field.is_nullable() && nulls.null_count() > 0);
        match nulls.and_then(|nulls| nulls.iter().position(|is_valid| !is_valid)) {
            None => Ok(converted),
            Some(row) => {
                let (file, column) = (self.file.clone(), field.name().clone());
                Err(SourceError::UnexpectedNull { file, row: self.row + row as u64 + 1, column })
            }
        }
    }

    /// Says which value does not fit.
    fn misfit(&self, column: &ArrayRef, field: &Field, error: &ArrowError) -> SourceError {
        let file = self.file.clone();
        let misfits = |row: &usize| convert(&column.slice(*row, 1), field.data_type()).is_err();
        let Some(row) = (0..column.len()).find(misfits) else {
            return SourceError::Arrow { file, reason: format!("column `{}`: {error}", field.name()) };
        };
        let value = shown(column, row);
        let expected = Box::new(field.data_type().clone());
        SourceError::Misfit { file, row: self.row + row as u64 + 1, column: field.name().clone(), value, expected }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::arrow::ArrowWriter;
    use ::parquet::basic::Encoding;
    use ::parquet::file::properties::WriterProperties;
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int64Array, StringArray, StructArray};
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use arrow_ipc::{CompressionType, MessageHeader, MetadataVersion};
    use arrow_schema::{DataType, Field, Fields};
    use flowc_planner::plan::Format;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Folder, Table, schema, segments, spec, text};

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let numbers = Arc::new(Int64Array::from_iter((from..from + rows).map(|i| (i % 7 != 0).then_some(i))));
        let names = Arc::new(StringArray::from_iter_values((from..from + rows).map(|i| format!("name {i}"))));
        let inner = Fields::from(vec![Field::new("n", DataType::Int64, true)]);
        let nested = Arc::new(StructArray::new(inner, vec![numbers.clone()], None));
        let columns: Vec<(&str, ArrayRef)> = vec![("n", numbers), ("t", names), ("s", nested)];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true))).unwrap()
    }

    fn parquet(batches: &[RecordBatch]) -> Vec<u8> {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10_000)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    fn stream(batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    fn file(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5).unwrap();
        let options = options.try_with_compression(compression).unwrap();
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    fn every_form(batches: &[RecordBatch]) -> Vec<(Format, Vec<u8>)> {
        vec![
            (Format::Parquet, parquet(batches)),
            (Format::Arrow, stream(batches)),
            (Format::Arrow, file(batches, None)),
            (Format::Arrow, file(batches, Some(CompressionType::LZ4_FRAME))),
            (Format::Arrow, file(batches, Some(CompressionType::ZSTD))),
        ]
    }

    #[test]
    fn all_rows_come_back_in_full_batches_whatever_the_form() {
        let batches = [batch(0, 12_000), batch(12_000, 5), batch(12_005, 11_000)];
        let expected: Vec<_> = batches.iter().flat_map(text).collect();
        for (format, bytes) in every_form(&batches) {
            let folder = Folder::new();
            let input = folder.write("input", bytes);
            let open = folder.open(&input, &spec(format), &batches[0].schema()).unwrap();
            assert_eq!(Table::read(&open).unwrap().rows, expected);
            let first = segments(&open).remove(0);
            let sizes: Vec<_> = open.read(&first, None, &[2, 0]).unwrap().map(|b| b.unwrap().num_rows()).collect();
            let (last, others) = sizes.split_last().unwrap();
            assert!(others.iter().all(|&rows| rows == 8192) && *last <= 8192, "{sizes:?}");
        }
    }

    #[test]
    fn columns_come_in_the_order_asked_for_and_none_is_an_answer() {
        for (format, bytes) in every_form(&[batch(0, 3)]) {
            let folder = Folder::new();
            let input = folder.write("input", bytes);
            let columns = schema(&[("t", DataType::Utf8, true), ("n", DataType::Int64, true)]);
            let open = folder.open(&input, &spec(format), &columns).unwrap();
            let segment = segments(&open).remove(0);
            let read = |projection: &[usize]| -> Vec<_> {
                open.read(&segment, None, projection).unwrap().flat_map(|batch| text(&batch.unwrap())).collect()
            };
            assert_eq!(read(&[0, 1]), ["name 0|~", "name 1|1", "name 2|2"]);
            assert_eq!(read(&[1, 0]), ["~|name 0", "1|name 1", "2|name 2"]);
            assert_eq!(read(&[]), ["", "", ""]);
        }
    }

    #[test]
    fn a_parquet_column_that_did_not_change_keeps_its_digest() {
        let folder = Folder::new();
        let digests = |batch: &RecordBatch, columns: &[(&str, DataType, bool)]| {
            let input = folder.write("input", parquet(std::slice::from_ref(batch)));
            segments(&folder.open(&input, &spec(Format::Parquet), &schema(columns)).unwrap())[0]
                .columns
                .clone()
                .unwrap()
        };
        let columns = [("n", DataType::Int64, true), ("t", DataType::Utf8, true)];
        let old = batch(0, 100);
        let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|i| format!("other {i}"))));
        let new = RecordBatch::try_from_iter_with_nullable(vec![
            ("new", names.clone(), true),
            ("t", names, true),
            ("n", old.column(0).clone(), true),
        ]);
        let (before, after) = (digests(&old, &columns), digests(&new.unwrap(), &columns));
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
    }

    #[test]
    fn parquet_has_a_segment_per_row_group_and_one_when_there_is_none() {
        let folder = Folder::new();
        let schema = batch(0, 1).schema();
        let rows = |bytes: Vec<u8>| {
            let input = folder.write("input", bytes);
            let open = folder.open(&input, &spec(Format::Parquet), &schema).unwrap();
            assert!(Table::read(&open).is_ok());
            segments(&open).iter().map(|segment| segment.rows.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(rows(parquet(&[batch(0, 25_000)])), [10_000, 10_000, 5000]);
        assert_eq!(rows(parquet(&[batch(0, 0)])), [0]);
    }

    #[test]
    fn streams_with_changing_dictionaries_read_right() {
        let words = |words: &[&str]| -> RecordBatch {
            let column: DictionaryArray<Int32Type> = words.iter().copied().collect();
            RecordBatch::try_from_iter(vec![("w", Arc::new(column) as ArrayRef)]).unwrap()
        };
        let batches = [words(&["a", "b", "a"]), words(&["c", "a"]), words(&["d"])];
        let folder = Folder::new();
        let input = folder.write("input", stream(&batches));
        let open = folder.open(&input, &spec(Format::Arrow), &batches[0].schema()).unwrap();
        assert_eq!(Table::read(&open).unwrap().rows, ["a", "b", "a", "c", "a", "d"]);
    }

    #[test]
    fn columns_that_the_schema_does_not_have_are_named() {
        let columns = schema(&[("t", DataType::Utf8, true)]);
        for (format, bytes) in every_form(&[batch(0, 3)]) {
            let folder = Folder::new();
            let open = folder.open(&folder.write("input", bytes), &spec(format), &columns).unwrap();
            assert_eq!(open.unknown_columns(), ["n", "s"]);
        }
    }

    #[test]
    fn large_streams_have_several_segments() {
        let batches: Vec<_> = (0..5).map(|i| batch(i * 200_000, 200_000)).collect();
        let folder = Folder::new();
        let input = folder.write("input", stream(&batches));
        let open = folder.open(&input, &spec(Format::Arrow), &batches[0].schema()).unwrap();
        assert!(segments(&open).len() > 1);
        assert_eq!(segments(&open).iter().map(|segment| segment.rows.unwrap()).sum::<u64>(), 1_000_000);
        let second = segments(&open).remove(1);
        let read = open.read(&second, None, &[1]).unwrap().next().unwrap().unwrap();
        let before = segments(&open)[0].rows.unwrap();
        assert_eq!(text(&read)[0], format!("name {before}"));
    }

    #[test]
    fn types_and_nulls_that_differ_are_named() {
        let folder = Folder::new();
        for (format, bytes) in every_form(&[batch(0, 3)]) {
            let error = |columns: &[(&str, DataType, bool)]| {
                folder.read(&bytes, &spec(format.clone()), &schema(columns)).unwrap_err().to_string()
            };
            let types = error(&[("n", DataType::Int32, true)]);
            assert!(types.contains("column `n` is Int64, where Int32 is expected"), "{types}");
            assert!(error(&[("n", DataType::Int64, false)]).contains("`n` has nulls"));
            assert!(error(&[("x", DataType::Int64, true)]).contains("its columns are `n`, `t`, `s`"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn damage_is_an_error_or_other_rows_but_never_a_panic(
            form in 0usize..5,
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
            cut in proptest::option::of(any::<proptest::sample::Index>()),
        ) {
            let (format, mut bytes) = every_form(&[batch(0, 50)]).swap_remove(form);
            for (place, byte) in flips {
                let place = place.index(bytes.len());
                bytes[place] ^= byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let folder = Folder::new();
            let _ = folder.read(&bytes, &spec(format.clone()), &batch(0, 1).schema());
            let _ = crate::infer_schema(&[folder.write("input", &bytes)], &spec(format));
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let folder = Folder::new();
            let columns = schema(&[("line", DataType::Utf8, false)]);
            for format in [Format::Lines, Format::JsonLines, crate::testing::csv(), Format::Parquet, Format::Arrow] {
                let _ = folder.read(&bytes, &spec(format.clone()), &columns);
                let _ = crate::infer_schema(&[folder.write("input", &bytes)], &spec(format));
            }
        }
    }

    /// Overwrites each prefix of a compressed buffer in the record batches or dictionaries of an IPC file.
    fn promise(bytes: &mut [u8], kind: MessageHeader, length: i64) {
        let footer = bytes.len() - 10 - i32::from_le_bytes(*bytes[bytes.len() - 10..].first_chunk().unwrap()) as usize;
        let old = bytes.to_vec();
        let footer = arrow_ipc::root_as_footer(&old[footer..old.len() - 10]).unwrap();
        for block in footer.dictionaries().iter().flatten().chain(footer.recordBatches().iter().flatten()) {
            let (start, body) =
                (block.offset() as usize, (block.offset() + i64::from(block.metaDataLength())) as usize);
            let message = arrow_ipc::root_as_message(&old[start + 8..body]).unwrap();
            if message.header_type() != kind {
                continue;
            }
            let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
            let batch = message.header_as_record_batch().or(dictionary).unwrap();
            for place in batch.buffers().iter().flatten().filter(|place| place.length() > 8) {
                let at = body + place.offset() as usize;
                bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
            }
        }
    }

    #[test]
    fn a_time_beyond_the_calendar_that_does_not_fit_is_told_as_its_count() {
        let times: ArrayRef = Arc::new(arrow_array::TimestampSecondArray::from(vec![0, i64::MAX]));
        let bytes = stream(&[RecordBatch::try_from_iter(vec![("t", times)]).unwrap()]);
        let columns = schema(&[("t", "Timestamp(ms)".parse().unwrap(), true)]);
        let error = Folder::new().read(bytes, &spec(Format::Arrow), &columns).unwrap_err().to_string();
        let expected = "row 2, column `t`: 9223372036854775807 s is no value of type Timestamp(ms)";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn lengths_that_no_memory_holds_are_damage() {
        let words: DictionaryArray<Int32Type> = (0..500).map(|i| Some(["a", "b"][i % 2])).collect();
        let batch = RecordBatch::try_from_iter(vec![("w", Arc::new(words) as ArrayRef)]).unwrap();
        for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
            for kind in [MessageHeader::RecordBatch, MessageHeader::DictionaryBatch] {
                for length in [1 << 46, 1 << 60, i64::MAX, i64::MIN, 0, 1] {
                    let mut bytes = file(std::slice::from_ref(&batch), Some(codec));
                    promise(&mut bytes, kind, length);
                    let result = Folder::new().read(&bytes, &spec(Format::Arrow), &batch.schema());
                    assert!(
                        matches!(result, Err(SourceError::Damaged { .. })),
                        "{codec:?} {kind:?} {length}: {result:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn counts_that_no_memory_holds_are_damage() {
        let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..50).map(|i| format!("name {i}"))));
        let batch = RecordBatch::try_from_iter(vec![("t", names)]).unwrap();
        let properties = WriterProperties::builder().set_dictionary_enabled(false);
        let properties = properties.set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let mut bytes = writer.into_inner().unwrap();
        let read = |bytes: &[u8]| Folder::new().read(bytes, &spec(Format::Parquet), &batch.schema());
        assert_eq!(read(&bytes).unwrap().rows.len(), 50);
        // The head of the stream of lengths: blocks of 128 in 4 parts, 50 values.
        let head = bytes.windows(4).position(|bytes| bytes == [0x80, 0x01, 0x04, 50]).unwrap();
        bytes[head + 3..head + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]);
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains("a stream of lengths claims 4398046511103 values; there can be 50"), "{error}");
    }

    #[test]
    fn a_cut_file_is_damaged_not_shorter() {
        let folder = Folder::new();
        for (format, bytes) in every_form(&[batch(0, 500)]) {
            let half = &bytes[..bytes.len() / 2];
            let result = folder.read(half, &spec(format), &batch(0, 1).schema());
            assert!(matches!(result, Err(SourceError::Damaged { .. })), "{result:?}");
        }
    }
}
