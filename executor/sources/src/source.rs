//! What every source does, whatever it reads.
//!
//! A run calls [`Source::poll`] once, and compares the stamps of the parts with those that it remembers. It calls
//! [`Source::open`] for each part that is new or was changed, cuts it into segments, and reads them; later it opens parts
//! again whose columns it needs. At the end of a good run it calls [`Source::commit`].

use std::path::PathBuf;

use arrow_schema::SchemaRef;
use flowc_planner::key::KeyHasher;
use flowc_platform::FileStamp;

use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::infer::basis::Basis;

/// Where the rows of a stream come from.
pub trait Source: Send + Sync {
    /// Hashes what the source reads. What is known of its parts is remembered under this and its format and columns.
    fn hash_into(&self, hasher: &mut KeyHasher);

    /// Patterns of the files of this machine that it reads.
    fn patterns(&self) -> &[String] {
        &[]
    }

    /// Whether a part can be opened again in a later run.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// Finds the parts that the source has now. `known` is what an earlier poll found; where it still holds, nothing needs
    /// to be listed.
    ///
    /// # Errors
    /// If there is nothing to read, or the system refuses.
    fn poll(&self, known: &Polled) -> Result<Polled, SourceError>;

    /// What the last run read, of what an earlier poll found; none unless each poll finds something new by itself, changed or
    /// not.
    fn last_read(&self, _known: &Polled) -> Option<Polled> {
        None
    }

    /// The version of a table that this process read last, of what has versions.
    fn version(&self) -> Option<u64> {
        None
    }

    /// Tells the columns of a source that does not declare them, from its parts.
    ///
    /// # Errors
    /// If the parts can't be read before the run, or show no columns.
    fn infer_schema(&self, parts: &[SourcePart]) -> Result<SchemaRef, SourceError>;

    /// Opens a part, to be cut into segments and read. `schema` has the source's columns.
    ///
    /// # Errors
    /// If the part can't be read, or does not have the columns.
    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError>;

    /// The name of what the store keeps of a part beside results, in [`Folders::blocks`]: garbage collection leaves it while
    /// the part belongs to a pipeline's last good run.
    fn kept(&self, _part: &SourcePart) -> Option<String> {
        None
    }

    /// Takes in that a run is done: the rows of these parts, as they were polled, are in the store and in all sinks, so no
    /// later run needs the source to repeat them.
    ///
    /// # Errors
    /// If the source can't take it in.
    fn commit(&self, _parts: &mut dyn Iterator<Item = &SourcePart>) -> Result<(), SourceError> {
        Ok(())
    }

    /// Says why a part may be read in the wrong dialect, and what to set; none if nothing is odd about it.
    fn doubt(&self, _part: &SourcePart) -> Option<String> {
        None
    }

    /// Says what the column that an error is about would be inferred from now; none if it can't be told.
    fn basis(&self, _parts: &[SourcePart], _error: &SourceError) -> Option<Basis> {
        None
    }
}

/// A named run of bytes that a source reads as one, such as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePart {
    /// Its name, for messages and for the files of sinks.
    pub name: String,
    /// Where it lies, if it is a file of this machine.
    pub path: Option<PathBuf>,
    /// What it was when it was polled. While the stamp is the same, the part holds the same segments; a part without a
    /// stamp is read in every run.
    pub stamp: Option<FileStamp>,
}

/// The partition of a topic that a part lies in: `bids-0`, of the block `bids-0-262144`.
pub fn partition_of_block(part: &str) -> &str {
    part.rsplit_once('-').map_or(part, |(partition, _)| partition)
}

/// Folders of the store that sources may use.
#[derive(Clone, Debug)]
pub struct Folders {
    /// For bytes that can't be read where they are. It exists, and lasts no longer than the process.
    pub spool: PathBuf,
    /// For what can't be read again later. It need not exist.
    pub blocks: PathBuf,
    /// For schemas that registries gave by their ids, which mean them for ever. It need not exist.
    pub schemas: PathBuf,
}

/// What a source has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Its parts, in the order of the dataset.
    pub parts: Vec<SourcePart>,
    /// Folders with their stamps: while none of them changes, no part is added or removed. None if folders can't tell; an
    /// empty list where nothing can change.
    pub folders: Option<Vec<(PathBuf, FileStamp)>>,
}
