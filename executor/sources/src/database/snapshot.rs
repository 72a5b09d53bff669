//! Rows as they are kept: a sealed file of Arrow IPC with a batch per segment.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use flowc_adbc::plain_type;
use flowc_columns::canonical;
use flowc_platform::SealedWriter;

use super::cut::{Cut, ROW_CUTS, RowCuts, RowCutter};
use crate::arriving::{Fresh, Kept};
use crate::columnar::conform::{Conform, unknown_columns};
use crate::columnar::convert::converts;
use crate::columnar::ipc::{IpcFile, WrittenBatch, segment_of_batch};
use crate::error::SourceError;
use crate::files::view::View;
use crate::reader::Rows as SegmentRows;
use crate::segment::RawSegment;

/// Takes a segment that is complete.
pub(super) type HandOn<'h> = dyn FnMut(Fresh) -> io::Result<()> + 'h;

/// Rows are compressed if the first segment is then at most this many hundredths of what it is without: all that is read later has to be
/// unpacked.
const WORTHWHILE: usize = 67;

/// Writes rows, in order.
pub(super) struct SnapshotWriter {
    file: File,
    schema: SchemaRef,
    /// Gives the bytes of rows, and has memory for them; none where a column has a type that has none.
    converter: Option<(RowConverter, Rows)>,
    cutter: RowCutter,
    /// The rows of the segment that is not complete.
    pending: Vec<RecordBatch>,
    /// How many segments are complete, and their rows.
    segments: u32,
    rows: u64,
}

type Target = Hashed<io::BufWriter<SealedWriter>>;

/// How batches are written follows from the first one.
enum File {
    /// Nothing is written yet; nothing at all once something has failed.
    New(Option<Box<Target>>),
    Begun(Box<FileWriter<Target>>),
}

