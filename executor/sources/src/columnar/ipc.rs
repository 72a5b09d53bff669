//! Format `arrow`: Arrow IPC, file or stream. Both are lists of messages; an index of them is made once, and neighbouring
//! record batches form a segment.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, Endianness, Message, MessageHeader, MetadataVersion, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use flowc_planner::key::{KeyHasher, RawDigest};

use crate::columnar::conform::{Conform, guarded, match_columns, unknown_columns};
use crate::columnar::promise::check_buffers;
use crate::error::SourceError;
use crate::files::marks::skip_bom;
use crate::files::view::View;
use crate::segment::RawSegment;

/// A segment holds record batches of this many bytes together, or more.
const LEAST_BODY: u64 = 8 << 20;

/// What an IPC file starts and ends with.
const MAGIC: &[u8] = b"ARROW1";

/// What a file of Feather's first version starts with, which is no IPC file.
const FEATHER_1: &[u8] = b"FEA1";

/// Where the schema lies in a file: after [`MAGIC`], padded.
const FIRST: u64 = 8;

/// What may lie between a file's last message and its footer: the mark of a stream's end, and padding.
const MOST_PADDING: u64 = 64;

/// What ends a stream: the length of a message that is none, after [`CONTINUATION`].
const END: i32 = 0;

/// Marks the length of a message's metadata, in streams since Arrow 0.15.
const CONTINUATION: [u8; 4] = [0xFF; 4];

/// A message's place.
#[derive(Clone, Copy, Debug)]
struct Place {
    block: Block,
    /// Of a record batch; `None` for a dictionary.
    rows: Option<u64>,
}

/// The messages of a file or stream.
pub(crate) struct Index {
    schema: SchemaRef,
    version: MetadataVersion,
    /// Dictionaries come before the batches that need them.
    messages: Vec<Place>,
    /// Hash of the schema as it is stored.
    schema_hash: blake3::Hash,
}

impl Index {
    /// Reads the metadata of all messages, no bodies.
    pub(crate) fn load(view: &View) -> Result<Self, SourceError> {
        let head = view.read(0, view.length().min(MAGIC.len() as u64))?;
        if head.starts_with(FEATHER_1) {
            let what = "in Feather's first version".to_owned();
            return Err(SourceError::Unreadable { file: view.name().to_owned(), what, remedy: "as Arrow IPC" });
        }
        let index = || if head == MAGIC { Self::of_file(view) } else { Self::of_stream(view) };
        match guarded(index) {
            Ok(index) => Ok(index),
            // Compressed bytes say what they are.
            Err(reason) => skip_bom(view.name(), &head).and_then(|_| Err(damaged(view, reason))),
        }
    }

    /// The file's columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn of_file(view: &View) -> Result<Self, ArrowError> {
        let end = view.length();
        let mut tail = [0; 10];
        tail.copy_from_slice(&fetch(view, end.checked_sub(10).ok_or_else(truncated)?, 10)?);
        let length = read_footer_length(tail)? as u64;
        let bytes = fetch(view, (end - 10).checked_sub(length).ok_or_else(truncated)?, length)?;
        let footer = root_as_footer(&bytes).map_err(|error| ArrowError::IpcError(error.to_string()))?;
        let schema = footer.schema().ok_or_else(|| ArrowError::IpcError("the footer has no schema".to_owned()))?;
        check_endianness(schema.endianness())?;
        let mut messages = Vec::new();
        for block in footer.dictionaries().iter().flatten() {
            messages.push(Place { block: *block, rows: None });
        }
        for block in footer.recordBatches().iter().flatten() {
            let rows = rows_of(&metadata(view, block)?)?;
            messages.push(Place { block: *block, rows });
        }
        check_reach(view, &messages, end - 10 - length)?;
        let schema = Arc::new(fb_to_schema(schema));
        let schema_hash = hash_schema(&schema);
        Ok(Self { schema, version: footer.version(), messages, schema_hash })
    }

    fn of_stream(view: &View) -> Result<Self, ArrowError> {
        let first = next_message(view, 0)?.ok_or_else(truncated)?;
        let bytes = metadata(view, &first)?;
        let message = parse(&bytes)?;
        let schema =
            message.header_as_schema().ok_or_else(|| ArrowError::IpcError("no schema at its start".to_owned()))?;
        check_endianness(schema.endianness())?;
        let schema = Arc::new(fb_to_schema(schema));
        let mut index =
            Self { schema_hash: hash_schema(&schema), schema, version: message.version(), messages: Vec::new() };
        let mut at = end_of(&first)?;
        while let Some(block) = next_message(view, at)? {
            at = end_of(&block)?;
            let bytes = metadata(view, &block)?;
            let rows = match parse(&bytes)?.header_type() {
                MessageHeader::DictionaryBatch => None,
                MessageHeader::Schema => return Err(another_stream(&block)),
                _ => rows_of(&bytes)?,
            };
            index.messages.push(Place { block, rows });
        }
        Ok(index)
    }
}

