//! Object container files of Avro: a schema, and blocks of records.
//!
//! Blocks are unpacked here, so that nothing claims more than its file has bytes for. `arrow-avro` is then given the records as one
//! block that is not compressed and claims records without end. So what it gives after those that there are tells whether bytes are left.

use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::AvroSchema;
use arrow_schema::{ArrowError, SchemaRef};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use flowc_platform::guarded;

use super::columns::{columns, native, plain, said};
use super::values::to_column;
use crate::fault::SchemaError;

/// What a container file begins with.
pub const MAGIC: [u8; 4] = *b"Obj\x01";
/// Between blocks, and after the header.
pub const SYNC: usize = 16;
/// More than a block of any writer has: a block is to fit into memory, packed and unpacked.
const MOST_BLOCK: u64 = 1 << 30;
/// More bytes than a number of 64 bits takes.
const MOST_VARINT: usize = 10;

/// How the records of a block are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Blocks are not compressed.
    Null,
    /// Deflate, without a header.
    Deflate,
    /// Snappy, with a checksum behind it.
    Snappy,
    /// Zstandard.
    Zstandard,
}

/// What a container file says before its blocks.
#[derive(Clone, Debug)]
pub struct Header {
    /// The schema in which its records were written, as JSON.
    pub schema: String,
    /// How its blocks are compressed.
    pub codec: Codec,
    /// What follows each block.
    pub sync: [u8; SYNC],
    /// How many bytes the header has.
    pub length: u64,
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// How many records it has.
    pub records: u64,
    /// How many bytes they have, compressed.
    pub size: u64,
    /// How many bytes these numbers have.
    pub length: u64,
}

/// Why a container file can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// Bytes are missing.
    #[error("it ends too early")]
    Truncated,
    /// It is none, or damaged.
    #[error("{0}")]
    Invalid(String),
    /// It is compressed by what is not read here.
    #[error("its blocks are compressed with {0}, which is not read; write it with null, deflate, snappy or zstandard")]
    Codec(String),
    /// Its schema gives no columns.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl ContainerError {
    fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

/// Takes bytes from a slice.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], ContainerError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ContainerError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number in zigzag form, seven bits a byte.
    fn long(&mut self) -> Result<i64, ContainerError> {
        let mut number = 0u64;
        for place in 0..MOST_VARINT {
            let [byte] = self.take(1)? else { return Err(ContainerError::Truncated) };
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(ContainerError::invalid("a number in it has more than 64 bits"))
    }

    fn count(&mut self, what: &str) -> Result<u64, ContainerError> {
        let count = self.long()?;
        u64::try_from(count).map_err(|_| ContainerError::invalid(format!("it has {count} {what}")))
    }

    fn bytes(&mut self) -> Result<&'b [u8], ContainerError> {
        let length = self.count("bytes")?;
        self.take(usize::try_from(length).map_err(|_| ContainerError::Truncated)?)
    }
}

impl Header {
    /// Reads the header from the begin of a file. [`ContainerError::Truncated`] may mean that more bytes are needed.
    ///
    /// # Errors
    /// If the bytes are none, or the file is compressed by what is not read here.
    pub fn parse(file: &[u8]) -> Result<Self, ContainerError> {
        let mut bytes = Bytes(file);
        if !MAGIC.starts_with(&file[..file.len().min(MAGIC.len())]) {
            return Err(ContainerError::invalid("it does not begin as Avro's container files do"));
        }
        bytes.take(MAGIC.len())?;
        let (mut schema, mut codec) = (None, Codec::Null);
        loop {
            let entries = match bytes.long()? {
                0 => break,
                // The size of the entries follows, for those who skip them.
                entries @ ..0 => bytes.long().map(|_| entries.unsigned_abs())?,
                entries => entries.unsigned_abs(),
            };
            for _ in 0..entries {
                let (name, value) = (bytes.bytes()?, bytes.bytes()?);
                match name {
                    b"avro.schema" => schema = Some(String::from_utf8_lossy(value).into_owned()),
                    b"avro.codec" => codec = Codec::named(value)?,
                    _ => {}
                }
            }
        }
        let mut sync = [0; SYNC];
        sync.copy_from_slice(bytes.take(SYNC)?);
        let length = (file.len() - bytes.0.len()) as u64;
        let schema = schema.ok_or_else(|| ContainerError::invalid("its header has no schema"))?;
        Ok(Self { schema, codec, sync, length })
    }

    /// The columns of its records.
    ///
    /// # Errors
    /// If the schema is no schema of a record, or has a field that no column holds.
    pub fn columns(&self) -> Result<SchemaRef, ContainerError> {
        Ok(columns(&self.schema)?)
    }
}

impl BlockHead {
    /// The most bytes that it has.
    pub const MOST: u64 = 2 * MOST_VARINT as u64;

    /// Reads it from where a block begins.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn parse(block: &[u8]) -> Result<Self, ContainerError> {
        let mut bytes = Bytes(block);
        let (records, size) = (bytes.count("records in a block")?, bytes.count("bytes in a block")?);
        if size > MOST_BLOCK {
            return Err(ContainerError::invalid(format!("a block of it has {size} bytes, which is more than 1 GiB")));
        }
        Ok(Self { records, size, length: (block.len() - bytes.0.len()) as u64 })
    }
}

impl Codec {
    fn named(name: &[u8]) -> Result<Self, ContainerError> {
        match name {
            b"null" | b"" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(ContainerError::Codec(String::from_utf8_lossy(other).into_owned())),
        }
    }

