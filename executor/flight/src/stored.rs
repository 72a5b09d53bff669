//! Batches of stored files on their way to a stage, as messages that stand for several.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_flight::FlightData;
use flowc_runner::{Batch, StoredFile};

use crate::memory::Memory;
use crate::wire::{Note, WireStored};

/// Bytes of batches that one message stands for: as much as a stage reads while many messages could come and go.
const MOST: u64 = 64 << 20;

/// Batches of a file that follow each other and are not sent yet.
#[derive(Debug)]
pub(crate) struct StoredRun {
    file: Arc<StoredFile>,
    /// By which the program knows it.
    number: u64,
    columns: Vec<usize>,
    batches: Range<usize>,
    /// Rows of each batch.
    rows: Vec<u64>,
    /// Of all batches.
    bytes: u64,
}

impl StoredRun {
    /// A batch of a file that holds what a stage reads and nothing else, and that the program has, or is handed. None if it
    /// is no such batch.
    pub(crate) fn of(batch: &Batch, reads: &[usize], bytes: u64, memory: &Memory) -> Option<Self> {
        let (file, place) = batch.place()?;
        let columns: Vec<usize> =
            reads.iter().map(|&column| file.columns.get(column).copied()?).collect::<Option<_>>()?;
        let is_all = columns.iter().collect::<BTreeSet<_>>().len() == file.width;
        let number = is_all.then(|| memory.hand(&file.path))??;
        let rows = vec![batch.rows() as u64];
        Some(Self { file: file.clone(), number, columns, batches: place..place + 1, rows, bytes })
    }

    /// Adds the batches of another run, if they follow these and there is room.
    pub(crate) fn extend(&mut self, next: &StoredRun) -> bool {
        let follows = Arc::ptr_eq(&self.file, &next.file) && self.batches.end == next.batches.start;
        let fits = follows && self.bytes + next.bytes <= MOST;
        if fits {
            self.batches.end = next.batches.end;
            self.rows.extend(&next.rows);
            self.bytes += next.bytes;
        }
        fits
    }

    /// Bytes of all batches.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows of each batch.
    pub(crate) fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// The message that stands for them.
    pub(crate) fn message(&self) -> FlightData {
        let batches = [self.batches.start, self.batches.end];
        let stored = WireStored { file: self.number, columns: self.columns.clone(), batches };
        let note = Note { stored: Some(stored), ..Note::default() };
        FlightData { app_metadata: note.write(), ..FlightData::default() }
    }
}