fn damaged(view: &View, reason: String) -> SourceError {
    let damaged = || SourceError::Damaged { file: view.name().to_owned(), format: "Arrow IPC", reason };
    view.failure().unwrap_or_else(damaged)
}

fn truncated() -> ArrowError {
    ArrowError::IpcError("it ends too early".to_owned())
}

fn hash_schema(schema: &SchemaRef) -> blake3::Hash {
    let mut hasher = KeyHasher::new("flowc raw arrow schema 1");
    for field in schema.fields() {
        hasher.field(field);
    }
    blake3::Hash::from_bytes(hasher.finish())
}

/// Decoders take all numbers for little-endian.
fn check_endianness(endianness: Endianness) -> Result<(), ArrowError> {
    let refused = "its numbers are big-endian, which is not read; write it again as little-endian";
    if endianness == Endianness::Little { Ok(()) } else { Err(ArrowError::IpcError(refused.to_owned())) }
}

/// A footer that does not know what comes before it belongs to the last of several files: nothing may be left out.
fn check_reach(view: &View, messages: &[Place], footer: u64) -> Result<(), ArrowError> {
    let mut end = if messages.is_empty() { schema_end(view)? } else { FIRST };
    for message in messages {
        end = end.max(end_of(&message.block)?);
    }
    match footer.saturating_sub(end) {
        0..=MOST_PADDING => Ok(()),
        rest => Err(ArrowError::IpcError(format!(
            "{rest} bytes before its footer belong to none of its batches; are these several files, one after the other? \
             Take them apart"
        ))),
    }
}

/// The end of a file's schema, which lies behind the padding.
fn schema_end(view: &View) -> Result<u64, ArrowError> {
    for at in (FIRST..FIRST + MOST_PADDING).step_by(FIRST as usize) {
        if *fetch(view, at, FIRST)? != [0; FIRST as usize] {
            return next_message(view, at)?.map_or(Ok(at), |schema| end_of(&schema));
        }
    }
    Ok(FIRST)
}

fn another_stream(schema: &Block) -> ArrowError {
    let at = schema.offset();
    ArrowError::IpcError(format!("another stream follows at byte {at}; a file holds one stream, so take them apart"))
}

fn fetch(view: &View, offset: u64, length: u64) -> Result<bytes::Bytes, ArrowError> {
    if offset.checked_add(length).is_none_or(|end| end > view.length()) {
        return Err(truncated());
    }
    view.read(offset, length).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// The message that starts here in a stream, unless the stream ends.
fn next_message(view: &View, at: u64) -> Result<Option<Block>, ArrowError> {
    if at == view.length() {
        return Ok(None);
    }
    let mut prefix = fetch(view, at, 4)?;
    let mut prefix_length = 4;
    if *prefix == CONTINUATION {
        prefix = fetch(view, at + 4, 4)?;
        prefix_length = 8;
    }
    let length = i32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
    if length == END {
        return match view.length() - at - prefix_length as u64 {
            0 => Ok(None),
            rest => Err(ArrowError::IpcError(format!(
                "{rest} bytes follow the end of the stream; a file holds one stream, so take them apart"
            ))),
        };
    }
    let length = length.checked_add(prefix_length).filter(|&length| length > prefix_length).ok_or_else(truncated)?;
    let offset = i64::try_from(at).map_err(|_| truncated())?;
    let bodiless = Block::new(offset, length, 0);
    let body = parse(&metadata(view, &bodiless)?)?.bodyLength();
    Ok(Some(Block::new(offset, length, body)))
}

/// The bytes of a message's metadata, with their prefix.
fn metadata(view: &View, block: &Block) -> Result<bytes::Bytes, ArrowError> {
    let range = range_of(block)?;
    fetch(view, range.start, block.metaDataLength() as u64)
}

fn parse(metadata: &[u8]) -> Result<Message<'_>, ArrowError> {
    let prefix = if metadata.starts_with(&CONTINUATION) { 8 } else { 4 };
    let bytes = metadata.get(prefix..).ok_or_else(truncated)?;
    root_as_message(bytes).map_err(|error| ArrowError::IpcError(error.to_string()))
}

fn rows_of(metadata: &[u8]) -> Result<Option<u64>, ArrowError> {
    let message = parse(metadata)?;
    let batch = message.header_as_record_batch();
    let rows = batch.and_then(|batch| u64::try_from(batch.length()).ok());
    rows.map(Some).ok_or_else(|| ArrowError::IpcError("a message that is no record batch".to_owned()))
}

