//! The records of a block as they are kept: a sealed file of Arrow IPC with a batch per segment.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{ArrayBuilder, BinaryBuilder, Int64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::{ArrowError, DataType, Field};
use flowc_kafka::Record;
use flowc_planner::plan::RecordField;
use flowc_platform::SealedWriter;

use crate::arriving::Fresh;
use crate::log::reading::Reading;
use crate::log::records::{Records, SCHEMA};

/// A segment ends once its keys, values and headers have this many bytes.
const SEGMENT_BYTES: usize = 8 << 20;

/// Takes a segment that is complete.
pub(super) type HandOn<'h> = dyn FnMut(Fresh) -> io::Result<()> + 'h;

/// Writes the records of a block, in order, and hands on its segments.
pub(super) struct BlockWriter {
    writer: FileWriter<io::BufWriter<SealedWriter>>,
    pending: Pending,
    reading: Arc<Reading>,
    /// How many segments are complete, and their records.
    segments: u32,
    records: u64,
}

/// The records of a segment that is not complete.
struct Pending {
    bytes: usize,
    offsets: Int64Builder,
    timestamps: Int64Builder,
    keys: BinaryBuilder,
    values: BinaryBuilder,
    headers: ListBuilder<StructBuilder>,
}

/// How much a segment is made room for.
struct Room {
    records: usize,
    key_bytes: usize,
    value_bytes: usize,
}

impl Pending {
    fn new() -> Self {
        Self::with_room(&Room { records: 1024, key_bytes: 1024, value_bytes: SEGMENT_BYTES })
    }

    fn with_room(room: &Room) -> Self {
        let fields = RecordField::header_fields();
        let builders = vec![Box::new(StringBuilder::new()) as Box<dyn ArrayBuilder>, Box::new(BinaryBuilder::new())];
        let item = Field::new("item", DataType::Struct(fields.clone()), false);
        Self {
            bytes: 0,
            offsets: Int64Builder::with_capacity(room.records),
            timestamps: Int64Builder::with_capacity(room.records),
            keys: BinaryBuilder::with_capacity(room.records, room.key_bytes),
            values: BinaryBuilder::with_capacity(room.records, room.value_bytes),
            headers: ListBuilder::new(StructBuilder::new(fields, builders)).with_field(item),
        }
    }

    fn push(&mut self, record: &Record<'_>) {
        self.offsets.append_value(record.offset);
        self.timestamps.append_option(record.timestamp);
        self.keys.append_option(record.key);
        self.values.append_option(record.value);
        self.bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let (headers, bytes) = (self.headers.values(), &mut self.bytes);
        record.headers.each(&mut |name, value| {
            *bytes += name.len() + value.map_or(0, <[u8]>::len);
            if let Some(names) = headers.field_builder::<StringBuilder>(0) {
                names.append_value(name);
            }
            if let Some(values) = headers.field_builder::<BinaryBuilder>(1) {
                values.append_option(value);
            }
            headers.append(true);
        });
        self.headers.append(true);
    }

    /// The records, and room for as many again, so that nothing moves while it grows.
    fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let a_bit_more = |count: usize| count + count / 16;
        let room = Room {
            records: a_bit_more(self.offsets.len()),
            key_bytes: a_bit_more(self.keys.values_slice().len()),
            value_bytes: a_bit_more(self.values.values_slice().len()),
        };
        let mut full = std::mem::replace(self, Self::with_room(&room));
        full.batch()
    }

    fn batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(self.offsets.finish()),
            Arc::new(self.timestamps.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            Arc::new(self.headers.finish()),
        ];
        RecordBatch::try_new(SCHEMA.clone(), columns)
    }
}

