//! A segment file, opened: an Arrow IPC file whose footer also lists the digests of the columns' chunks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::ArrayRef;
use arrow_buffer::Buffer;
use arrow_data::UnsafeFlag;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{RecordBatchDecoder, read_dictionary, read_footer_length};
use arrow_ipc::{Block, MetadataVersion, root_as_footer, root_as_message};
use arrow_schema::{Schema, SchemaRef};
use flowc_columns::{BATCH_ROWS, ChunkDigest, ColumnDigest, canonical, chunk_digest};
use flowc_planner::key::ContentDigest;

/// Name of the footer's entry with the digests of chunks: hex, chunk by chunk, within a chunk column by column.
pub(crate) const CHUNK_DIGESTS: &str = "flowc.leaves";
/// Name of the footer's entry with the number of rows.
pub(crate) const ROWS: &str = "flowc.rows";

/// Why a segment file can't be trusted.
pub(crate) type Reason = String;

/// An opened segment file.
pub(crate) struct Segment {
    bytes: Buffer,
    schema: SchemaRef,
    version: MetadataVersion,
    blocks: Vec<Block>,
    dictionaries: HashMap<i64, ArrayRef>,
    digests: Vec<ChunkDigest>,
    rows: u64,
    /// Per chunk and column: whether the bytes were checked in this process.
    checked: Vec<AtomicBool>,
    /// The content digests that the digests of chunks add up to, by column.
    contents: Vec<ContentDigest>,
}

impl Segment {
    /// Opens a segment file and checks its structure against the hash that [`structure`] gave when it was written.
    pub(crate) fn open(bytes: Buffer, check: u64) -> Result<Self, Reason> {
        let layout = Layout::parse(&bytes)?;
        if layout.check(&bytes)? != check {
            return Err("its structure is not what was written".into());
        }
        layout.open(bytes)
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        self.blocks.len()
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// The digest that a column had when it was written.
    pub(crate) fn content(&self, column: usize) -> Option<&ContentDigest> {
        self.contents.get(column)
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Some columns of one chunk. Whatever has not been checked in this process is checked first.
    pub(crate) fn chunk(&self, index: usize, columns: &[usize]) -> Result<Vec<ArrayRef>, Reason> {
        let checked = |&column: &usize| self.checked[self.place(index, column)].load(Ordering::Acquire);
        let trusted = columns.iter().all(checked);
        let arrays = self.decode(index, columns, trusted)?;
        if !trusted {
            for (array, &column) in arrays.iter().zip(columns) {
                self.verify(index, column, array)?;
            }
        }
        Ok(arrays)
    }

    /// The message of a chunk as it lies in the file: its header and its body. None where it needs dictionaries, which are other
    /// messages.
    pub(crate) fn message(&self, index: usize) -> Option<(Buffer, Buffer)> {
        let block = self.blocks.get(index).filter(|_| self.dictionaries.is_empty())?;
        message(&self.bytes, block).ok()
    }

    fn place(&self, chunk: usize, column: usize) -> usize {
        chunk * self.columns() + column
    }

    fn verify(&self, chunk: usize, column: usize, array: &ArrayRef) -> Result<(), Reason> {
        let place = self.place(chunk, column);
        if self.checked[place].load(Ordering::Acquire) {
            return Ok(());
        }
        let canonical = canonical(array).map_err(|e| e.to_string())?;
        if array.len() != rows_of_chunk(self.rows, chunk) || chunk_digest(&canonical) != self.digests[place] {
            return Err(format!("chunk {chunk} of column {column} is not what was written"));
        }
        self.checked[place].store(true, Ordering::Release);
        Ok(())
    }

    /// `trusted`: the columns were checked, so validating them again would tell nothing.
    fn decode(&self, index: usize, columns: &[usize], trusted: bool) -> Result<Vec<ArrayRef>, Reason> {
        let block = &self.blocks[index];
        let (head, body) = message(&self.bytes, block)?;
        let message = root_as_message(&head).map_err(|e| e.to_string())?;
        let batch = message.header_as_record_batch().ok_or("a block is no record batch")?;
        let mut skip_validation = UnsafeFlag::new();
        // SAFETY: the flag is set only for bytes that are, by their digest, the ones that were written, and what is
        // written are valid arrays. Objects are read-only.
        unsafe { skip_validation.set(trusted) };
        let decoder = RecordBatchDecoder::try_new(&body, batch, self.schema.clone(), &self.dictionaries, &self.version)
            .map_err(|e| e.to_string())?;
        let decoder = decoder.with_projection(Some(columns)).with_skip_validation(skip_validation);
        let batch = decoder.read_record_batch().map_err(|e| e.to_string())?;
        Ok(batch.columns().to_vec())
    }
}

/// Rows of one chunk of a segment.
fn rows_of_chunk(rows: u64, chunk: usize) -> usize {
    (rows - chunk as u64 * BATCH_ROWS as u64).min(BATCH_ROWS as u64) as usize
}

/// The hash of a segment file's structure: its footer and the headers of its messages.
pub(crate) fn structure(bytes: &Buffer) -> Result<u64, Reason> {
    Layout::parse(bytes)?.check(bytes)
}

/// A parsed footer.
struct Layout {
    footer: Buffer,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    blocks: Vec<Block>,
    entries: HashMap<String, String>,
}

impl Layout {
    fn parse(bytes: &Buffer) -> Result<Self, Reason> {
        let text = |e: &dyn std::fmt::Display| format!("no segment file: {e}");
        let tail: [u8; 10] = bytes.last_chunk().copied().ok_or("no segment file: too short")?;
        let length = read_footer_length(tail).map_err(|e| text(&e))?;
        let start = (bytes.len() - tail.len()).checked_sub(length).ok_or("no segment file: its footer is too long")?;
        let bytes = bytes.slice_with_length(start, length);
        let footer = root_as_footer(&bytes).map_err(|e| text(&e))?;
        let entries = footer.custom_metadata().into_iter().flatten();
        let entries = entries.filter_map(|entry| Some((entry.key()?.to_owned(), entry.value()?.to_owned())));
        Ok(Self {
            version: footer.version(),
            dictionaries: footer.dictionaries().into_iter().flatten().copied().collect(),
            blocks: footer.recordBatches().into_iter().flatten().copied().collect(),
            entries: entries.collect(),
            footer: bytes.clone(),
        })
    }

    fn check(&self, bytes: &Buffer) -> Result<u64, Reason> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.footer);
        for block in self.dictionaries.iter().chain(&self.blocks) {
            hasher.update(&head(bytes, block)?);
        }
        let mut check = [0; 8];
        hasher.finalize_xof().fill(&mut check);
        Ok(u64::from_le_bytes(check))
    }

