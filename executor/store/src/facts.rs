//! Facts in files of their own, each under the BLAKE3 of its bytes: such files are not synced, so a power cut may leave
//! anything in them.

use crate::{Area, Memo, Store, StoreError};

/// Facts of more bytes than this lie in a file, where their kind may.
pub(crate) const BIG: usize = 16 << 10;

const DIGEST: usize = blake3::OUT_LEN;

impl Store {
    /// As [`Store::put_file`], but [`Store::sealed`] gives the bytes just as they were, or none.
    pub fn put_sealed(&self, area: Area, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let digest = blake3::hash(bytes);
        self.put_file(area, name, &[digest.as_bytes(), bytes].concat()).map(|_| ())
    }

    /// The bytes that were put into a file; none if there is none, or if it is damaged.
    pub fn sealed(&self, area: Area, name: &str) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(self.cached_file(area, name)).ok()?;
        let (digest, value) = bytes.split_at_checked(DIGEST)?;
        (blake3::hash(value).as_bytes() == digest).then(|| bytes.split_off(DIGEST))
    }
}

/// The file of a fact.
pub(crate) fn file_name(kind: Memo, key: &[u8; 32]) -> String {
    format!("{}-{}-{}", kind as u8, kind.version(), blake3::Hash::from_bytes(*key).to_hex())
}
