//! What flowc and a driver's process say to each other: frames over a Unix socket.
//!
//! A frame is a byte for its kind, eight for its length, and its content: a message as JSON, or rows as a stream of Arrow IPC that stands for
//! itself. Rows begin with a frame that has their schema and no rows, and end with one that is empty.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::DatabaseError;

/// Bytes of the longest frame.
const LONGEST: u64 = 1 << 33;

/// Bytes of memory that a frame gets before its content has come.
const AT_ONCE: u64 = 1 << 26;

const MESSAGE: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;

/// What flowc asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// To load the driver, and to connect.
    Open {
        library: PathBuf,
        entrypoint: Option<String>,
        options: Vec<(String, String)>,
        variables: Vec<(String, String)>,
    },
    /// The columns of a query. A frame with a row of parameters follows if `bound`.
    Columns { sql: String, bound: bool },
    /// The rows of a query.
    Query { sql: String, bound: bool },
    /// To do what a statement says.
    Execute { sql: String, bound: bool },
    /// To add the rows that follow to a table.
    Ingest(Ingest),
    /// To begin a transaction.
    Begin,
    /// Commits the open transaction.
    Commit,
}

/// How rows are added to a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ingest {
    /// The database's schema, if it is named.
    pub schema: Option<String>,
    /// The table's name.
    pub table: String,
    /// Whether the table is made.
    pub mode: IngestMode,
    /// Whether the table goes with the connection.
    pub temporary: bool,
}

/// Whether the table is made to which rows are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IngestMode {
    /// It is made; there is none.
    Create,
    /// The table has to exist; rows are added to it.
    Append,
}

/// What the process answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is connected, to a database of this vendor.
    Opened { vendor: String },
    /// It is done; so many rows were written, where the driver tells.
    Done { rows: Option<i64> },
    /// Rows follow, and a message behind them.
    Rows,
    /// The driver has refused.
    Refused { message: String, sqlstate: Option<String> },
    /// A row of a query, from 1, has a text that is not UTF-8.
    NotUtf8 { column: String, row: u64 },
    /// The driver does not give what it says.
    Lies { reason: String },
}

/// What one process sends the other at a time.
pub(crate) enum Frame {
    Message(Vec<u8>),
    Rows(Vec<u8>),
    End,
}

/// Reads a frame.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame that is too long"));
    }
    let mut content = Vec::with_capacity(usize::try_from(length.min(AT_ONCE)).unwrap_or_default());
    if from.take(length).read_to_end(&mut content)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match kind {
        MESSAGE => Ok(Frame::Message(content)),
        ROWS => Ok(Frame::Rows(content)),
        END => Ok(Frame::End),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of no known kind")),
    }
}

fn write(to: &mut impl Write, kind: u8, content: &[u8]) -> io::Result<()> {
    let mut head = [0; 9];
    head[0] = kind;
    head[1..].copy_from_slice(&(content.len() as u64).to_le_bytes());
    to.write_all(&head)?;
    to.write_all(content)
}

/// Sends a message.
pub(crate) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    write(to, MESSAGE, &serde_json::to_vec(message)?)?;
    to.flush()
}

/// Reads a message.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    match read(from)? {
        Frame::Message(content) => Ok(serde_json::from_slice(&content)?),
        Frame::Rows(_) | Frame::End => Err(io::Error::new(io::ErrorKind::InvalidData, "rows in place of a message")),
    }
}

/// Sends rows that are encoded.
pub(crate) fn send_encoded(to: &mut impl Write, rows: &[u8]) -> io::Result<()> {
    write(to, ROWS, rows)
}

/// Tells the other process that no more rows follow.
pub(crate) fn send_end(to: &mut impl Write) -> io::Result<()> {
    write(to, END, &[])?;
    to.flush()
}

/// The content of a frame with these rows, or with their schema alone.
pub(crate) fn encoded(schema: &SchemaRef, batch: Option<&RecordBatch>) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    batch.map_or(Ok(()), |batch| writer.write(batch))?;
    writer.into_inner()
}

/// The content of a frame without its first rows.
///
/// # Errors
/// If the content is that of no frame.
pub fn sliced(content: Vec<u8>, first: usize) -> Result<Vec<u8>, DatabaseError> {
    let refused = |error: ArrowError| DatabaseError::Refused { message: error.to_string(), sqlstate: None };
    let (schema, batch) = decoded(content).map_err(refused)?;
    let batch = batch.map(|batch| batch.slice(first, batch.num_rows().saturating_sub(first)));
    encoded(&schema, batch.as_ref()).map_err(refused)
}

/// The schema and the rows of a frame.
pub(crate) fn decoded(content: Vec<u8>) -> Result<(SchemaRef, Option<RecordBatch>), ArrowError> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from_vec(content);
    let mut batch = None;
    while !buffer.is_empty() && batch.is_none() {
        batch = decoder.decode(&mut buffer)?;
    }
    let schema = decoder.schema().ok_or_else(|| ArrowError::IpcError("rows without a schema".to_owned()))?;
    Ok((schema, batch))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn rows() -> RecordBatch {
        let fields = vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)];
        let columns: Vec<arrow_array::ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![Some(1), None])), Arc::new(StringArray::from(vec!["a", "b"]))];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn rows_come_back_as_they_were_and_schemas_alone() {
        let batch = rows();
        let (schema, back) = decoded(encoded(&batch.schema(), Some(&batch)).unwrap()).unwrap();
        assert_eq!((schema, back), (batch.schema(), Some(batch.clone())));
        let (schema, back) = decoded(encoded(&batch.schema(), None).unwrap()).unwrap();
        assert_eq!((schema, back), (batch.schema(), None));
    }

    #[test]
    fn frames_are_read_whole_or_not_at_all() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Answer::Rows).unwrap();
        send_encoded(&mut bytes, b"rows").unwrap();
        send_end(&mut bytes).unwrap();
        for length in 0..bytes.len() {
            let mut from = &bytes[..length];
            let mut count = 0;
            while read(&mut from).is_ok() {
                count += 1;
            }
            assert!(count < 3 && from.len() < 9, "{length}");
        }
        let mut from = &bytes[..];
        assert!(matches!(receive(&mut from), Ok(Answer::Rows)));
        assert!(matches!(read(&mut from), Ok(Frame::Rows(rows)) if rows == b"rows"));
        assert!(matches!(read(&mut from), Ok(Frame::End)));
        assert!(read(&mut &[7, 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err());
        assert!(read(&mut &[2, 255, 255, 255, 255, 255, 255, 255, 255][..]).is_err());
    }
}
