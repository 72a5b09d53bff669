//! How a digest of 32 bytes is written down: as hex for people, as it is for programs. For `#[serde(with)]`.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// Writes a digest.
///
/// # Errors
/// If the serializer fails.
pub fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    match serializer.is_human_readable() {
        true => serializer.serialize_str(&blake3::Hash::from_bytes(*digest).to_hex()),
        false => serializer.serialize_bytes(digest),
    }
}

/// Reads a digest.
///
/// # Errors
/// If the input is not 64 hex digits, or 32 bytes in a binary format.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    match deserializer.is_human_readable() {
        true => deserializer.deserialize_str(Digest),
        false => deserializer.deserialize_bytes(Digest),
    }
}

struct Digest;

impl Visitor<'_> for Digest {
    type Value = [u8; 32];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest of 32 bytes, or its 64 hex digits")
    }

    fn visit_str<E: Error>(self, hex: &str) -> Result<[u8; 32], E> {
        Ok(*blake3::Hash::from_hex(hex).map_err(E::custom)?.as_bytes())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<[u8; 32], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

#[cfg(test)]
mod tests {
    use crate::key::ColumnKey;

    #[test]
    fn a_digest_is_hex_in_json_and_is_refused_at_another_length() {
        let key = ColumnKey::new(std::array::from_fn(|i| i as u8));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"{key}\""));
        assert_eq!(serde_json::from_str::<ColumnKey>(&json).unwrap(), key);
        assert!(serde_json::from_str::<ColumnKey>("\"00ff\"").is_err());
        assert!(serde_json::from_str::<ColumnKey>(&json.replace("1f", "1g")).is_err());
    }
}
