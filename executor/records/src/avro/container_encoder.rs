//! Rows to a container file of Avro.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use flate2::write::DeflateEncoder;

use super::container::{Codec, MAGIC, SYNC, put_bytes, put_long};
use super::encode::AvroEncoder;
use crate::fault::{SchemaError, ValueError};

/// Bytes of records from which on a block is written: as much as other writers put into one.
const BLOCK: usize = 64 << 10;

/// Encodes rows as a container file. Where blocks end follows from the records alone, and so does all else: equal rows give equal
/// bytes, however they are cut into batches.
pub struct ContainerEncoder {
    records: AvroEncoder,
    codec: Codec,
    sync: [u8; SYNC],
    /// Records that are in no block yet.
    open: Vec<u8>,
    /// How many they are.
    count: i64,
    /// What was not taken out yet.
    out: Vec<u8>,
}

/// Why a row has no place in a container file.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The schema has no room for a value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A block can't be compressed.
    #[error("a block can't be compressed: {0}")]
    Pack(#[from] std::io::Error),
}

impl ContainerEncoder {
    /// A file of rows with these columns, as records of a schema. Its header is there at once.
    ///
    /// # Errors
    /// If columns and fields of the schema do not fit together.
    pub fn new(schema: &str, codec: Codec, rows: &Schema) -> Result<Self, SchemaError> {
        let records = AvroEncoder::new(schema, None, rows)?;
        let mut out = MAGIC.to_vec();
        put_long(&mut out, 2);
        put_bytes(&mut out, b"avro.schema");
        put_bytes(&mut out, schema.as_bytes());
        put_bytes(&mut out, b"avro.codec");
        put_bytes(&mut out, codec.name().as_bytes());
        put_long(&mut out, 0);
        // Others take a random one. It only has to be rare among records.
        let mut sync = [0; SYNC];
        sync.copy_from_slice(&blake3::hash(&out).as_bytes()[..SYNC]);
        out.extend_from_slice(&sync);
        Ok(Self { records, codec, sync, open: Vec::new(), count: 0, out })
    }

    /// Adds the rows of a batch to the open block.
    ///
    /// # Errors
    /// The first value that the schema has no room for, or a block that can't be compressed.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        let Self { records, codec, sync, open, count, out } = self;
        let mut packed = Ok(());
        records.encode(batch, &mut |record| {
            open.extend_from_slice(record);
            *count += 1;
            if open.len() >= BLOCK && packed.is_ok() {
                packed = end_block(*codec, sync, open, count, out);
            }
        })?;
        Ok(packed?)
    }

    /// Takes out the bytes so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The rest of the file.
    ///
    /// # Errors
    /// If the last block can't be compressed.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        if self.count > 0 {
            end_block(self.codec, &self.sync, &mut self.open, &mut self.count, &mut self.out)?;
        }
        Ok(self.out)
    }
}

/// Moves the open records into a block.
fn end_block(
    codec: Codec,
    sync: &[u8; SYNC],
    open: &mut Vec<u8>,
    count: &mut i64,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    put_long(out, std::mem::take(count));
    put_bytes(out, &codec.pack(open)?);
    out.extend_from_slice(sync);
    open.clear();
    Ok(())
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Zstandard => "zstandard",
        }
    }

    /// The bytes of a block, compressed.
    fn pack(self, records: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Null => Ok(records.to_vec()),
            Self::Deflate => {
                let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(records)?;
                encoder.finish()
            }
            Self::Snappy => {
                let mut packed = snap::raw::Encoder::new().compress_vec(records).map_err(std::io::Error::other)?;
                let mut crc = flate2::Crc::new();
                crc.update(records);
                packed.extend_from_slice(&crc.sum().to_be_bytes());
                Ok(packed)
            }
            Self::Zstandard => zstd::bulk::compress(records, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::super::container::{BlockHead, ContainerDecoder, Header};
    use super::super::schema_of::schema_of_columns;
    use super::*;

    fn rows(count: i64) -> RecordBatch {
        let texts: StringArray = (0..count).map(|n| (n % 5 > 0).then(|| format!("text {n}"))).collect();
        let columns: [(&str, ArrayRef, bool); 2] =
            [("n", Arc::new(Int64Array::from_iter_values(0..count)), false), ("t", Arc::new(texts), true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    /// Writes rows, so many at once.
    fn file(rows: &RecordBatch, codec: Codec, at_once: usize) -> Vec<u8> {
        let schema = schema_of_columns(&rows.schema(), "row").unwrap();
        let mut encoder = ContainerEncoder::new(&schema, codec, &rows.schema()).unwrap();
        let mut bytes = encoder.take();
        for first in (0..rows.num_rows()).step_by(at_once) {
            encoder.encode(&rows.slice(first, at_once.min(rows.num_rows() - first))).unwrap();
            bytes.extend(encoder.take());
        }
        bytes.extend(encoder.finish().unwrap());
        bytes
    }

    /// The rows of each block.
    fn blocks(file: &[u8]) -> Vec<RecordBatch> {
        let header = Header::parse(file).unwrap();
        let decoder = ContainerDecoder::new(&header, &[0, 1]).unwrap();
        let (mut rest, mut blocks) = (&file[header.length as usize..], Vec::new());
        while !rest.is_empty() {
            let head = BlockHead::parse(rest).unwrap();
            let (block, behind) = rest[head.length as usize..].split_at(head.size as usize);
            let mut records = Vec::new();
            header.codec.unpack(block, &mut records).unwrap();
            blocks.push(decoder.decode(&records, head.records).unwrap());
            assert_eq!(behind[..SYNC], header.sync);
            rest = &behind[SYNC..];
        }
        blocks
    }

    #[test]
    fn rows_come_back_from_blocks_that_do_not_depend_on_batches() {
        for codec in [Codec::Null, Codec::Deflate, Codec::Snappy, Codec::Zstandard] {
            let rows = rows(20_000);
            let whole = file(&rows, codec, 20_000);
            assert_eq!(whole, file(&rows, codec, 999), "{codec:?}");
            let blocks = blocks(&whole);
            assert!(blocks.len() > 2, "{codec:?}: {} blocks", blocks.len());
            let mut first = 0;
            for block in blocks {
                let due = rows.slice(first, block.num_rows());
                assert_eq!(block.columns(), due.columns(), "{codec:?}");
                first += block.num_rows();
            }
            assert_eq!(first, rows.num_rows());
        }
    }

    #[test]
    fn a_file_without_rows_has_a_schema_and_no_block() {
        let bytes = file(&rows(0), Codec::Deflate, 1);
        assert!(blocks(&bytes).is_empty());
        assert_eq!(Header::parse(&bytes).unwrap().columns().unwrap().fields(), rows(0).schema().fields());
    }
}
