//! The store's vocabulary.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use flowc_planner::key::{ColumnKey, ContentDigest, RowsKey};
use serde::{Deserialize, Serialize};

use crate::lease::Need;

/// A column of a segment in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredColumn {
    /// Digest of its logical content.
    pub content: ContentDigest,
    /// Number of rows.
    pub rows: u64,
    /// Where the bytes lie.
    pub location: Location,
}

impl StoredColumn {
    /// What whoever reads it relies on.
    pub fn need(&self) -> Need {
        Need::Object(self.location.object)
    }
}

/// Where a column lies: a segment file within an object, and a column in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The object.
    pub object: ObjectId,
    /// Where in it the segment file begins; a multiple of 64.
    pub offset: u64,
    /// Bytes of the segment file.
    pub length: u64,
    /// Index of the column in the segment file.
    pub column: u32,
    /// Hash of the segment file's structure: footer and message headers. What they describe is digested in `content`.
    pub check: u64,
}

/// Names an object. Names are random, not digests: a pack of small segments is named, and its columns are located in
/// it, before its last byte is known; content is checked by column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectId(pub(crate) [u8; 16]);

impl ObjectId {
    /// A name that no other object has.
    pub(crate) fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let half = || RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now())).to_le_bytes();
        let mut name = [0; 16];
        name[..8].copy_from_slice(&half());
        name[8..].copy_from_slice(&half());
        Self(name)
    }

    /// Such a name that begins with these bytes.
    pub(crate) fn beginning(with: [u8; 8]) -> Self {
        let Self(mut name) = Self::random();
        name[..8].copy_from_slice(&with);
        Self(name)
    }

    /// Whether it begins with these bytes.
    pub(crate) fn begins_with(self, bytes: [u8; 8]) -> bool {
        self.0[..8] == bytes
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

impl FromStr for ObjectId {
    type Err = std::num::ParseIntError;
    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        Ok(Self(u128::from_str_radix(hex, 16)?.to_be_bytes()))
    }
}

/// A segment that is written but not yet recorded under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedSegment {
    /// Number of rows.
    pub rows: u64,
    /// One per column of the writer's schema.
    pub columns: Vec<StoredColumn>,
}

/// Results to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Rows keys, and how many rows they stand for.
    pub rows: Vec<(RowsKey, u64)>,
    /// Column keys, and where the columns lie.
    pub columns: Vec<(ColumnKey, StoredColumn)>,
}

/// Folders of files that are kept under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// Compiled components.
    Cwasm,
    /// Components built from source trees.
    Builds,
    /// Environments of Python stages.
    Environments,
    /// Code as it was hashed, by its digest.
    Code,
    /// What the files of that code hold, each content once.
    CodeFiles,
    /// Snapshots by which a run sees that nothing has changed.
    Noop,
    /// Big facts.
    Facts,
    /// What runs found in the store, for those after them. Whatever takes results away removes these files.
    Found,
    /// Blocks of topics: a topic forgets.
    Blocks,
    /// Schemas that registries gave by their ids. They are few and small, and stay.
    Schemas,
}

impl Area {
    /// All of them.
    pub(crate) const ALL: [Area; 10] = [
        Area::Cwasm,
        Area::Builds,
        Area::Environments,
        Area::Code,
        Area::CodeFiles,
        Area::Noop,
        Area::Facts,
        Area::Found,
        Area::Blocks,
        Area::Schemas,
    ];

    /// Whether its files outlast a power cut.
    pub(crate) fn is_durable(self) -> bool {
        matches!(self, Area::Cwasm | Area::Builds)
    }

    /// The folder of the area, in the store of this folder.
    pub(crate) fn path(self, store: &Path) -> PathBuf {
        store.join(self.folder())
    }

    /// The folder's name.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Area::Cwasm => "cwasm",
            Area::Builds => "builds",
            Area::Environments => "builds/python",
            Area::Code => "builds/code",
            Area::CodeFiles => "builds/code/files",
            Area::Noop => "noop",
            Area::Facts => "facts",
            Area::Found => "found",
            Area::Blocks => "blocks",
            Area::Schemas => "schemas",
        }
    }
}