/// Where a message lies. Numbers from a file are not trusted.
fn range_of(block: &Block) -> Result<Range<u64>, ArrowError> {
    let start = u64::try_from(block.offset()).map_err(|_| truncated())?;
    let metadata = u64::try_from(block.metaDataLength()).map_err(|_| truncated())?;
    let body = u64::try_from(block.bodyLength()).map_err(|_| truncated())?;
    let end = start.checked_add(metadata).and_then(|end| end.checked_add(body)).ok_or_else(truncated)?;
    if metadata < 8 { Err(truncated()) } else { Ok(start..end) }
}

fn end_of(block: &Block) -> Result<u64, ArrowError> {
    Ok(range_of(block)?.end)
}

/// An open IPC file or stream.
pub(crate) struct IpcFile {
    view: View,
    schema: SchemaRef,
    index: Arc<Index>,
    /// Per column of the schema, the file's column.
    positions: Vec<usize>,
    /// Per segment, its messages.
    cuts: Vec<Range<usize>>,
}

impl IpcFile {
    /// Makes the index and finds the schema's columns.
    pub(crate) fn open(view: View, schema: SchemaRef) -> Result<Self, SourceError> {
        let index = Arc::new(Index::load(&view)?);
        let positions = match_columns(view.name(), index.schema(), &schema)?;
        let cuts = cut(&index.messages);
        Ok(Self { view, schema, index, positions, cuts })
    }

    /// The same, for a file of flowc's own in which each record batch is a segment.
    #[cfg(any(feature = "databases", feature = "kafka"))]
    pub(crate) fn of_batches(view: View, schema: SchemaRef) -> Result<Self, SourceError> {
        let file = Self::open(view, schema)?;
        let batches = file.index.messages.len();
        let cuts = (0..batches.max(1)).map(|batch| batch..(batch + 1).min(batches)).collect();
        Ok(Self { cuts, ..file })
    }

    /// Where the batches of each segment lie, in bytes.
    #[cfg(feature = "kafka")]
    pub(crate) fn places(&self) -> impl Iterator<Item = Result<Range<u64>, SourceError>> + Send + '_ {
        self.cuts.iter().map(|cut| self.place(cut).map_err(|error| damaged(&self.view, error.to_string())))
    }

    /// Columns that the schema does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        unknown_columns(self.index.schema(), &self.schema)
    }

    /// Digests the file's messages, segment by segment.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<RawSegment, SourceError>> + Send + '_ {
        let mut dictionaries = Vec::new();
        self.cuts.iter().enumerate().map(move |(ordinal, cut)| self.segment(ordinal, cut, &mut dictionaries))
    }

    /// `dictionaries`: hashes of all dictionaries before the segment; those within are added.
    fn segment(
        &self,
        ordinal: usize,
        cut: &Range<usize>,
        dictionaries: &mut Vec<blake3::Hash>,
    ) -> Result<RawSegment, SourceError> {
        let (mut rows, mut bodies) = (0, Vec::new());
        for message in &self.index.messages[cut.clone()] {
            let hash = self.hash(message)?;
            match message.rows {
                Some(count) => rows += count,
                None => dictionaries.push(hash),
            }
            bodies.push(hash);
        }
        let raw = raw_digest(&self.index.schema_hash, dictionaries, &bodies);
        let place = self.place(cut).map_err(|error| damaged(&self.view, error.to_string()))?;
        let ordinal = u32::try_from(ordinal).map_err(|_| damaged(&self.view, "too many batches".to_owned()))?;
        let length = place.end - place.start;
        Ok(RawSegment { offset: place.start, length, ordinal, rows: Some(rows), raw, columns: None })
    }

    fn hash(&self, message: &Place) -> Result<blake3::Hash, SourceError> {
        let bytes = load(&self.view, &message.block).map_err(|error| damaged(&self.view, error.to_string()))?;
        Ok(blake3::hash(&bytes))
    }

    /// From the first to the last byte of a segment's batches.
    fn place(&self, cut: &Range<usize>) -> Result<Range<u64>, ArrowError> {
        let mut place = None::<Range<u64>>;
        for message in self.index.messages[cut.clone()].iter().filter(|message| message.rows.is_some()) {
            let own = range_of(&message.block)?;
            place = Some(place.map_or(own.clone(), |all| all.start.min(own.start)..all.end.max(own.end)));
        }
        Ok(place.unwrap_or(0..0))
    }

    /// Decodes a segment's columns.
    pub(crate) fn read(&self, segment: &RawSegment, projection: &[usize]) -> Result<IpcRows, SourceError> {
        self.read_segment(segment.ordinal as usize, projection)
    }

    /// Decodes the columns of a segment, by its number.
    pub(crate) fn read_segment(&self, ordinal: usize, projection: &[usize]) -> Result<IpcRows, SourceError> {
        let cut = self.cuts.get(ordinal).cloned();
        let cut = cut.ok_or_else(|| self.view.changed("its batches changed"))?;
        let mut positions: Vec<_> = projection.iter().map(|&column| self.positions[column]).collect();
        positions.sort_unstable();
        positions.dedup();
        let decoder = FileDecoder::new(self.index.schema.clone(), self.index.version).with_projection(positions);
        let before = self.index.messages[..cut.start].iter().filter_map(|message| message.rows).sum();
        let conform = Conform::new(self.view.name(), &self.schema, projection, before);
        Ok(IpcRows { view: self.view.clone(), index: self.index.clone(), decoder, next: 0, cut, conform })
    }
}