impl File {
    /// What batches are written to, of which this is one.
    fn writer(&mut self, batch: &RecordBatch) -> io::Result<&mut FileWriter<Target>> {
        if let Self::New(target) = self {
            let target = target.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let options = IpcWriteOptions::default();
            let packed = options.clone().try_with_compression(Some(CompressionType::LZ4_FRAME));
            let packed = packed.map_err(io::Error::other)?;
            let [small, large] = [&packed, &options].map(|options| encoded_size(batch, options));
            let options = if small? * 100 <= large? * WORTHWHILE { packed } else { options };
            let writer = FileWriter::try_new_with_options(*target, &batch.schema(), options);
            *self = Self::Begun(Box::new(writer.map_err(io::Error::other)?));
        }
        match self {
            Self::Begun(writer) => Ok(writer),
            Self::New(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Bytes of a batch that is encoded so.
fn encoded_size(batch: &RecordBatch, options: &IpcWriteOptions) -> io::Result<usize> {
    let writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options.clone());
    let written = writer.and_then(|mut writer| {
        writer.write(batch)?;
        writer.into_inner()
    });
    Ok(written.map_err(io::Error::other)?.len())
}

/// Counts and hashes what is written.
struct Hashed<W> {
    to: W,
    hasher: blake3::Hasher,
    written: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl SnapshotWriter {
    /// Begins a file with these columns.
    pub(super) fn create(path: &Path, schema: &SchemaRef) -> io::Result<Self> {
        Self::with_cuts(path, schema, ROW_CUTS)
    }

    fn with_cuts(path: &Path, schema: &SchemaRef, cuts: RowCuts) -> io::Result<Self> {
        let to = io::BufWriter::with_capacity(1 << 18, SealedWriter::create(path)?);
        let file = Hashed { to, hasher: blake3::Hasher::new(), written: 0 };
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::supports_fields(&fields).then(|| RowConverter::new(fields)).transpose();
        Ok(Self {
            file: File::New(Some(Box::new(file))),
            schema: schema.clone(),
            converter: converter.map_err(io::Error::other)?.filter(|_| !schema.fields().is_empty()).map(|converter| {
                let rows = converter.empty_rows(0, 0);
                (converter, rows)
            }),
            cutter: RowCutter::new(cuts),
            pending: Vec::new(),
            segments: 0,
            rows: 0,
        })
    }

    /// Adds the rows of a batch to the open segment, and cuts where their content says.
    pub(super) fn push(&mut self, batch: &RecordBatch, hand_on: &mut HandOn<'_>) -> io::Result<()> {
        let Some((converter, rows)) = &mut self.converter else {
            // Without bytes of rows, segments are as they come.
            self.pending.push(batch.clone());
            return self.flush(hand_on);
        };
        rows.clear();
        converter.append(rows, batch.columns()).map_err(io::Error::other)?;
        let mut ends = Vec::new();
        for (row, bytes) in rows.iter().enumerate() {
            match self.cutter.push(bytes.as_ref()) {
                Cut::None => {}
                Cut::Before => ends.push(row),
                Cut::Behind => ends.push(row + 1),
            }
        }
        let mut start = 0;
        for end in ends {
            self.pending.push(batch.slice(start, end - start));
            self.flush(hand_on)?;
            start = end;
        }
        if start < batch.num_rows() {
            self.pending.push(batch.slice(start, batch.num_rows() - start));
        }
        Ok(())
    }

    /// Ends a segment. Equal rows have equal bytes, however they came.
    fn flush(&mut self, hand_on: &mut HandOn<'_>) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let whole = match &pending[..] {
            [whole] => whole.clone(),
            pieces => concat_batches(&self.schema, pieces).map_err(io::Error::other)?,
        };
        if whole.num_rows() == 0 {
            return Ok(());
        }
        let columns: Result<Vec<ArrayRef>, _> = whole.columns().iter().map(canonical).collect();
        let columns = columns.map_err(io::Error::other)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(io::Error::other)?;
        let writer = self.file.writer(&batch)?;
        let start = writer.get_ref().written;
        writer.get_mut().hasher.reset();
        writer.write(&batch).map_err(io::Error::other)?;
        let Hashed { hasher, written, .. } = writer.get_ref();
        let written = WrittenBatch { place: start..*written, hash: hasher.finalize(), rows: batch.num_rows() as u64 };
        let raw = segment_of_batch(&self.schema, self.segments, Some(&written));
        let before = self.rows;
        self.segments = self.segments.checked_add(1).ok_or_else(|| io::Error::other("too many segments"))?;
        self.rows += written.rows;
        hand_on(Fresh { raw, batch, before })
    }

    /// Makes the file appear; gives the bytes of its content.
    pub(super) fn finish(mut self, hand_on: &mut HandOn<'_>) -> io::Result<u64> {
        self.flush(hand_on)?;
        if self.segments == 0 {
            let none = RecordBatch::new_empty(self.schema.clone());
            self.file.writer(&none)?;
            hand_on(Fresh { raw: segment_of_batch(&self.schema, 0, None), batch: none, before: 0 })?;
        }
        let File::Begun(writer) = self.file else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let Hashed { to, written, .. } = writer.into_inner().map_err(io::Error::other)?;
        to.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        Ok(written)
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
    of_view(View::of_sealed(path, name)?, schema)
}

/// What is kept, as it was found to be as it was written.
pub(super) fn of_view(view: View, schema: &SchemaRef) -> Result<(IpcFile, View), SourceError> {
    Ok((IpcFile::of_batches(view.clone(), schema.clone())?, view))
}

/// Rows of a part that are on their way into a file.
pub(super) struct ArrivingRows {
    /// The part's name.
    pub(super) name: String,
    /// The columns that the database gives.
    pub(super) found: SchemaRef,
    /// The columns of the source.
    pub(super) wanted: SchemaRef,
    /// The file.
    pub(super) place: PathBuf,
}

impl ArrivingRows {
    /// Whether the digests of segments can be told from what is written alone.
    pub(super) fn may_be_handed_on(&self) -> bool {
        !self.found.flattened_fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..)))
    }
}

impl Kept for ArrivingRows {
    fn unknown(&self) -> Vec<String> {
        unknown_columns(&self.found, &self.wanted)
    }

