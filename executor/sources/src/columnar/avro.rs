//! Format `avro` in files: object container files. An index of their blocks is made once, and neighbouring blocks form a segment.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_records::avro_container::{BlockHead, Codec, ContainerDecoder, ContainerError, Header, SYNC};

use crate::columnar::conform::{Conform, match_columns, unknown_columns};
use crate::error::SourceError;
use crate::files::marks::skip_bom;
use crate::files::view::View;
use crate::segment::RawSegment;

/// A segment has blocks of this many bytes together, or more.
const LEAST_BLOCKS: u64 = 8 << 20;
/// Blocks are decoded together up to this many bytes, not compressed.
const LEAST_DECODED: usize = 1 << 20;
/// As many bytes of a file are asked for its header; twice as many each time that these are too few.
const FIRST_HEADER: u64 = 16 << 10;

/// A block's place.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Where its head begins.
    offset: u64,
    head: BlockHead,
}

impl Block {
    /// From its head to the mark behind it.
    fn end(&self) -> u64 {
        self.offset + self.head.length + self.head.size + SYNC as u64
    }
}

/// What a file says of itself.
pub(crate) struct Index {
    header: Header,
    schema: SchemaRef,
    blocks: Vec<Block>,
}

impl Index {
    /// Reads the header, and the heads of all blocks.
    pub(crate) fn load(view: &View) -> Result<Self, SourceError> {
        let header = read_header(view)?;
        let schema = header.columns().map_err(|error| damaged(view, &error))?;
        let mut blocks = Vec::new();
        let mut offset = header.length;
        while offset < view.length() {
            let block = block_at(view, &header, offset)?;
            offset = block.end();
            blocks.push(block);
        }
        Ok(Self { header, schema, blocks })
    }

    /// The file's columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

fn read_header(view: &View) -> Result<Header, SourceError> {
    let mut length = FIRST_HEADER;
    loop {
        let bytes = view.read(0, view.length().min(length))?;
        match Header::parse(&bytes) {
            Err(ContainerError::Truncated) if length < view.length() => length *= 2,
            Ok(header) => return Ok(header),
            // Compressed bytes say what they are.
            Err(error) => return skip_bom(view.name(), &bytes).and_then(|_| Err(damaged(view, &error))),
        }
    }
}

fn block_at(view: &View, header: &Header, offset: u64) -> Result<Block, SourceError> {
    let head = view.read(offset, (view.length() - offset).min(BlockHead::MOST))?;
    let head = BlockHead::parse(&head).map_err(|error| damaged(view, &error))?;
    let block = Block { offset, head };
    if block.end() > view.length() {
        return Err(damaged(view, &ContainerError::Truncated));
    }
    if view.read(block.end() - SYNC as u64, SYNC as u64)? != header.sync[..] {
        let reason = format!("the mark at the end of the block at byte {offset} differs from that of the file");
        return Err(damaged(view, &ContainerError::Invalid(reason)));
    }
    Ok(block)
}

fn damaged(view: &View, error: &ContainerError) -> SourceError {
    let reason = error.to_string();
    let damaged = || SourceError::Damaged { file: view.name().to_owned(), format: "Avro", reason };
    view.failure().unwrap_or_else(damaged)
}

/// An open container file.
pub(crate) struct AvroFile {
    view: View,
    schema: SchemaRef,
    index: Arc<Index>,
    /// Per column of the schema, the file's column.
    positions: Vec<usize>,
    /// Per segment, its blocks.
    cuts: Vec<Range<usize>>,
}

impl AvroFile {
    /// Makes the index and finds the schema's columns.
    pub(crate) fn open(view: View, schema: SchemaRef) -> Result<Self, SourceError> {
        let index = Arc::new(Index::load(&view)?);
        let positions = match_columns(view.name(), index.schema(), &schema)?;
        let cuts = cut(&index.blocks);
        Ok(Self { view, schema, index, positions, cuts })
    }

    /// Columns that the schema does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        unknown_columns(self.index.schema(), &self.schema)
    }

