//! Remembered facts: which of them are trusted, and where they lie.
//!
//! A fact ends with a seal over its kind, its key, the version of its form and the build of flowc that made it. One that
//! another version made, or that is damaged, is not found, and so made again.

use std::path::{Path, PathBuf};

use flowc_platform::{read_regular, seal, unseal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Area, StoreError};

/// Facts of more bytes than this lie in a file, where their kind may.
pub(crate) const BIG: usize = 16 << 10;

/// A kind of facts. Those are found that were remembered under an equal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memo {
    /// Tells it from other kinds. Part of the format.
    pub number: u8,
    /// The version of the facts' form.
    pub version: u32,
    /// The build of flowc that alone trusts them. None where every build does that knows the form.
    pub build: Option<&'static str>,
    /// Where they lie.
    pub place: Place,
}

/// Where facts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the index, which is durable, and lists all facts of a kind.
    Index,
    /// In the index, or in a file if they are big: the index reads and writes page by page.
    IndexOrFile,
    /// Each in a file of an area, which can be read without opening the store.
    File(Area),
}

/// A fact as the index has it.
pub(crate) enum Entry {
    /// A fact with its seal.
    Sealed(Vec<u8>),
    /// Without a seal: flowc kept facts so before they were sealed.
    Unsealed(Vec<u8>),
}

impl Memo {
    /// The file of a fact, in the store of this folder.
    pub fn file(&self, store: &Path, key: &[u8; 32]) -> PathBuf {
        self.area().path(store).join(self.file_name(key))
    }

    /// A fact that lies in a file, in a store that need not be open.
    pub fn read<T: DeserializeOwned>(&self, store: &Path, key: &[u8; 32]) -> Option<T> {
        self.decode(key, read_regular(&self.file(store, key)).ok()?)
    }

    /// The bytes of a fact in the store: its encoding and its seal.
    ///
    /// # Errors
    /// If the fact has a part that postcard can't encode, such as a sequence of unknown length.
    pub fn encode<T: Serialize>(&self, key: &[u8; 32], fact: &T) -> Result<Vec<u8>, StoreError> {
        let mut bytes = postcard::to_stdvec(fact)?;
        bytes.extend(seal(&self.name(key), &bytes));
        Ok(bytes)
    }

    /// The fact of these bytes; none if they have another seal, or encode no such fact.
    pub fn decode<T: DeserializeOwned>(&self, key: &[u8; 32], bytes: Vec<u8>) -> Option<T> {
        self.decode_entry(key, Entry::Sealed(bytes))
    }

    /// The area of files.
    pub(crate) fn area(&self) -> Area {
        match self.place {
            Place::File(area) => area,
            Place::Index | Place::IndexOrFile => Area::Facts,
        }
    }

    pub(crate) fn file_name(&self, key: &[u8; 32]) -> String {
        format!("{}-{}", self.number, blake3::Hash::from_bytes(*key).to_hex())
    }

    /// Whether a fact of this kind and size lies in a file.
    pub(crate) fn is_file(&self, size: usize) -> bool {
        match self.place {
            Place::Index => false,
            Place::IndexOrFile => size > BIG,
            Place::File(_) => true,
        }
    }

    /// The fact of an entry of the index; none if it is not to be trusted.
    pub(crate) fn decode_entry<T: DeserializeOwned>(&self, key: &[u8; 32], entry: Entry) -> Option<T> {
        let fact = match entry {
            Entry::Sealed(bytes) => unseal(&self.name(key), bytes)?,
            Entry::Unsealed(bytes) => (self.build.is_none() && self.version == 1).then_some(bytes)?,
        };
        postcard::from_bytes(&fact).ok()
    }

    /// All that a seal holds beside the fact.
    fn name(&self, key: &[u8; 32]) -> String {
        let Self { number, version, build, place: _ } = self;
        format!("fact {number} {version} {} {}", build.unwrap_or("any"), blake3::Hash::from_bytes(*key).to_hex())
    }
}
