//! Reads segments: columns from the store and from source files, side by side.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::StreamId;
use flowc_runner::{Batch, StoredFile};
use flowc_sources::SegmentReader;
use flowc_store::{ColumnReader, StoredMessage};

use crate::Error;
use crate::inputs::lookup::{ColumnLocation, Locator, Lookups};
use crate::intake::files::OpenFiles;
use crate::intake::scan::ArrivedRows;

/// A source segment that is at hand, since it has just been read for the first time.
#[derive(Clone, Copy)]
pub(crate) struct Fresh<'a> {
    /// Index of the source. Its only segment in the inventory at hand is this one.
    pub source: usize,
    /// The name of its file.
    pub file: &'a str,
    /// Where its rows are.
    pub rows: &'a ArrivedRows,
}

/// Reads segments of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Where columns are.
    pub locator: Locator<'a>,
    /// Source files that are open.
    pub files: &'a OpenFiles,
    /// A segment that is at hand.
    pub fresh: Option<Fresh<'a>>,
}

/// The batches of one segment, in cuts of `BATCH_ROWS`, as wide as the stream's schema; columns that were not asked for
/// are absent.
pub(crate) struct SegmentBatches<'a> {
    width: usize,
    rows_left: u64,
    stored: Option<(Vec<usize>, ColumnReader)>,
    /// The one file that holds all that is stored, and how many of its batches were read.
    object: Option<(Arc<StoredFile>, usize)>,
    source: Option<(Vec<usize>, SourceBatches<'a>)>,
}

enum SourceBatches<'a> {
    File { reader: Box<SegmentReader>, name: String },
    Memory { batches: std::slice::Iter<'a, RecordBatch>, columns: Vec<usize> },
}

impl<'a> Reading<'a> {
    /// Opens a segment.
    pub(crate) fn segment(
        &self,
        stream: StreamId,
        segment: usize,
        columns: &[usize],
    ) -> Result<SegmentBatches<'a>, Error> {
        let locator = self.locator.locate(stream, segment, columns)?;
        let (mut stored_at, mut stored, mut source_at, mut source) = (vec![], vec![], vec![], vec![]);
        let mut from = None;
        for (&column, home) in columns.iter().zip(locator) {
            match home {
                Some(ColumnLocation::Stored(found)) => {
                    stored_at.push(column);
                    stored.push(found);
                }
                Some(ColumnLocation::Source { source: index, segment, column: source_column }) => {
                    source_at.push(column);
                    source.push(source_column);
                    from = Some((index, segment));
                }
                None => return Err(self.lost(stream, segment)),
            }
        }
        let rows_left = match stored.first() {
            Some(column) => column.rows,
            None => self.locator.rows(stream, segment)?.ok_or_else(|| self.lost(stream, segment))?,
        };
        let stored = if stored.is_empty() { None } else { Some((stored_at, self.locator.lookup.store.read(&stored)?)) };
        let source = match from {
            None => None,
            Some((index, segment)) => Some((source_at, self.source(index, segment, source)?)),
        };
        let width = self.locator.plan.stream(stream).schema.fields().len();
        Ok(SegmentBatches::new(width, rows_left, stored, source))
    }

    /// The batches of a partial, all columns.
    pub(crate) fn partial(&self, keys: &SegmentKeys) -> Result<SegmentBatches<'a>, Error> {
        let found = self.locator.lookup.store.find_columns(&keys.columns)?.into_iter().collect::<Option<Vec<_>>>();
        let stored = found.ok_or_else(|| Error::Lost("a partial result is gone from the store. Run again".into()))?;
        let (width, rows_left) = (stored.len(), stored.first().map_or(0, |column| column.rows));
        let stored = Some(((0..width).collect(), self.locator.lookup.store.read(&stored)?));
        Ok(SegmentBatches::new(width, rows_left, stored, None))
    }

    /// Makes sure that the source file, if any of these columns come from one, is still the one that was scanned.
    pub(crate) fn verify(&self, stream: StreamId, segment: usize, columns: &[usize]) -> Result<(), Error> {
        for home in self.locator.locate(stream, segment, columns)?.into_iter().flatten() {
            if let ColumnLocation::Source { source, segment, .. } = home {
                let Lookups { inventory, .. } = self.locator.lookup;
                let plan = self.locator.plan;
                let file = match self.fresh.filter(|fresh| fresh.source == source).map(|fresh| fresh.rows) {
                    Some(ArrivedRows::Memory(_)) => continue,
                    Some(ArrivedRows::File(file)) => file.clone(),
                    None => {
                        let file = inventory.source(source).segments[segment].file;
                        self.files.get(plan, inventory, source, file)?
                    }
                };
                return file
                    .verify_unchanged()
                    .map_err(|error| self.files.source_error(plan, inventory, source, error));
            }
        }
        Ok(())
    }

    fn source(&self, source: usize, segment: usize, columns: Vec<usize>) -> Result<SourceBatches<'a>, Error> {
        let (plan, inventory) = (self.locator.plan, self.locator.lookup.inventory);
        let reader = match self.fresh.filter(|fresh| fresh.source == source).map(|fresh| fresh.rows) {
            Some(ArrivedRows::Memory(batches)) => {
                return Ok(SourceBatches::Memory { batches: batches.iter(), columns });
            }
            Some(ArrivedRows::File(file)) => {
                let read = file.read(&inventory.source(source).segments[segment].scan.raw, None, &columns);
                read.map_err(|error| self.files.source_error(plan, inventory, source, error))?
            }
            None => self.files.read(plan, inventory, source, segment, &columns)?,
        };
        let name = plan.sources[source].name.clone();
        Ok(SourceBatches::File { reader: Box::new(reader), name })
    }

    /// The error for a segment that is not there any more.
    pub(crate) fn lost(&self, stream: StreamId, segment: usize) -> Error {
        Error::Lost(format!(
            "segment {segment} of `{}` was there when the run was planned and is gone now; another process may have \
             found it damaged. Run again",
            self.locator.plan.stream(stream).name
        ))
    }
}