    fn at_hand(&self, batch: RecordBatch, before: u64, projection: &[usize]) -> Result<SegmentRows, SourceError> {
        let mut conform = Conform::new(&self.name, &self.wanted, projection, before);
        Ok(SegmentRows::One(Some(conform.apply(&batch)?).filter(|batch| batch.num_rows() > 0)))
    }

    fn kept(&self, segment: &RawSegment, projection: &[usize]) -> Result<SegmentRows, SourceError> {
        let (kept, _) = open(&self.place, &self.name, &self.wanted)?;
        Ok(SegmentRows::Ipc(Box::new(kept.read(segment, projection)?)))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

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
        let mut handed = Vec::new();
        let mut hand_on = |segment: Fresh| {
            handed.push(segment);
            Ok(())
        };
        rows.chunks(size).for_each(|rows| writer.push(&batch(rows), &mut hand_on).unwrap());
        let bytes = writer.finish(&mut hand_on).unwrap();
        let (file, view) = open(&path, "rows", &schema).unwrap();
        assert_eq!(view.length(), bytes);
        let segments: Vec<_> = file.segments().map(Result::unwrap).collect();
        // What is handed on is what will be read.
        assert_eq!(handed.iter().map(|segment| segment.raw.clone()).collect::<Vec<_>>(), segments);
        let mut before = 0;
        for (Fresh { batch, before: handed, .. }, segment) in handed.iter().zip(&segments) {
            assert_eq!(*handed, before);
            before += batch.num_rows() as u64;
            let mut kept = file.read(segment, &[0, 1]).unwrap();
            assert_eq!(kept.batch().unwrap().unwrap_or_else(|| RecordBatch::new_empty(schema.clone())), *batch);
        }
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
    fn rows_are_compressed_where_that_saves_a_third() {
        let folder = tempfile::tempdir().unwrap();
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let kept = |name: &str, text: &dyn Fn(u64) -> String| {
            let numbers = (0..5000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let texts = StringArray::from_iter_values(numbers.clone().map(text));
            let plain = 5000 * 12 + texts.value_data().len();
            let numbers = Int64Array::from_iter_values(numbers.map(u64::cast_signed));
            let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(numbers), Arc::new(texts)]).unwrap();
            let path = folder.path().join(name);
            let mut writer = SnapshotWriter::create(&path, &schema).unwrap();
            writer.push(&batch, &mut |_| Ok(())).unwrap();
            let bytes = writer.finish(&mut |_| Ok(())).unwrap();
            let (file, _) = open(&path, name, &schema).unwrap();
            let segment = file.segments().next().unwrap().unwrap();
            assert_eq!(file.read(&segment, &[0, 1]).unwrap().batch().unwrap().unwrap(), batch);
            bytes as f64 / plain as f64
        };
        assert!(kept("numbers", &|n| format!("{n:x}")) > 1.0);
        assert!(kept("words", &|_| "the same words again and again".to_owned()) < 0.5);
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
    fn segments_of_dictionaries_are_not_handed_on() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        for (data_type, may) in [(DataType::Utf8, true), (dictionary, false)] {
            let found = Arc::new(Schema::new(vec![Field::new("t", data_type, true)]));
            let (wanted, place, name) = (found.clone(), PathBuf::new(), String::new());
            assert_eq!(ArrivingRows { name, found, wanted, place }.may_be_handed_on(), may);
        }
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let schema = batch(&[]).schema();
        SnapshotWriter::create(&path, &schema).unwrap().finish(&mut |_| Ok(())).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path, "rows", &schema).is_err());
    }
}
