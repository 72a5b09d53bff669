//! A data file of a table: a Parquet file, read as the table says.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use flowc_delta::Column;
use flowc_planner::key::{KeyHasher, RawDigest};

use super::fit::{Fit, find};
use crate::columnar::convert::{convert, converts};
use crate::columnar::parquet::{ParquetFile, ParquetRows};
use crate::error::SourceError;
use crate::fields::project;
use crate::files::view::View;
use crate::segment::RawSegment;

/// An open data file.
pub(crate) struct TableFile {
    parquet: ParquetFile,
    name: String,
    /// The columns that the file holds, in the types of the source.
    schema: SchemaRef,
    /// Of these columns.
    fits: Vec<Fit>,
    /// The numbers of the rows that are deleted, ascending.
    deleted: Arc<[u64]>,
    /// Columns of the table that the source has not.
    unknown: Vec<String>,
}

/// The table's column for a column of the source.
///
/// # Errors
/// If the table has none, or one of another type.
pub(super) fn column<'t>(file: &str, columns: &'t [Column], field: &Field) -> Result<&'t Column, SourceError> {
    let (file, column) = (file.to_owned(), field.name().clone());
    let Some(own) = columns.iter().find(|own| own.field.name() == field.name()) else {
        let found = columns.iter().map(|own| own.field.name().clone()).collect();
        return Err(SourceError::MissingColumn { file, column, found });
    };
    if !converts(own.field.data_type(), field.data_type()) {
        let (expected, found) = (Box::new(field.data_type().clone()), Box::new(own.field.data_type().clone()));
        return Err(SourceError::TypeDiffers { file, column, expected, found });
    }
    Ok(own)
}

impl TableFile {
    /// Opens a file. Tells also which columns of the source are read of it: those that the table does not tell.
    pub(crate) fn open(
        view: View,
        columns: &[Column],
        schema: &SchemaRef,
        deleted: Arc<[u64]>,
        is_told: impl Fn(&Column) -> bool,
    ) -> Result<(Self, Vec<bool>), SourceError> {
        let name = view.name().to_owned();
        let (mut fits, mut held, mut own) = (Vec::new(), Vec::new(), Vec::new());
        let parquet = ParquetFile::open_as(view, |found| {
            for (place, field) in schema.fields().iter().enumerate() {
                let column = column(&name, columns, field)?;
                let at = find(column, found.fields()).filter(|_| !is_told(column));
                held.push(at.is_some());
                if let Some(at) = at {
                    fits.push(Fit::new(column, found.field(at)));
                    own.push(place);
                }
            }
            Ok(Arc::new(Schema::new(fits.iter().map(|fit| fit.stored.clone()).collect::<Vec<_>>())))
        })?;
        let rows = parquet.rows();
        if deleted.last().is_some_and(|&last| last >= rows) {
            let reason = format!("it has {rows} rows, and the table's log says that one beyond them is deleted");
            return Err(SourceError::Damaged { file: name, format: "Parquet", reason });
        }
        let unknown = columns.iter().map(|column| column.field.name()).filter(|name| schema.index_of(name).is_err());
        let unknown = unknown.cloned().collect();
        Ok((Self { parquet, name, schema: project(schema, &own), fits, deleted, unknown }, held))
    }

    /// Columns of the table that the source has not.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// One per row group, known by what the file and the table say of its rows.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<RawSegment, SourceError>> + Send + '_ {
        let mut before = 0;
        self.parquet.segments().map(move |segment| {
            let segment = segment?;
            let first = before;
            before += segment.rows.unwrap_or(0);
            Ok(self.of_table(segment, self.deleted_within(first, before), first))
        })
    }

    /// The deleted rows of a row group, by their numbers in the file.
    fn deleted_within(&self, first: u64, end: u64) -> &[u64] {
        let place = |row: u64| self.deleted.partition_point(|deleted| *deleted < row);
        &self.deleted[place(first)..place(end)]
    }

    fn of_table(&self, segment: RawSegment, deleted: &[u64], first: u64) -> RawSegment {
        let shaped = |digest: RawDigest, fit: Option<[u8; 32]>| {
            if deleted.is_empty() && fit.is_none() {
                return digest;
            }
            let mut hasher = KeyHasher::new("flowc delta rows 1");
            hasher.digest(digest.as_bytes()).number(u64::from(fit.is_some())).digest(&fit.unwrap_or_default());
            for row in deleted {
                hasher.number(row - first);
            }
            RawDigest::new(hasher.finish())
        };
        let rows = segment.rows.map(|rows| rows - deleted.len() as u64);
        let own = segment.columns.into_iter().flatten();
        let columns: Vec<RawDigest> = own.zip(&self.fits).map(|(digest, fit)| shaped(digest, fit.digest())).collect();
        let mut hasher = KeyHasher::new("flowc delta segment 1");
        hasher.number(rows.unwrap_or(0));
        for column in &columns {
            hasher.digest(column.as_bytes());
        }
        RawSegment { rows, raw: RawDigest::new(hasher.finish()), columns: Some(columns), ..segment }
    }

    /// Reads the rows of a segment.
    pub(crate) fn read(&self, segment: &RawSegment, projection: &[usize]) -> Result<TableRows, SourceError> {
        let (first, end) = self.parquet.place_of(segment.ordinal);
        let deleted = self.deleted_within(first, end);
        let rows = RawSegment { rows: Some(end - first), ..segment.clone() };
        let fits = projection.iter().map(|&column| self.fits[column].clone()).collect();
        let schema = project(&self.schema, projection);
        let rows = self.parquet.read(&rows, projection)?;
        Ok(TableRows { rows, name: self.name.clone(), schema, fits, deleted: deleted.into(), at: first })
    }
}

/// The rows of a segment.
pub(crate) struct TableRows {
    rows: ParquetRows,
    name: String,
    schema: SchemaRef,
    fits: Vec<Fit>,
    /// Of the row group, by their numbers in the file.
    deleted: Arc<[u64]>,
    /// The number of the next row.
    at: u64,
}

impl TableRows {
    /// The next batch.
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        let Some(batch) = self.rows.batch()? else { return Ok(None) };
        let first = self.at;
        self.at += batch.num_rows() as u64;
        let made = self.kept(batch, first).and_then(|kept| self.made(&kept)).map(Some);
        made.map_err(|error| SourceError::Arrow { file: self.name.clone(), reason: error.to_string() })
    }

    /// The rows that are not deleted.
    fn kept(&self, batch: RecordBatch, first: u64) -> Result<RecordBatch, ArrowError> {
        let place = |row: u64| self.deleted.partition_point(|deleted| *deleted < row);
        let deleted = &self.deleted[place(first)..place(self.at)];
        if deleted.is_empty() {
            return Ok(batch);
        }
        let mut kept = vec![true; batch.num_rows()];
        deleted.iter().for_each(|row| kept[(row - first) as usize] = false);
        filter_record_batch(&batch, &BooleanArray::from(kept))
    }

    /// The batch in the columns of the source.
    fn made(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let of =
            |((column, fit), field): ((&ArrayRef, &Fit), &Arc<Field>)| convert(&fit.apply(column)?, field.data_type());
        let columns = batch.columns().iter().zip(&self.fits).zip(self.schema.fields());
        let columns = columns.map(of).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}
