//! Rows as they are kept: a sealed file of Arrow IPC with a batch per segment.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use flowc_adbc::plain_type;
use flowc_columns::canonical;
use flowc_platform::SealedWriter;

use super::cut::{Cut, ROW_CUTS, RowCuts, RowCutter};
use crate::columnar::convert::converts;
use crate::columnar::ipc::IpcFile;
use crate::error::SourceError;
use crate::files::view::View;

/// Writes rows, in order.
pub(super) struct SnapshotWriter {
    writer: FileWriter<io::BufWriter<SealedWriter>>,
    schema: SchemaRef,
    /// Gives the bytes of rows; none where a column has a type that has none.
    converter: Option<RowConverter>,
    cutter: RowCutter,
    /// The rows of the segment that is not complete.
    pending: Vec<RecordBatch>,
}

impl SnapshotWriter {
    /// Begins a file with these columns.
    pub(super) fn create(path: &Path, schema: &SchemaRef) -> io::Result<Self> {
        Self::with_cuts(path, schema, ROW_CUTS)
    }

    fn with_cuts(path: &Path, schema: &SchemaRef, cuts: RowCuts) -> io::Result<Self> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let file = io::BufWriter::with_capacity(1 << 18, SealedWriter::create(path)?);
        let writer = options.and_then(|options| FileWriter::try_new_with_options(file, schema, options));
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::supports_fields(&fields).then(|| RowConverter::new(fields)).transpose();
        Ok(Self {
            writer: writer.map_err(io::Error::other)?,
            schema: schema.clone(),
            converter: converter.map_err(io::Error::other)?.filter(|_| !schema.fields().is_empty()),
            cutter: RowCutter::new(cuts),
            pending: Vec::new(),
        })
    }

    /// Adds the rows of a batch to the open segment, and cuts where their content says.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let Some(converter) = &self.converter else {
            // Without bytes of rows, segments are as they come.
            self.pending.push(batch.clone());
            return self.flush();
        };
        let rows = converter.convert_columns(batch.columns()).map_err(io::Error::other)?;
        let mut start = 0;
        for (row, bytes) in rows.iter().enumerate() {
            let end = match self.cutter.push(bytes.as_ref()) {
                Cut::None => continue,
                Cut::Before => row,
                Cut::Behind => row + 1,
            };
            self.pending.push(batch.slice(start, end - start));
            self.flush()?;
            start = end;
        }
        if start < batch.num_rows() {
            self.pending.push(batch.slice(start, batch.num_rows() - start));
        }
        Ok(())
    }

    /// Ends a segment. Equal rows have equal bytes, however they came.
    fn flush(&mut self) -> io::Result<()> {
        let whole = concat_batches(&self.schema, &self.pending).map_err(io::Error::other)?;
        self.pending.clear();
        if whole.num_rows() == 0 {
            return Ok(());
        }
        let columns: Result<Vec<ArrayRef>, _> = whole.columns().iter().map(canonical).collect();
        let columns = columns.map_err(io::Error::other)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(io::Error::other)
    }

    /// Makes the file appear.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let file = self.writer.into_inner().map_err(io::Error::other)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
    }
}

/// The columns, with the source's types where others do not convert to them: a driver that tells types from values gives some type to a
/// column without any.
pub(super) fn without_values(found: &SchemaRef, wanted: &SchemaRef) -> SchemaRef {
    let field = |found: &Arc<Field>| match wanted.field_with_name(found.name()) {
        Ok(wanted) if !converts(found.data_type(), wanted.data_type()) => {
            Arc::new(Field::new(found.name(), wanted.data_type().clone(), true))
        }
        _ => found.clone(),
    };
    Arc::new(Schema::new(found.fields().iter().map(field).collect::<Vec<_>>()))
}

