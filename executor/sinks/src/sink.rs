//! What every sink does, whatever it writes to.
//!
//! A run calls, in this order: [`Sink::recover`], once; [`Sink::open`], once the rows are there; [`Transaction::writer`] for each
//! job; [`Transaction::prepare`] and then [`Syncs::run`] for all sinks that are to change together; [`Transaction::finalize`] for each of them.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_platform::FileStamp;

use crate::error::SinkError;
use crate::state::{Intact, SinkSegment, SinkState};
use crate::syncs::Syncs;

/// Where the rows of a stream go.
pub trait Sink: Send + Sync {
    /// Whether nothing is seen of written rows before they are finalized. The rows of other sinks are seen at once: such sinks
    /// are written last, one after the other, in the order of the pipeline's text, and no state of them is remembered.
    fn is_staged(&self) -> bool {
        true
    }

    /// Identifies what the sink writes to. Its state is remembered under this name.
    fn place(&self) -> Vec<u8>;

    /// What of the file system belongs to the sink. Sinks that claim the same are refused, and so are those that claim
    /// what a source reads.
    fn claim(&self) -> Option<Claim> {
        None
    }

    /// Identifies everything that shapes what the sink holds once it has this dataset.
    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32];

    /// Looks whether the sink still holds what an earlier transaction wrote. It must be cheap: no content is read.
    fn is_intact(&self, state: &SinkState) -> Intact;

    /// The files whose stamps tell that the sink still holds what was written; none if files can't tell.
    fn watched(&self, _state: &SinkState) -> Option<Vec<WatchedFile>> {
        None
    }

    /// Removes what killed runs left behind.
    ///
    /// # Errors
    /// If the place can't be looked at.
    fn recover(&self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Compares a dataset with what is there, and begins to write what differs.
    ///
    /// # Errors
    /// Anything that can be said before the rows are seen: a format that can't hold the columns, a place that can't be written.
    fn open(&self, dataset: &Dataset<'_>, earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError>;
}

/// What is remembered of earlier transactions of a sink.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remembered<'a> {
    /// What the last one gave that was finalized.
    pub finalized: Option<&'a SinkState>,
    /// What later ones announced, whose runs were killed: it may be there or not.
    pub announced: Option<&'a SinkState>,
}

/// The dataset that a sink is to hold.
#[derive(Clone, Debug)]
pub struct Dataset<'a> {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its segments, in order.
    pub segments: &'a [SinkSegment],
}

/// One change of a sink. Dropped before it is finalized, it leaves the sink as it was.
pub trait Transaction: Send + Sync {
    /// What must be written. Jobs are independent of each other, and may be written by several threads at once.
    fn jobs(&self) -> &[Job];

    /// Opens the writer of a job.
    ///
    /// # Errors
    /// If there is no such job, or its place can't be written.
    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError>;

    /// Makes durable what was written, or names the folders that have to be synced for it. After that, finalizing
    /// fails for no reason that could have been found before.
    ///
    /// # Errors
    /// If it can't be made durable.
    fn prepare(&self, syncs: &mut Syncs) -> Result<(), SinkError>;

    /// What will be there that nobody remembers yet. It is remembered before the transaction is finalized, so that the next
    /// run knows it for the sink's own should this one be killed in between. None where the sink itself tells what is its own.
    ///
    /// # Errors
    /// If what was written can't be looked at.
    fn announced(&self) -> Result<Option<SinkState>, SinkError> {
        Ok(None)
    }

    /// Makes all rows appear in one step; on an error, none. Every job must have been written.
    ///
    /// # Errors
    /// If a job was not written, or what is there has changed since the transaction was opened.
    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError>;
}

/// Rows to write one after the other: one file, or one file of each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Indices of the segments whose rows it takes, in order.
    pub segments: Vec<usize>,
    /// The name of what is written, within the sink's place.
    pub name: String,
}

/// Writes the rows of one job. Dropped before it is finished, it abandons them.
pub trait RowWriter {
    /// Writes rows, in order. The batch has the columns of the dataset.
    ///
    /// # Errors
    /// If a value does not fit the format, or the system refuses.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError>;

    /// Whether nobody reads any more what is written: further rows are dropped, and need not be made.
    fn is_unread(&self) -> bool {
        false
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// If the system refuses.
    fn finish(self: Box<Self>) -> Result<(), SinkError>;
}

/// What a transaction has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalized {
    /// What the sink holds now.
    pub state: SinkState,
    /// What was written.
    pub written: Written,
    /// What is still to be tidied up: what it is, why, and what it means for readers. The rows are there.
    pub untidy: Option<String>,
}

/// What a transaction has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// So many files.
    Files(usize),
    /// So many records, behind those that were there.
    Records(u64),
}

/// What of the file system belongs to a sink: a file, or a folder and within it the files of one ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The file or folder, as the pipeline's text names it.
    pub text: String,
    /// Where that is.
    pub path: PathBuf,
    /// The ending of a folder's files, such as `.csv.gz`; none for a file.
    pub ending: Option<String>,
    /// Whether others that say so may claim the same place: each knows what it has written there.
    pub is_shared: bool,
}

/// A file by which a later run sees that a sink still holds what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its stamp while nothing has changed.
    pub stamp: FileStamp,
    /// BLAKE3 of its bytes.
    pub bytes_digest: [u8; 32],
}