/// The digest of a segment: of the file's columns, of all dictionaries before it, and of its messages.
fn raw_digest(schema: &blake3::Hash, dictionaries: &[blake3::Hash], messages: &[blake3::Hash]) -> RawDigest {
    let mut hasher = KeyHasher::new("flowc raw arrow 1");
    hasher.digest(schema.as_bytes()).number(dictionaries.len() as u64);
    for hash in dictionaries.iter().chain(messages) {
        hasher.digest(hash.as_bytes());
    }
    RawDigest::new(hasher.finish())
}

/// A record batch as it was written into a file without dictionaries.
#[cfg(feature = "databases")]
pub(crate) struct WrittenBatch {
    /// The bytes of its message.
    pub(crate) place: Range<u64>,
    /// Their hash.
    pub(crate) hash: blake3::Hash,
    pub(crate) rows: u64,
}

/// The segment that [`IpcFile::of_batches`] finds in such a file for a batch, or for a file without any.
#[cfg(feature = "databases")]
pub(crate) fn segment_of_batch(schema: &SchemaRef, ordinal: u32, batch: Option<&WrittenBatch>) -> RawSegment {
    let (place, rows) = batch.map_or((0..0, 0), |batch| (batch.place.clone(), batch.rows));
    let messages: Vec<blake3::Hash> = batch.iter().map(|batch| batch.hash).collect();
    let raw = raw_digest(&hash_schema(schema), &[], &messages);
    RawSegment { offset: place.start, length: place.end - place.start, ordinal, rows: Some(rows), raw, columns: None }
}

/// Groups record batches, with the dictionaries before them. A file without batches has one segment.
fn cut(messages: &[Place]) -> Vec<Range<usize>> {
    let (mut cuts, mut start, mut body) = (Vec::new(), 0, 0);
    for (i, message) in messages.iter().enumerate() {
        body += u64::try_from(message.block.bodyLength()).unwrap_or(0);
        if message.rows.is_some() && body >= LEAST_BODY {
            cuts.push(start..i + 1);
            (start, body) = (i + 1, 0);
        }
    }
    if start < messages.len() || cuts.is_empty() {
        cuts.push(start..messages.len());
    }
    cuts
}

/// A message with its body.
fn load(view: &View, block: &Block) -> Result<bytes::Bytes, ArrowError> {
    let range = range_of(block)?;
    fetch(view, range.start, range.end - range.start)
}

/// The batches of a segment.
pub(crate) struct IpcRows {
    view: View,
    index: Arc<Index>,
    decoder: FileDecoder,
    /// The next message to look at: dictionaries before the segment count, batches do not.
    next: usize,
    cut: Range<usize>,
    conform: Conform,
}

impl IpcRows {
    /// The next batch, of the size that it has in the file.
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        while self.next < self.cut.end {
            let message = self.index.messages[self.next];
            let is_batch = message.rows.is_some();
            self.next += 1;
            if is_batch && self.next <= self.cut.start {
                continue;
            }
            let decoder = &mut self.decoder;
            let decoded = guarded(|| decode(decoder, &self.view, &message));
            if let Some(batch) = decoded.map_err(|reason| damaged(&self.view, reason))? {
                return self.conform.apply(&batch).map(Some);
            }
        }
        Ok(None)
    }
}

/// Takes a dictionary in, or gives a record batch.
fn decode(decoder: &mut FileDecoder, view: &View, message: &Place) -> Result<Option<RecordBatch>, ArrowError> {
    let buffer = Buffer::from(load(view, &message.block)?);
    let body = message.block.metaDataLength() as usize;
    check_buffers(&parse(&buffer[..body])?, &buffer[body..])?;
    match message.rows {
        Some(_) => decoder.read_record_batch(&message.block, &buffer),
        None => decoder.read_dictionary(&message.block, &buffer).map(|()| None),
    }
}

#[cfg(test)]
mod tests;
