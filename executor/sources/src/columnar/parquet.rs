//! Format `parquet`: a segment a row group, known by its columns' stored bytes without decoding them.

mod footer;
mod int96;
mod misfit;
#[cfg(test)]
mod testing;
mod types;

use std::io::BufReader;
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, IntervalUnit, Schema, SchemaRef};
use bytes::Bytes;
use flowc_codec::promise::{RowGroup, Takes};
use flowc_planner::key::{KeyHasher, RawDigest};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Type;
use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType, Int96, Int96Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use crate::BATCH_ROWS;
use crate::columnar::conform::{Conform, guarded, match_columns, unknown_columns};
use crate::error::SourceError;
use crate::files::view::{Cursor, View};
use crate::segment::RawSegment;
use footer::{check_codecs, damaged, decoded, leaves, load};
use misfit::{Misfit, find_misfit};

pub(crate) use footer::columns;

/// An open Parquet file.
pub(crate) struct ParquetFile {
    view: View,
    schema: SchemaRef,
    metadata: ArrowReaderMetadata,
    /// The file's columns, in the types in which they are decoded.
    found: Schema,
    /// Per column of the schema, the file's column.
    positions: Vec<usize>,
}

impl Length for View {
    fn len(&self) -> u64 {
        self.length()
    }
}

impl ChunkReader for View {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(self.cursor(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.read(start, length as u64).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl ParquetFile {
    /// Reads the footer and finds the schema's columns in it.
    pub(crate) fn open(view: View, schema: SchemaRef) -> Result<Self, SourceError> {
        Self::open_as(view, |_| Ok(schema))
    }

    /// Reads the footer, and chooses a schema by what the file has.
    pub(crate) fn open_as(
        view: View,
        choose: impl FnOnce(&Schema) -> Result<SchemaRef, SourceError>,
    ) -> Result<Self, SourceError> {
        let metadata = load(&view)?;
        let schema = choose(&decoded(&metadata, None))?;
        let found = decoded(&metadata, Some(&schema));
        let positions = match_columns(view.name(), &found, &schema)?;
        check_codecs(&view, &metadata, |position| positions.contains(&position))?;
        Ok(Self { view, schema, metadata, found, positions })
    }

    /// Its rows.
    #[cfg(feature = "delta")]
    pub(crate) fn rows(&self) -> u64 {
        self.rows_before(self.metadata.metadata().row_groups().len())
    }

    /// The numbers of the first row of a row group, and of the one behind its last.
    #[cfg(feature = "delta")]
    pub(crate) fn place_of(&self, ordinal: u32) -> (u64, u64) {
        (self.rows_before(ordinal as usize), self.rows_before(ordinal as usize + 1))
    }

    /// The rows of the row groups before one.
    fn rows_before(&self, group: usize) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups.iter().take(group).filter_map(|group| u64::try_from(group.num_rows()).ok()).sum()
    }

    /// Columns that the schema does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        unknown_columns(&self.found, &self.schema)
    }

    /// One per row group; a file without any has one segment without rows.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<RawSegment, SourceError>> + Send + '_ {
        let groups = self.metadata.metadata().row_groups();
        let none = groups.is_empty().then(|| self.segment(0, None));
        none.into_iter().chain(groups.iter().enumerate().map(|(i, group)| self.segment(i, Some(group))))
    }

    fn segment(&self, ordinal: usize, group: Option<&RowGroupMetaData>) -> Result<RawSegment, SourceError> {
        let rows = group.map_or(0, RowGroupMetaData::num_rows);
        let rows = u64::try_from(rows).map_err(|_| damaged(&self.view, format!("a row group of {rows} rows")))?;
        let columns = self.positions.iter().map(|&position| self.column_digest(position, rows, group));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut hasher = KeyHasher::new("flowc raw parquet rows 1");
        hasher.number(rows);
        for column in &columns {
            hasher.digest(column.as_bytes());
        }
        let place = self.place(group)?;
        let ordinal = u32::try_from(ordinal).map_err(|_| damaged(&self.view, "too many row groups".to_owned()))?;
        Ok(RawSegment {
            offset: place.start,
            length: place.end - place.start,
            ordinal,
            rows: Some(rows),
            raw: RawDigest::new(hasher.finish()),
            columns: Some(columns),
        })
    }