    /// The records of a block, not compressed, behind those that are there.
    ///
    /// # Errors
    /// If the block is damaged, or unpacks to more than a block may have.
    pub fn unpack(self, block: &[u8], records: &mut Vec<u8>) -> Result<(), ContainerError> {
        let damaged = |error: std::io::Error| ContainerError::invalid(format!("a block does not unpack: {error}"));
        match self {
            Self::Null => {
                records.extend_from_slice(block);
                Ok(())
            }
            Self::Deflate => read_all(DeflateDecoder::new(block), records).map_err(damaged),
            Self::Zstandard => {
                let decoder = zstd::Decoder::new(block).map_err(damaged)?;
                read_all(decoder, records).map_err(damaged)
            }
            Self::Snappy => {
                let failed = |error: snap::Error| ContainerError::invalid(format!("a block does not unpack: {error}"));
                let (packed, sum) = block.split_last_chunk::<4>().ok_or(ContainerError::Truncated)?;
                if snap::raw::decompress_len(packed).map_err(failed)? as u64 > MOST_BLOCK {
                    return Err(ContainerError::invalid("a block unpacks to more than 1 GiB"));
                }
                let plain = snap::raw::Decoder::new().decompress_vec(packed).map_err(failed)?;
                let mut crc = Crc::new();
                crc.update(&plain);
                if crc.sum() != u32::from_be_bytes(*sum) {
                    return Err(ContainerError::invalid("the checksum of a block differs"));
                }
                records.extend_from_slice(&plain);
                Ok(())
            }
        }
    }
}

fn read_all(from: impl Read, records: &mut Vec<u8>) -> std::io::Result<()> {
    match from.take(MOST_BLOCK + 1).read_to_end(records)? as u64 > MOST_BLOCK {
        true => Err(std::io::Error::other("it has more than 1 GiB")),
        false => Ok(()),
    }
}

/// Decodes records of a container file.
pub struct ContainerDecoder {
    /// In which they were written, as JSON.
    schema: String,
    /// Which of the schema's fields are read.
    fields: Vec<usize>,
    /// These, as `arrow-avro` has them.
    native: SchemaRef,
    /// These, as they are given out.
    read: SchemaRef,
}

impl ContainerDecoder {
    /// A decoder of some of the columns, ascending.
    ///
    /// # Errors
    /// If the schema gives no columns.
    pub fn new(header: &Header, projection: &[usize]) -> Result<Self, ContainerError> {
        let fields = if projection.is_empty() { vec![0] } else { projection.to_vec() };
        let of = |schema: SchemaRef| schema.project(&fields).map(Arc::new);
        let invalid = |error: ArrowError| ContainerError::invalid(said(&error));
        let (all, native) = (columns(&header.schema)?, native(&header.schema)?);
        let (read, native) = (of(all).map_err(invalid)?, of(native).map_err(invalid)?);
        Ok(Self { schema: header.schema.clone(), fields, native, read })
    }

    /// The rows of this many records, which are all that the bytes have.
    ///
    /// # Errors
    /// If the bytes are no records of the schema, or not as many.
    pub fn decode(&self, records: &[u8], count: u64) -> Result<RecordBatch, ContainerError> {
        let rows = usize::try_from(count).ok().filter(|&count| count <= records.len());
        let rows = rows.ok_or_else(|| {
            ContainerError::invalid(format!("a block claims {count} records, and has {} bytes", records.len()))
        })?;
        if rows == 0 {
            return match records {
                [] => Ok(RecordBatch::new_empty(self.read.clone())),
                _ => Err(ContainerError::invalid("bytes follow the last record of a block")),
            };
        }
        let decoded = guarded(|| self.decode_rows(records, rows)).map_err(ContainerError::Invalid)?;
        decoded.map_err(|error| ContainerError::invalid(said(&error)))
    }

    fn decode_rows(&self, records: &[u8], rows: usize) -> Result<RecordBatch, ArrowError> {
        let schema = plain(&self.schema)?;
        let builder = ReaderBuilder::new().with_batch_size(rows).with_tz(arrow_avro::codec::Tz::Utc);
        let builder = builder.with_reader_schema(AvroSchema::new(schema.clone())).with_projection(self.fields.clone());
        let mut reader = builder.build(Cursor::new(uncompressed(&schema, records)))?;
        let batch = reader.next().unwrap_or_else(|| Ok(RecordBatch::new_empty(self.native.clone())))?;
        if batch.num_rows() != rows || reader.next().is_some() {
            return Err(ArrowError::ParseError("bytes follow the last record of a block".to_owned()));
        }
        let columns = batch.columns().iter().zip(self.native.fields()).zip(self.read.fields());
        let columns = columns.map(|((column, native), read)| to_column(column, native, read.data_type()));
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.read.clone(), columns, &options)
    }
}

/// A container file of one block, which claims more records than there can be.
fn uncompressed(schema: &str, records: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    put_long(&mut file, 1);
    put_bytes(&mut file, b"avro.schema");
    put_bytes(&mut file, schema.as_bytes());
    put_long(&mut file, 0);
    file.extend_from_slice(&[0; SYNC]);
    put_long(&mut file, i64::MAX);
    put_bytes(&mut file, records);
    file.extend_from_slice(&[0; SYNC]);
    file
}

/// Adds bytes with their length before them.
pub(super) fn put_bytes(file: &mut Vec<u8>, bytes: &[u8]) {
    put_long(file, bytes.len() as i64);
    file.extend_from_slice(bytes);
}

/// Adds a number in zigzag form, seven bits a byte.
pub(super) fn put_long(file: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        file.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    file.push(rest as u8);
}
