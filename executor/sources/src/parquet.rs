//! Format `parquet`: a segment a row group, known by its columns' stored bytes without decoding them.

use std::io::BufReader;
use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use flowc_codec::promise::{RowGroup, Takes, check_footer};
use flowc_planner::key::{KeyHasher, RawDigest};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use crate::BATCH_ROWS;
use crate::columnar::{Conform, guarded, match_columns, unknown_columns};
use crate::error::SourceError;
use crate::segment::RawSegment;
use crate::view::{Cursor, View};

/// How much is read at once when bytes are digested.
const READ_SIZE: u64 = 4 << 20;

/// An open Parquet file.
pub(crate) struct ParquetFile {
    view: View,
    schema: SchemaRef,
    metadata: ArrowReaderMetadata,
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

/// Reads the footer of a Parquet file.
pub(crate) fn load(view: &View) -> Result<ArrowReaderMetadata, SourceError> {
    if let Some(footer) = footer(view)? {
        check_footer(&footer).map_err(|reason| damaged(view, reason))?;
    }
    guarded(|| ArrowReaderMetadata::load(view, ArrowReaderOptions::new())).map_err(|reason| damaged(view, reason))
}

/// The bytes of the footer, where the file's end says that there is one.
fn footer(view: &View) -> Result<Option<Bytes>, SourceError> {
    let Some(end) = view.length().checked_sub(8) else { return Ok(None) };
    let tail = view.read(end, 8)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let start = end.checked_sub(length).filter(|_| tail.ends_with(b"PAR1"));
    start.map(|start| view.read(start, length)).transpose()
}

fn damaged(view: &View, reason: String) -> SourceError {
    SourceError::Damaged { file: view.name().to_owned(), format: "Parquet", reason }
}

impl ParquetFile {
    /// Reads the footer and finds the schema's columns in it.
    pub(crate) fn open(view: View, schema: SchemaRef) -> Result<Self, SourceError> {
        let metadata = load(&view)?;
        let positions = match_columns(view.name(), metadata.schema(), &schema)?;
        Ok(Self { view, schema, metadata, positions })
    }

    /// Columns that the schema does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        unknown_columns(self.metadata.schema(), &self.schema)
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

    /// A column's digest: the stored bytes of its chunks (several, if it is nested) and what the footer says of how
    /// to decode them.
    fn column_digest(
        &self,
        position: usize,
        rows: u64,
        group: Option<&RowGroupMetaData>,
    ) -> Result<RawDigest, SourceError> {
        let mut hasher = KeyHasher::new("flowc raw parquet column 1");
        hasher.number(rows);
        let descriptor = self.metadata.parquet_schema();
        for (leaf, chunk) in group.iter().flat_map(|group| group.columns().iter().enumerate()) {
            if descriptor.get_column_root_idx(leaf) == position {
                hash_decoding(chunk, &mut hasher);
                hasher.digest(self.hash_bytes(self.stored(chunk)?)?.as_bytes());
            }
        }
        Ok(RawDigest::new(hasher.finish()))
    }

    fn hash_bytes(&self, range: Range<u64>) -> Result<blake3::Hash, SourceError> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let length = READ_SIZE.min(range.end - at);
            buffer.clear();
            self.view.append(&mut buffer, at, length)?;
            hasher.update(&buffer);
            at += length;
        }
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
        let conform = Conform::new(self.view.name(), &self.schema, projection);
        let group = segment.ordinal as usize;
        if group >= self.metadata.metadata().num_row_groups() {
            return match segment.rows {
                Some(0) => Ok(ParquetRows { view: self.view.clone(), reader: None, conform }),
                _ => Err(self.view.changed("its row groups changed")),
            };
        }
        let reader = guarded(|| self.reader(group, projection)).map_err(|reason| damaged(&self.view, reason))?;
        Ok(ParquetRows { view: self.view.clone(), reader: Some(reader), conform })
    }

    fn reader(&self, group: usize, projection: &[usize]) -> ParquetResult<ParquetRecordBatchReader> {
        let columns = self.metadata.parquet_schema();
        let mask = ProjectionMask::roots(columns, projection.iter().map(|&column| self.positions[column]));
        let levels = parquet_to_arrow_field_levels(columns, mask, Some(self.metadata.schema().fields()))?;
        let (file, metadata) = (self.view.clone(), self.metadata.metadata().clone());
        let group = RowGroup { file, metadata, group, takes: Takes::All };
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, &group, BATCH_ROWS, None)
    }
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
        next.map(|batch| self.conform.apply(batch)).transpose()
    }
}