    /// The bytes from the first to the last of a row group's column chunks.
    fn place(&self, group: Option<&RowGroupMetaData>) -> Result<Range<u64>, SourceError> {
        let chunks = group.map_or(&[][..], RowGroupMetaData::columns);
        let ranges = chunks.iter().map(|chunk| self.stored(chunk)).collect::<Result<Vec<_>, _>>()?;
        let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
        Ok(start..ranges.iter().map(|range| range.end).max().unwrap_or(start))
    }

    /// A column's digest: the stored bytes of its chunks (several, if it is nested), and what the footer and the writer's
    /// note for Arrow say of how to decode them.
    fn column_digest(
        &self,
        position: usize,
        rows: u64,
        group: Option<&RowGroupMetaData>,
    ) -> Result<RawDigest, SourceError> {
        let mut hasher = KeyHasher::new("flowc raw parquet column 2");
        hasher.number(rows).bytes(self.found.field(position).data_type().to_string().as_bytes());
        for chunk in group.iter().flat_map(|group| leaves(&self.metadata, position).map(|leaf| group.column(leaf))) {
            hash_decoding(chunk, &mut hasher);
            hasher.digest(self.hash_bytes(self.stored(chunk)?)?.as_bytes());
        }
        Ok(RawDigest::new(hasher.finish()))
    }

    fn hash_bytes(&self, range: Range<u64>) -> Result<blake3::Hash, SourceError> {
        let mut hasher = blake3::Hasher::new();
        self.view.show(range, &mut |bytes| _ = hasher.update(bytes))?;
        Ok(hasher.finalize())
    }

    /// Where a chunk lies, its dictionary included. The footer is not trusted.
    fn stored(&self, chunk: &ColumnChunkMetaData) -> Result<Range<u64>, SourceError> {
        let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
        let range = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
        let range = range.and_then(|(start, length)| Some(start..start.checked_add(length)?));
        let inside = range.filter(|range| range.end <= self.view.length());
        let name = chunk.column_path().string();
        inside.ok_or_else(|| damaged(&self.view, format!("column `{name}` lies outside the file")))
    }

    /// Decodes a row group's columns.
    pub(crate) fn read(&self, segment: &RawSegment, projection: &[usize]) -> Result<ParquetRows, SourceError> {
        let group = segment.ordinal as usize;
        let groups = self.metadata.metadata().row_groups();
        let before = self.rows_before(group);
        let conform = Conform::new(self.view.name(), &self.schema, projection, before);
        if group >= groups.len() {
            return match segment.rows {
                Some(0) => Ok(ParquetRows { view: self.view.clone(), reader: None, conform }),
                _ => Err(self.view.changed("its row groups changed")),
            };
        }
        for &column in projection {
            self.check_values(group, column, before)?;
        }
        let reader = guarded(|| self.reader(group, projection)).map_err(|reason| damaged(&self.view, reason))?;
        Ok(ParquetRows { view: self.view.clone(), reader: Some(reader), conform })
    }