    /// Digests the file's blocks, segment by segment.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<RawSegment, SourceError>> + Send + '_ {
        self.cuts.iter().enumerate().map(|(ordinal, cut)| self.segment(ordinal, cut))
    }

    /// The marks between blocks are chosen by chance, so that they are in no digest.
    fn segment(&self, ordinal: usize, cut: &Range<usize>) -> Result<RawSegment, SourceError> {
        let blocks = &self.index.blocks[cut.clone()];
        let mut hasher = KeyHasher::new("flowc raw avro 1");
        hasher.bytes(self.index.header.schema.as_bytes()).number(self.index.header.codec as u64);
        hasher.number(blocks.len() as u64);
        let mut rows = 0;
        for block in blocks {
            rows += block.head.records;
            let bytes = self.view.read(block.offset + block.head.length, block.head.size)?;
            hasher.number(block.head.records).digest(blake3::hash(&bytes).as_bytes());
        }
        let offset = blocks.first().map_or(self.index.header.length, |block| block.offset);
        let length = blocks.last().map_or(0, |block| block.end() - offset);
        let ordinal = u32::try_from(ordinal)
            .map_err(|_| damaged(&self.view, &ContainerError::Invalid("it has too many blocks".to_owned())))?;
        let raw = RawDigest::new(hasher.finish());
        Ok(RawSegment { offset, length, ordinal, rows: Some(rows), raw, columns: None })
    }

    /// Decodes a segment's columns.
    pub(crate) fn read(&self, segment: &RawSegment, projection: &[usize]) -> Result<AvroRows, SourceError> {
        let cut = self.cuts.get(segment.ordinal as usize).cloned();
        let cut = cut.ok_or_else(|| self.view.changed("its blocks changed"))?;
        let mut positions: Vec<_> = projection.iter().map(|&column| self.positions[column]).collect();
        positions.sort_unstable();
        positions.dedup();
        let decoder = ContainerDecoder::new(&self.index.header, &positions);
        let decoder = decoder.map_err(|error| damaged(&self.view, &error))?;
        let before = self.index.blocks[..cut.start].iter().map(|block| block.head.records).sum();
        let conform = Conform::new(self.view.name(), &self.schema, projection, before);
        Ok(AvroRows { view: self.view.clone(), index: self.index.clone(), decoder, rest: cut, conform })
    }
}

/// Groups blocks. A file without blocks has one segment.
fn cut(blocks: &[Block]) -> Vec<Range<usize>> {
    let (mut cuts, mut start, mut size) = (Vec::new(), 0, 0);
    for (number, block) in blocks.iter().enumerate() {
        size += block.head.size;
        if size >= LEAST_BLOCKS {
            cuts.push(start..number + 1);
            (start, size) = (number + 1, 0);
        }
    }
    if start < blocks.len() || cuts.is_empty() {
        cuts.push(start..blocks.len());
    }
    cuts
}

/// The rows of a segment.
pub(crate) struct AvroRows {
    view: View,
    index: Arc<Index>,
    decoder: ContainerDecoder,
    /// The blocks that are still to be read.
    rest: Range<usize>,
    conform: Conform,
}

impl AvroRows {
    /// The rows of the next blocks.
    pub(crate) fn batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        let failed = |error: ContainerError| damaged(&self.view, &error);
        let codec: Codec = self.index.header.codec;
        let (mut records, mut count) = (Vec::new(), 0);
        while records.len() < LEAST_DECODED
            && let Some(number) = self.rest.next()
        {
            let Block { offset, head } = self.index.blocks[number];
            let block = self.view.read(offset + head.length, head.size)?;
            codec.unpack(&block, &mut records).map_err(failed)?;
            count += head.records;
        }
        if count == 0 && records.is_empty() {
            return Ok(None);
        }
        let batch = self.decoder.decode(&records, count).map_err(failed)?;
        self.conform.apply(&batch).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use flowc_planner::plan::Format;

    use super::*;
    use crate::infer_schema;
    use crate::testing::{Folder, Table, schema, segments, spec};

    const NULL: &[u8] = include_bytes!("../../tests/avro/null.avro");
    const NUMBERS: &str = r#"{"type":"record","name":"r","fields":[{"name":"n","type":"long"}]}"#;

    fn avro() -> Format {
        Format::Avro(Box::default())
    }

    fn read(bytes: &[u8]) -> Result<Table, SourceError> {
        let (folder, spec) = (Folder::new(), spec(avro()));
        let input = folder.write("input", bytes);
        let schema = infer_schema(std::slice::from_ref(&input), &spec)?;
        Table::read(&folder.open(&input, &spec, &schema)?)
    }

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    fn text(bytes: &mut Vec<u8>, text: &[u8]) {
        long(bytes, text.len() as i64);
        bytes.extend_from_slice(text);
    }