impl Iterator for SegmentBatches<'_> {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows_left == 0 {
            return None;
        }
        Some(self.read_cut())
    }
}

impl<'a> SegmentBatches<'a> {
    fn new(
        width: usize,
        rows_left: u64,
        stored: Option<(Vec<usize>, ColumnReader)>,
        source: Option<(Vec<usize>, SourceBatches<'a>)>,
    ) -> Self {
        let object = stored.as_ref().and_then(|(places, reader)| Some((object(width, places, reader)?, 0)));
        Self { width, rows_left, stored, object, source }
    }

    /// The batch that was given last, as a message that is mapped. None where its columns do not lie so in the store.
    pub(crate) fn message(&self) -> Option<StoredMessage> {
        let (places, reader) = self.stored.as_ref().filter(|_| self.source.is_none())?;
        if places.iter().copied().eq(0..self.width) { reader.message() } else { None }
    }

    fn read_cut(&mut self) -> Result<Batch, Error> {
        let rows = self.rows_left.min(flowc_columns::BATCH_ROWS as u64) as usize;
        self.rows_left -= rows as u64;
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.width];
        if let Some((places, reader)) = &mut self.stored {
            let arrays = reader.next().transpose()?.unwrap_or_default();
            place(&mut columns, places, arrays, rows)?;
        }
        if let Some((places, batches)) = &mut self.source {
            place(&mut columns, places, batches.next_arrays()?, rows)?;
        }
        let batch = Batch::new(rows, columns);
        let Some((file, read)) = &mut self.object else { return Ok(batch) };
        *read += 1;
        Ok(batch.stored(file.clone(), *read - 1))
    }
}

/// The file that a reader reads, if it holds nothing else.
fn object(width: usize, places: &[usize], reader: &ColumnReader) -> Option<Arc<StoredFile>> {
    let (path, found) = reader.object()?;
    let mut columns = vec![None; width];
    places.iter().zip(&found).for_each(|(&place, &column)| columns[place] = Some(column));
    let width = found.iter().collect::<BTreeSet<_>>().len();
    Some(Arc::new(StoredFile { path, columns, width }))
}

fn place(columns: &mut [Option<ArrayRef>], places: &[usize], arrays: Vec<ArrayRef>, rows: usize) -> Result<(), Error> {
    if arrays.len() != places.len() || arrays.iter().any(|array| array.len() != rows) {
        let message = "a segment has fewer rows than were recorded for it; its file changed during the run. Run again";
        return Err(Error::Changed(message.to_owned()));
    }
    places.iter().zip(arrays).for_each(|(&place, array)| columns[place] = Some(array));
    Ok(())
}

impl SourceBatches<'_> {
    fn next_arrays(&mut self) -> Result<Vec<ArrayRef>, Error> {
        match self {
            SourceBatches::File { reader, name } => match reader.next() {
                Some(Ok(batch)) => Ok(batch.columns().to_vec()),
                Some(Err(error)) => Err(Error::source(name, error)),
                None => Ok(Vec::new()),
            },
            SourceBatches::Memory { batches, columns } => Ok(batches
                .next()
                .map(|batch| columns.iter().map(|&column| Arc::clone(batch.column(column))).collect())
                .unwrap_or_default()),
        }
    }
}