    fn reader(&self, group: usize, projection: &[usize]) -> ParquetResult<ParquetRecordBatchReader> {
        let columns = self.metadata.parquet_schema();
        let mask = ProjectionMask::roots(columns, projection.iter().map(|&column| self.positions[column]));
        let levels = parquet_to_arrow_field_levels(columns, mask, Some(self.found.fields()))?;
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, &self.group(group), BATCH_ROWS, None)
    }

    fn group(&self, group: usize) -> RowGroup<View> {
        let (file, metadata) = (self.view.clone(), self.metadata.metadata().clone());
        RowGroup { file, metadata, group, takes: Takes::All }
    }

    /// Looks for values that the decoder would cut. `before`: rows before the row group.
    fn check_values(&self, group: usize, column: usize, before: u64) -> Result<(), SourceError> {
        let position = self.positions[column];
        let types = types::leaves(self.found.field(position).data_type());
        if !types.iter().any(|leaf| matches!(leaf, DataType::Timestamp(..) | DataType::Interval(_))) {
            return Ok(());
        }
        for (leaf, data_type) in leaves(&self.metadata, position).zip(types) {
            let misfit =
                guarded(|| self.misfit(group, leaf, data_type)).map_err(|reason| damaged(&self.view, reason))?;
            let Some(Misfit { row, value }) = misfit else { continue };
            let (file, row) = (self.view.name().to_owned(), before + row + 1);
            let column = self.schema.field(column).name().clone();
            return Err(match data_type {
                DataType::Interval(_) => {
                    let what = format!("written with {value} (row {row}, column `{column}`)");
                    SourceError::Unreadable {
                        file,
                        what,
                        remedy: "with months or with days and milliseconds, not both",
                    }
                }
                _ => SourceError::Misfit { file, row, column, value, expected: Box::new(data_type.clone()) },
            });
        }
        Ok(())
    }

    /// The first value of a column chunk that its type can't say, where the type is one that has such values.
    fn misfit(&self, group: usize, leaf: usize, data_type: &DataType) -> ParquetResult<Option<Misfit>> {
        let descriptor = self.metadata.parquet_schema().column(leaf);
        let pages = || self.group(group).column_chunks(leaf)?.next().transpose();
        match (descriptor.physical_type(), data_type) {
            (Type::INT96, DataType::Timestamp(unit, _)) => {
                let told = |value: &Int96| int96::misfit(value, *unit);
                pages()?.map_or(Ok(None), |pages| find_misfit::<Int96Type>(descriptor, pages, told))
            }
            (Type::FIXED_LEN_BYTE_ARRAY, DataType::Interval(unit)) => {
                let told = |value: &FixedLenByteArray| interval_misfit(value.data(), *unit);
                pages()?.map_or(Ok(None), |pages| find_misfit::<FixedLenByteArrayType>(descriptor, pages, told))
            }
            _ => Ok(None),
        }
    }
}

/// An interval as text that has parts which its unit lacks. Stored are months, days and milliseconds.
fn interval_misfit(bytes: &[u8], unit: IntervalUnit) -> Option<String> {
    let (months, rest) = bytes.split_first_chunk::<4>()?;
    let has_others = match unit {
        IntervalUnit::YearMonth => rest.iter().any(|&byte| byte != 0),
        IntervalUnit::DayTime | IntervalUnit::MonthDayNano => *months != [0; 4],
    };
    has_others.then(|| format!("intervals of {} months among others", u32::from_le_bytes(*months)))
}

/// Adds what is needed to decode a chunk and is in the footer, not in the chunk.
fn hash_decoding(chunk: &ColumnChunkMetaData, hasher: &mut KeyHasher) {
    let column = chunk.column_descr();
    hasher.number(column.physical_type() as u64).bytes(format!("{:?}", column.logical_type_ref()).as_bytes());
    hasher.number(column.converted_type() as u64).number(column.type_length() as u64);
    hasher.number(column.max_def_level() as u64).number(column.max_rep_level() as u64);
    hasher.bytes(format!("{:?}", chunk.compression()).as_bytes()).number(chunk.num_values() as u64);
}

/// The batches of a row group.
pub(crate) struct ParquetRows {
    view: View,
    reader: Option<ParquetRecordBatchReader>,
    conform: Conform,
}

impl ParquetRows {
    /// The next batch.
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let next = guarded(|| reader.next().transpose()).map_err(|reason| damaged(&self.view, reason))?;
        next.map(|batch| self.conform.apply(&batch)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;
    use flowc_planner::plan::Format;

    use super::testing::written;
    use super::*;
    use crate::testing::{Folder, Table, schema, segments, spec};

    #[test]
    fn a_column_is_known_by_the_type_that_it_is_read_as_too() {
        let duration = |unit: &str| -> RecordBatch {
            let ticks = Int64Array::from(vec![1000, 2000]);
            let column = arrow_cast::cast(&ticks, &format!("Duration({unit})").parse().unwrap()).unwrap();
            RecordBatch::try_from_iter([("d", column)]).unwrap()
        };
        let columns = schema(&[("d", "Duration(µs)".parse().unwrap(), true)]);
        let folder = Folder::new();
        let open = |unit: &str| {
            let file = folder.write(unit, written(&duration(unit)));
            folder.open(&file, &spec(Format::Parquet), &columns).unwrap()
        };
        let (fine, coarse) = (open("µs"), open("ms"));
        assert_ne!(Table::read(&fine).unwrap().rows, Table::read(&coarse).unwrap().rows);
        assert_ne!(segments(&fine)[0].columns, segments(&coarse)[0].columns);
    }
}