    fn long(bytes: &mut Vec<u8>, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)) as u64;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }

    /// A file with these blocks: how many records each claims, and its bytes.
    fn file(schema: &str, mark: u8, blocks: &[(i64, &[u8])]) -> Vec<u8> {
        let mut file = b"Obj\x01".to_vec();
        // The entries of the header may be in several parts, and a part may say its size.
        long(&mut file, 1);
        text(&mut file, b"avro.schema");
        text(&mut file, schema.as_bytes());
        let mut codec = Vec::new();
        text(&mut codec, b"avro.codec");
        text(&mut codec, b"null");
        long(&mut file, -1);
        long(&mut file, codec.len() as i64);
        file.extend(codec);
        long(&mut file, 0);
        file.extend([mark; SYNC]);
        for (records, bytes) in blocks {
            long(&mut file, *records);
            text(&mut file, bytes);
            file.extend([mark; SYNC]);
        }
        file
    }

    #[test]
    fn files_of_all_codecs_have_the_rows_that_another_tool_wrote() {
        let files = [
            NULL,
            include_bytes!("../../tests/avro/deflate.avro"),
            include_bytes!("../../tests/avro/snappy.avro"),
            include_bytes!("../../tests/avro/zstandard.avro"),
        ];
        for bytes in files {
            let rows = read(bytes).unwrap().rows;
            assert_eq!(rows.len(), 40);
            assert_eq!(rows[0], "0|w0|0.00|2024-03-01T12:00:00Z|ASK|[]");
            assert_eq!(rows[39], "39|w39|9.75|2024-03-01T12:00:39Z|BID|[]");
            assert_eq!(rows[5], "5|~|1.25|2024-03-01T12:00:05Z|BID|[t, t]");
        }
        let refused = refusal(include_bytes!("../../tests/avro/bzip2.avro"));
        assert!(refused.contains("compressed with bzip2, which is not read; write it with null, deflate"), "{refused}");
    }

    #[test]
    fn columns_are_found_by_name_whatever_the_schema_of_a_file() {
        let folder = Folder::new();
        let columns = schema(&[("kind", DataType::Utf8, true), ("id", DataType::Int64, true)]);
        assert_eq!(folder.read(NULL, &spec(avro()), &columns).unwrap().rows[1], "BID|1");
        let absent = folder.read(file(NUMBERS, 1, &[]), &spec(avro()), &columns).unwrap_err().to_string();
        assert!(absent.contains("kind"), "{absent}");
    }

    #[test]
    fn marks_between_blocks_are_no_content() {
        let (folder, columns) = (Folder::new(), schema(&[("n", DataType::Int64, false)]));
        let raw = |mark, blocks: &[(i64, &[u8])]| {
            let input = folder.write("input", file(NUMBERS, mark, blocks));
            segments(&folder.open(&input, &spec(avro()), &columns).unwrap())[0].raw
        };
        assert_eq!(raw(1, &[(2, &[2, 4])]), raw(2, &[(2, &[2, 4])]));
        assert_ne!(raw(1, &[(2, &[2, 4])]), raw(1, &[(2, &[2, 6])]));
        assert_eq!(read(&file(NUMBERS, 1, &[(2, &[2, 4]), (1, &[3])])).unwrap().rows, ["1", "2", "-2"]);
        assert_eq!(read(&file(NUMBERS, 1, &[])).unwrap().rows.len(), 0);
    }

    #[test]
    fn what_a_block_claims_is_what_it_has() {
        for (records, bytes) in [(1, &[2, 4][..]), (3, &[2, 4]), (0, &[2]), (2, &[]), (1 << 40, &[2, 4]), (1, &[0x80])]
        {
            let refused = refusal(&file(NUMBERS, 1, &[(records, bytes)]));
            assert!(refused.contains("not valid Avro"), "{records} records in {bytes:?}: {refused}");
        }
        let one_after_the_other = [file(NUMBERS, 1, &[(1, &[2])]), file(NUMBERS, 2, &[(1, &[2])])].concat();
        assert!(refusal(&one_after_the_other).contains("not valid Avro"));
        let gzip = crate::testing::gzip(NULL);
        assert!(refusal(&gzip).contains("it is compressed with gzip; name it with the ending .gz"));
        assert!(refusal(b"id,who\n").contains("does not begin as Avro's container files do"));
    }

    #[test]
    fn damaged_files_are_refused_and_nothing_panics() {
        let files =
            [NULL, include_bytes!("../../tests/avro/deflate.avro"), include_bytes!("../../tests/avro/snappy.avro")];
        for bytes in files {
            for end in 0..bytes.len() {
                let rows = read(&bytes[..end]).map_or(0, |table| table.rows.len());
                assert!(rows < 40, "cut at {end}");
            }
            for at in 0..bytes.len() {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 0x41;
                let _ = read(&damaged);
            }
        }
    }
}
