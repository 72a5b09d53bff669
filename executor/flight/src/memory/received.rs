//! Files of flowc's store that a program maps, on the program's side.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::{ArrowError, SchemaRef};
use memmap2::Mmap;

use crate::wire::WireStored;

/// The files that flowc has handed over, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Received(HashMap<u64, Arc<IpcFile>>);

impl Received {
    /// Takes a file, in place of one of the same number.
    pub(super) fn put(&mut self, number: u64, file: &OwnedFd) {
        match IpcFile::map(file) {
            Ok(file) => drop(self.0.insert(number, Arc::new(file))),
            // It is missed when its batches are asked for.
            Err(_) => drop(self.0.remove(&number)),
        }
    }

    /// The file of this number.
    pub(super) fn get(&self, number: u64) -> Option<Arc<IpcFile>> {
        self.0.get(&number).cloned()
    }
}

/// A mapped Arrow IPC file.
#[derive(Debug)]
pub(super) struct IpcFile {
    bytes: Buffer,
    decoder: FileDecoder,
    blocks: Vec<Block>,
}

impl IpcFile {
    fn map(file: &OwnedFd) -> Result<Self, ArrowError> {
        let io = |error: io::Error| ArrowError::from(error);
        // SAFETY: flowc hands over files that nobody writes to.
        let map = Arc::new(unsafe { Mmap::map(file) }.map_err(io)?);
        let start = NonNull::from(&map[..]).cast();
        // SAFETY: the mapping lives as long as the buffer's owner, and is never written.
        Self::open(unsafe { Buffer::from_custom_allocation(start, map.len(), map) })
    }

    fn open(bytes: Buffer) -> Result<Self, ArrowError> {
        let invalid = |what: &str| ArrowError::IpcError(format!("a stored segment: {what}"));
        let tail = bytes.last_chunk().ok_or_else(|| invalid("too short"))?;
        let (length, end) = (read_footer_length(*tail)?, bytes.len() - tail.len());
        let start = end.checked_sub(length).ok_or_else(|| invalid("its footer is too long"))?;
        let footer = root_as_footer(&bytes[start..end]).map_err(|error| invalid(&error.to_string()))?;
        let schema = fb_to_schema(footer.schema().ok_or_else(|| invalid("no schema"))?);
        let mut decoder = FileDecoder::new(schema.into(), footer.version());
        for block in footer.dictionaries().into_iter().flatten() {
            decoder.read_dictionary(block, &slice(&bytes, block)?)?;
        }
        let blocks = footer.recordBatches().into_iter().flatten().copied().collect();
        Ok(Self { decoder, blocks, bytes })
    }

    /// Some batches, as those of a stream of these columns. Nothing is copied.
    pub(super) fn batches(&self, stored: &WireStored, due: &SchemaRef) -> Result<Vec<RecordBatch>, ArrowError> {
        let [first, end] = stored.batches;
        let blocks = self.blocks.get(first..end);
        let blocks = blocks.ok_or_else(|| ArrowError::IpcError(format!("it has no batches {first} to {end}")))?;
        blocks.iter().map(|block| self.batch(block, &stored.columns, due)).collect()
    }

    fn batch(&self, block: &Block, columns: &[usize], due: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let batch = self.decoder.read_record_batch(block, &slice(&self.bytes, block)?)?;
        let batch =
            batch.ok_or_else(|| ArrowError::IpcError("a block without a batch".to_owned()))?.project(columns)?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(due.clone(), batch.columns().to_vec(), &options)
    }
}

/// A message with its body.
fn slice(bytes: &Buffer, block: &Block) -> Result<Buffer, ArrowError> {
    let outside = || ArrowError::IpcError("a block lies outside of the file".to_owned());
    let start = usize::try_from(block.offset()).map_err(|_| outside())?;
    let length = usize::try_from(block.bodyLength()).map_err(|_| outside())?;
    let length = usize::try_from(block.metaDataLength()).ok().and_then(|head| head.checked_add(length));
    let length = length.filter(|length| start.checked_add(*length).is_some_and(|end| end <= bytes.len()));
    Ok(bytes.slice_with_length(start, length.ok_or_else(outside)?))
}