/// A batch with columns of the types of a schema. What drivers note within types does not count; a column without values is of any type.
pub(super) fn plain(batch: &RecordBatch, schema: &SchemaRef, name: &str) -> Result<RecordBatch, SourceError> {
    let arrow = |error: ArrowError| SourceError::Arrow { file: name.to_owned(), reason: error.to_string() };
    let column = |(column, field): (&ArrayRef, &Arc<Field>)| {
        let (found, wanted) = (column.data_type(), field.data_type());
        if found == wanted {
            Ok(column.clone())
        } else if plain_type(found) == *wanted {
            arrow_cast::cast(column, wanted).map_err(arrow)
        } else if column.null_count() == column.len() {
            Ok(new_null_array(wanted, column.len()))
        } else {
            let (expected, found) = (Box::new(wanted.clone()), Box::new(found.clone()));
            Err(SourceError::TypeDiffers { file: name.to_owned(), column: field.name().clone(), expected, found })
        }
    };
    let columns: Result<Vec<ArrayRef>, SourceError> = batch.columns().iter().zip(schema.fields()).map(column).collect();
    RecordBatch::try_new(schema.clone(), columns?).map_err(arrow)
}

/// Opens what is kept under a path. A file that is damaged is an error.
pub(super) fn open(path: &Path, name: &str, schema: &SchemaRef) -> Result<(IpcFile, View), SourceError> {
    let view = View::of_sealed(path, name)?;
    Ok((IpcFile::of_batches(view.clone(), schema.clone())?, view))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::DataType;

    use super::*;

    const SMALL: RowCuts = RowCuts { least: 400, spread: 400, most: 4000 };

    fn batch(rows: &[i64]) -> RecordBatch {
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)];
        let texts: Vec<Option<String>> = rows.iter().map(|n| (n % 3 > 0).then(|| format!("text {n}"))).collect();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(rows.to_vec())), Arc::new(StringArray::from(texts))];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    /// The digests of the segments of some rows, which come in batches of this many.
    fn digests(rows: &[i64], size: usize) -> Vec<[u8; 32]> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let schema = batch(&[]).schema();
        let mut writer = SnapshotWriter::with_cuts(&path, &schema, SMALL).unwrap();
        rows.chunks(size).for_each(|rows| writer.push(&batch(rows)).unwrap());
        writer.finish().unwrap();
        let (file, _) = open(&path, "rows", &schema).unwrap();
        let segments: Vec<_> = file.segments().map(Result::unwrap).collect();
        assert_eq!(segments.iter().map(|segment| segment.rows.unwrap()).sum::<u64>(), rows.len() as u64);
        segments.iter().map(|segment| *segment.raw.as_bytes()).collect()
    }

    #[test]
    fn segments_depend_on_rows_and_not_on_how_they_come() {
        let rows: Vec<i64> = (0..3000).collect();
        let all = digests(&rows, 3000);
        assert!(all.len() > 20, "{}", all.len());
        for size in [1, 7, 1024] {
            assert_eq!(digests(&rows, size), all, "{size}");
        }
        let more: Vec<i64> = (0..1500).chain([-1]).chain(1500..3000).collect();
        let new = digests(&more, 1024).into_iter().filter(|digest| !all.contains(digest)).count();
        assert!((1..=2).contains(&new), "{new}");
    }

    #[test]
    fn no_rows_are_no_segments_with_rows() {
        assert!(digests(&[], 1).len() <= 1);
    }

    #[test]
    fn a_column_without_values_is_of_any_type() {
        let (found, name) = (batch(&[3]), "rows");
        let wanted = Arc::new(Schema::new(vec![Field::new("t", DataType::Int64, true)]));
        let schema = without_values(&found.schema(), &wanted);
        assert_eq!(schema.field(1).data_type(), &DataType::Int64);
        assert_eq!(plain(&found, &schema, name).unwrap().column(1).null_count(), 1);
        let error = plain(&batch(&[3, 4]), &schema, name).unwrap_err();
        assert!(matches!(error, SourceError::TypeDiffers { column, .. } if column == "t"));
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let schema = batch(&[]).schema();
        SnapshotWriter::create(&path, &schema).unwrap().finish().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path, "rows", &schema).is_err());
    }
}