impl BlockWriter {
    /// Begins the file of a block, whose records become rows so.
    pub(super) fn create(path: &Path, reading: Arc<Reading>) -> io::Result<Self> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let file = io::BufWriter::with_capacity(1 << 16, SealedWriter::create(path)?);
        let writer = options.and_then(|options| FileWriter::try_new_with_options(file, &SCHEMA, options));
        let writer = writer.map_err(io::Error::other)?;
        Ok(Self { writer, pending: Pending::new(), reading, segments: 0, records: 0 })
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record<'_>, hand_on: &mut HandOn<'_>) -> io::Result<()> {
        self.pending.push(record);
        if self.pending.bytes >= SEGMENT_BYTES { self.flush(hand_on) } else { Ok(()) }
    }

    /// Adds the records of a batch of another file of the block that lie before an offset.
    pub(super) fn copy(&mut self, batch: &RecordBatch, end: i64, hand_on: &mut HandOn<'_>) -> io::Result<()> {
        let records = Records::of(batch).ok_or_else(|| io::Error::other("the columns of a block are not its own"))?;
        (0..batch.num_rows())
            .filter(|&row| records.offsets.value(row) < end)
            .try_for_each(|row| records.with(row, |record| self.push(record, hand_on)))
    }

    fn flush(&mut self, hand_on: &mut HandOn<'_>) -> io::Result<()> {
        let batch = self.pending.finish().map_err(io::Error::other)?;
        let start = self.written();
        self.writer.write(&batch).map_err(io::Error::other)?;
        let place = start..self.written();
        self.end_segment(place, batch, hand_on)
    }

    fn end_segment(&mut self, place: Range<u64>, batch: RecordBatch, hand_on: &mut HandOn<'_>) -> io::Result<()> {
        let batches = Some(&batch).filter(|batch| batch.num_rows() > 0);
        let raw = self.reading.segment(place, self.segments, batches).map_err(io::Error::other)?;
        let before = self.records;
        self.segments = self.segments.checked_add(1).ok_or_else(|| io::Error::other("too many segments"))?;
        self.records += batch.num_rows() as u64;
        hand_on(Fresh { raw, batch, before })
    }

    /// Bytes so far.
    fn written(&self) -> u64 {
        let buffered = self.writer.get_ref();
        buffered.get_ref().written() + buffered.buffer().len() as u64
    }

    /// Makes the file appear; gives the bytes of its content.
    pub(super) fn finish(mut self, hand_on: &mut HandOn<'_>) -> io::Result<u64> {
        if !self.pending.offsets.is_empty() {
            self.flush(hand_on)?;
        }
        // A block without records is one segment without rows.
        if self.segments == 0 {
            self.end_segment(0..0, RecordBatch::new_empty(SCHEMA.clone()), hand_on)?;
        }
        self.writer.finish().map_err(io::Error::other)?;
        let bytes = self.written();
        let file = self.writer.into_inner().map_err(io::Error::other)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::Schema;
    use flowc_planner::plan::Format;

    use super::*;
    use crate::arriving::Kept;
    use crate::files::view::View;
    use crate::log::file::{ArrivingBlock, BlockFile};
    use crate::log::testing::topic;
    use crate::reader::Rows;
    use crate::testing::spec;

    /// Writes records of these values; each segment that is handed on is the one that the file gives, with the same rows.
    fn segments(values: &[Vec<u8>]) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("block");
        let schema = Arc::new(Schema::new(vec![Field::new("value", DataType::Binary, true)]));
        let reading = Arc::new(Reading::new(&spec(Format::Bytes), &topic(), 0, &schema, None));
        let mut writer = BlockWriter::create(&place, reading.clone()).unwrap();
        let mut handed = Vec::new();
        let mut hand_on = |segment: Fresh| {
            handed.push(segment);
            Ok(())
        };
        for (offset, value) in (7..).zip(values) {
            let record = Record { offset, timestamp: Some(1), key: None, value: Some(value), headers: &() };
            writer.push(&record, &mut hand_on).unwrap();
        }
        let bytes = writer.finish(&mut hand_on).unwrap();
        let view = View::of_sealed(&place, "block").unwrap();
        assert_eq!(view.length(), bytes);
        let block = BlockFile::of_view(view, reading.clone()).unwrap();
        let arriving = ArrivingBlock { name: "block".to_owned(), reading, place };
        let kept: Vec<_> = block.segments().map(Result::unwrap).collect();
        assert_eq!(handed.iter().map(|segment| segment.raw.clone()).collect::<Vec<_>>(), kept);
        let mut before = 0;
        let rows = |Fresh { raw, batch, before: handed }: Fresh| {
            assert_eq!(handed, before);
            before += batch.num_rows() as u64;
            let count = batch.num_rows();
            let [at_hand, kept] = [arriving.at_hand(batch, handed, &[0]), arriving.kept(&raw, &[0])].map(|rows| {
                let Rows::Records(mut rows) = rows.unwrap() else { panic!("no records") };
                rows.batch().unwrap()
            });
            assert_eq!(at_hand, kept);
            count
        };
        handed.into_iter().map(rows).collect()
    }

    #[test]
    fn what_is_handed_on_is_what_the_file_gives() {
        let large = |byte| vec![byte; SEGMENT_BYTES / 2];
        assert_eq!(segments(&[]), [0]);
        assert_eq!(segments(&[b"one".to_vec(), Vec::new()]), [2]);
        assert_eq!(segments(&[large(1), large(2), large(3)]), [2, 1]);
    }
}
