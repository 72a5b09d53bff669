//! Parquet's pages: dictionaries and streams of lengths state how many values they have.

use std::sync::Arc;

use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

/// A row group whose pages are looked at before a decoder gets them.
pub struct RowGroup<F> {
    /// The file.
    pub file: F,
    /// Its footer.
    pub metadata: Arc<ParquetMetaData>,
    /// The row group's number.
    pub group: usize,
    /// What is taken.
    pub takes: Takes,
}

/// Which pages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// All of which a decoder can make something.
    All,
    /// Those whose values stand there one by one, and are not compressed: they take no more memory than they are long.
    Plain,
}

impl<F: ChunkReader + Clone + 'static> RowGroups for RowGroup<F> {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let chunk = self.metadata.row_group(self.group).column(column);
        let pages = SerializedPageReader::new(Arc::new(self.file.clone()), chunk, self.num_rows(), None)?;
        let column = chunk.column_descr();
        let levels = [column.max_rep_level(), column.max_def_level()];
        Ok(Box::new(Chunk(Some(Box::new(Pages { pages, levels, takes: self.takes })))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The one chunk that a column has in a row group.
struct Chunk(Option<Box<dyn PageReader>>);

impl Iterator for Chunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Chunk {}

/// The pages of a chunk.
struct Pages<F: ChunkReader> {
    pages: SerializedPageReader<F>,
    /// The highest repetition and definition level.
    levels: [i16; 2],
    takes: Takes,
}

impl<F: ChunkReader> Iterator for Pages<F> {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<F: ChunkReader> PageReader for Pages<F> {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.map(|page| self.takes.check(&page).and_then(|()| check(&page, self.levels)).map(|()| page)).transpose()
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.pages.at_record_boundary()
    }
}

impl Takes {
    fn check(self, page: &Page) -> ParquetResult<()> {
        match page.encoding() {
            _ if self == Self::All => Ok(()),
            // Of truth values, 8 to a byte.
            Encoding::PLAIN | Encoding::RLE if page.is_data_page() => Ok(()),
            other => Err(ParquetError::General(format!("a page is in encoding {other}, and PLAIN is due"))),
        }
    }
}

fn check(page: &Page, levels: [i16; 2]) -> ParquetResult<()> {
    match page {
        // Each value of a dictionary takes a byte or more, but where all are empty.
        Page::DictionaryPage { buf, num_values, .. } => {
            at_most("dictionary", u64::from(*num_values), buf.len().max(1) as u64)
        }
        Page::DataPage { buf, num_values, encoding, rep_level_encoding, def_level_encoding, .. } => {
            let encodings = [*rep_level_encoding, *def_level_encoding];
            let values = levels.into_iter().zip(encodings).try_fold(&buf[..], |rest, (level, encoding)| {
                rest.get(levels_length(rest, level, encoding, *num_values)?..)
            });
            check_lengths(values.unwrap_or_default(), *encoding, *num_values)
        }
        Page::DataPageV2 { buf, num_values, encoding, rep_levels_byte_len, def_levels_byte_len, .. } => {
            let start = (*rep_levels_byte_len as usize).saturating_add(*def_levels_byte_len as usize);
            check_lengths(buf.get(start..).unwrap_or_default(), *encoding, *num_values)
        }
    }
}

fn at_most(what: &str, stated: u64, most: u64) -> ParquetResult<()> {
    let refused = || ParquetError::General(format!("a {what} claims {stated} values; there can be {most}"));
    if stated <= most { Ok(()) } else { Err(refused()) }
}

/// How many bytes the levels at the start of a page of the first version take.
fn levels_length(bytes: &[u8], highest: i16, encoding: Encoding, values: u32) -> Option<usize> {
    #[expect(deprecated, reason = "old files have it")]
    const PACKED: Encoding = Encoding::BIT_PACKED;
    match encoding {
        _ if highest == 0 => Some(0),
        PACKED => Some((values as usize * (i16::BITS - highest.leading_zeros()) as usize).div_ceil(8)),
        _ => usize::try_from(u32::from_le_bytes(*bytes.first_chunk()?)).ok()?.checked_add(4),
    }
}

/// Checks the streams of lengths that the values of some encodings begin with. Those that end too early are left to the
/// decoder.
fn check_lengths(mut values: &[u8], encoding: Encoding, most: u32) -> ParquetResult<()> {
    let streams = match encoding {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => 0,
    };
    for _ in 0..streams {
        let Some(stream) = Stream::read(&mut values) else { return Ok(()) };
        at_most("stream of lengths", stream.count, most.into())?;
        if stream.pass(&mut values).is_none() {
            return Ok(());
        }
    }
    Ok(())
}

/// The head of a stream of integers in encoding `DELTA_BINARY_PACKED`.
struct Stream {
    parts: usize,
    values_per_part: u64,
    count: u64,
}

impl Stream {
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (block, parts, count) = (varint(bytes)?, varint(bytes)?, varint(bytes)?);
        varint(bytes)?;
        Some(Self { parts: usize::try_from(parts).ok()?, values_per_part: block.checked_div(parts)?, count })
    }

    /// Goes past the blocks: each has a least delta, a width for each of its parts, and the parts.
    fn pass(&self, bytes: &mut &[u8]) -> Option<()> {
        let mut left = self.count.saturating_sub(1);
        while left > 0 {
            varint(bytes)?;
            let widths;
            (widths, *bytes) = bytes.split_at_checked(self.parts)?;
            let mut length = 0_u64;
            for &width in widths.iter().take(usize::try_from(left.div_ceil(self.values_per_part.max(1))).ok()?) {
                length = length.checked_add(u64::from(width).checked_mul(self.values_per_part)? / 8)?;
            }
            left = left.saturating_sub(self.values_per_part.checked_mul(self.parts as u64)?.max(1));
            *bytes = bytes.get(usize::try_from(length).ok()?..)?;
        }
        Some(())
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7F) << shift;
        if *first < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn page(buf: Vec<u8>, num_values: u32, encoding: Encoding) -> Page {
        Page::DataPage {
            buf: Bytes::from(buf),
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    /// Definition levels, then a stream of one block: 3 values in parts of 32 with this width.
    fn stream(count: &[u8], width: u8) -> Vec<u8> {
        let mut bytes = [&[0x80, 1, 4][..], count, &[2, 0, width, 9, 9, 9]].concat();
        bytes.extend(vec![0; 4 * usize::from(width)]);
        bytes
    }

    fn refusal(page: &Page, levels: [i16; 2]) -> Option<String> {
        check(page, levels).err().map(|error| error.to_string())
    }

    #[test]
    fn a_dictionary_has_at_most_a_value_a_byte() {
        let dictionary = |num_values| Page::DictionaryPage {
            buf: Bytes::from_static(&[0; 8]),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        assert_eq!(refusal(&dictionary(2), [0, 0]), None);
        assert!(refusal(&dictionary(u32::MAX), [0, 0]).unwrap().contains("claims 4294967295 values; there can be 8"));
    }

    #[test]
    fn streams_of_lengths_have_at_most_a_length_a_value() {
        let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        let levels = [2, 0, 0, 0, 6, 1];
        let length =
            |count: &[u8]| page([&levels[..], &stream(count, 5)].concat(), 3, Encoding::DELTA_LENGTH_BYTE_ARRAY);
        assert_eq!(refusal(&length(&[3]), [0, 1]), None);
        assert!(refusal(&length(&huge), [0, 1]).is_some());
        let both = |count: &[u8]| page([stream(&[3], 5), stream(count, 0)].concat(), 3, Encoding::DELTA_BYTE_ARRAY);
        assert_eq!(refusal(&both(&[3]), [0, 0]), None);
        assert!(refusal(&both(&huge), [0, 0]).is_some());
        assert_eq!(refusal(&page(stream(&huge, 0), 3, Encoding::PLAIN), [0, 0]), None);
    }
}