    /// Goes on where the structure is known to be what was written.
    fn open(self, bytes: Buffer) -> Result<Segment, Reason> {
        let footer = root_as_footer(&self.footer).map_err(|e| e.to_string())?;
        let schema = Arc::new(fb_to_schema(footer.schema().ok_or("no schema")?));
        let digests = self.digests()?;
        let rows = self.entries.get(ROWS).and_then(|rows| rows.parse().ok()).ok_or("no number of rows")?;
        let columns = schema.fields().len();
        let fits = digests.len() == columns * self.blocks.len() && chunks(rows) == self.blocks.len() as u64;
        fits.then_some(()).ok_or("chunks and rows don't fit")?;
        Ok(Segment {
            dictionaries: self.dictionaries(&bytes, &schema)?,
            contents: (0..columns).map(|column| content(&schema, column, &digests, rows)).collect(),
            checked: digests.iter().map(|_| AtomicBool::new(false)).collect(),
            schema,
            version: self.version,
            blocks: self.blocks,
            bytes,
            digests,
            rows,
        })
    }

    fn digests(&self) -> Result<Vec<ChunkDigest>, Reason> {
        let hex = self.entries.get(CHUNK_DIGESTS).ok_or("no digests")?;
        let digest = |hex| blake3::Hash::from_hex(hex).map(|hash| *hash.as_bytes()).map_err(|e| e.to_string());
        hex.as_bytes().chunks(64).map(digest).collect()
    }

    fn dictionaries(&self, bytes: &Buffer, schema: &Schema) -> Result<HashMap<i64, ArrayRef>, Reason> {
        let mut dictionaries = HashMap::new();
        for block in &self.dictionaries {
            let (head, body) = message(bytes, block)?;
            let message = root_as_message(&head).map_err(|e| e.to_string())?;
            let batch = message.header_as_dictionary_batch().ok_or("a block is no dictionary")?;
            read_dictionary(&body, batch, schema, &mut dictionaries, &self.version).map_err(|e| e.to_string())?;
        }
        Ok(dictionaries)
    }
}

/// The content digest of a column, from those of its chunks.
fn content(schema: &Schema, column: usize, chunks: &[ChunkDigest], rows: u64) -> ContentDigest {
    let columns = schema.fields().len();
    let mut digest = ColumnDigest::new(schema.field(column));
    for (chunk, digest_of_chunk) in chunks.iter().skip(column).step_by(columns).enumerate() {
        digest.update_digest(digest_of_chunk, rows_of_chunk(rows, chunk) as u64);
    }
    digest.finish()
}

/// Number of chunks that rows make.
fn chunks(rows: u64) -> u64 {
    rows.div_ceil(BATCH_ROWS as u64)
}

/// Header of the message in a block, and its body.
fn message(bytes: &Buffer, block: &Block) -> Result<(Buffer, Buffer), Reason> {
    let head = head(bytes, block)?;
    let start = block.offset() as usize + block.metaDataLength() as usize;
    let length = usize::try_from(block.bodyLength()).map_err(|e| e.to_string())?;
    start.checked_add(length).filter(|&end| end <= bytes.len()).ok_or("a block ends outside of the file")?;
    Ok((head, bytes.slice_with_length(start, length)))
}

/// Header of the message in a block, without its length prefix.
fn head(bytes: &Buffer, block: &Block) -> Result<Buffer, Reason> {
    const PREFIX: usize = 8;
    let start = usize::try_from(block.offset()).map_err(|e| e.to_string())?;
    let length = usize::try_from(block.metaDataLength()).map_err(|e| e.to_string())?;
    let end = start.checked_add(length).filter(|&end| end <= bytes.len() && length >= PREFIX);
    end.ok_or("a block lies outside of the file")?;
    Ok(bytes.slice_with_length(start + PREFIX, length - PREFIX))
}
