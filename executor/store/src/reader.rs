//! Reads stored columns side by side.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::Buffer;

use crate::segment::Segment;
use crate::shared::Shared;
use crate::{Location, StoreError, StoredColumn};

/// Cuts of some columns, in order; each is checked when it is first read in this process. No copies: arrays lie in the
/// mapped object.
pub struct ColumnReader {
    shared: Arc<Shared>,
    parts: Vec<Part>,
    columns: usize,
    chunks: usize,
    next: usize,
}

/// A batch as a message of Arrow IPC, not compressed.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// What tells where the columns lie in the body.
    pub header: Buffer,
    /// The columns.
    pub body: Buffer,
}

/// The columns that lie in one segment file.
struct Part {
    segment: Arc<Segment>,
    location: Location,
    /// Columns of the segment file, and their places among the reader's columns.
    columns: Vec<usize>,
    places: Vec<usize>,
}

impl ColumnReader {
    pub(crate) fn open(shared: Arc<Shared>, columns: &[StoredColumn]) -> Result<Self, StoreError> {
        let mut parts: Vec<Part> = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            if column.rows != columns[0].rows {
                return Err(StoreError::Rows { first: columns[0].rows, other: column.rows });
            }
            let location = column.location;
            let same = |part: &Part| (part.location.object, part.location.offset) == (location.object, location.offset);
            let at = match parts.iter().position(same) {
                Some(at) => at,
                None => {
                    let segment = shared.segment(&location)?;
                    parts.push(Part { segment, location, columns: Vec::new(), places: Vec::new() });
                    parts.len() - 1
                }
            };
            let part = &mut parts[at];
            shared.check_column(&part.segment, column)?;
            part.columns.push(location.column as usize);
            part.places.push(place);
        }
        let chunks = parts.first().map_or(0, |part| part.segment.chunks());
        Ok(Self { shared, parts, columns: columns.len(), chunks, next: 0 })
    }

    /// The object that holds these columns and nothing else, if there is one: its file, and the place in it of each of them.
    pub fn object(&self) -> Option<(PathBuf, Vec<usize>)> {
        let [part] = self.parts.as_slice() else { return None };
        let is_all = part.columns.iter().collect::<BTreeSet<_>>().len() == part.segment.columns();
        let path = is_all.then(|| self.shared.object(&part.location))??;
        let mut columns = vec![0; self.columns];
        part.places.iter().zip(&part.columns).for_each(|(&place, &column)| columns[place] = column);
        Some((path, columns))
    }

    /// The chunk that was read last, as a message of Arrow IPC that lies in the mapped object: no copy. None unless the reader reads all
    /// columns of one segment file, in their order there, and none has a dictionary.
    pub fn message(&self) -> Option<StoredMessage> {
        let [part] = self.parts.as_slice() else { return None };
        let in_order = |columns: &[usize]| columns.iter().copied().eq(0..part.segment.columns());
        let is_all = in_order(&part.columns) && in_order(&part.places);
        let (header, body) = part.segment.message(self.next.checked_sub(1).filter(|_| is_all)?)?;
        Some(StoredMessage { header, body })
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// One chunk by its number.
    ///
    /// # Errors
    /// If its bytes are damaged.
    ///
    /// # Panics
    /// If there are not so many chunks.
    pub fn chunk(&self, index: usize) -> Result<Vec<ArrayRef>, StoreError> {
        assert!(index < self.chunks, "chunk {index} of {}", self.chunks);
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.columns];
        for part in &self.parts {
            let arrays = part.segment.chunk(index, &part.columns);
            let arrays = arrays.map_err(|reason| self.shared.damaged_columns(&part.location, &part.columns, reason))?;
            for (&place, array) in part.places.iter().zip(arrays) {
                columns[place] = Some(array);
            }
        }
        Ok(columns.into_iter().flatten().collect())
    }
}

impl Iterator for ColumnReader {
    type Item = Result<Vec<ArrayRef>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.nth(0)
    }

    /// Skips chunks without looking at them.
    fn nth(&mut self, skip: usize) -> Option<Self::Item> {
        let index = self.next.saturating_add(skip);
        self.next = index.saturating_add(1).min(self.chunks);
        (index < self.chunks).then(|| self.chunk(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.chunks - self.next, Some(self.chunks - self.next))
    }
}

impl ExactSizeIterator for ColumnReader {}
