//! What a sink wrote, and whether it is still so.

use std::path::PathBuf;

use arrow_schema::Schema;
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::SinkSpec;
use flowc_platform::FileStamp;
use serde::{Deserialize, Serialize};

use crate::formats::encode::writer_version;

/// One segment of the dataset that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSegment {
    /// The source file that it comes from, as matched (`a/b/part1.csv`); none if it does not come from one file.
    pub name: Option<String>,
    /// Identity of the segment's content.
    pub digest: [u8; 32],
}

/// What a sink holds. The caller remembers it; a folder also holds it as its own manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// [`result_digest`] of what was written.
    #[serde(with = "flowc_planner::digest_form")]
    pub result: [u8; 32],
    /// Digest over specification and schema alone: files of another layout are never kept.
    #[serde(rename = "form", with = "flowc_planner::digest_form")]
    pub layout: [u8; 32],
    /// The files, sorted by path.
    pub files: Vec<WrittenFile>,
    /// The stamp of the folder's manifest, which lists these files. None in the manifest itself, and for a single file.
    #[serde(default)]
    pub manifest: Option<FileStamp>,
}

/// A file that a sink wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Relative to the folder, `/`-separated; for a single file, its path in the specification.
    pub path: String,
    /// What the file system said of it once it was finalized.
    pub stamp: FileStamp,
    /// Digests of the segments whose rows it holds, in order.
    #[serde(with = "digest_list")]
    pub segments: Vec<[u8; 32]>,
    /// Number of rows.
    pub rows: u64,
    /// BLAKE3 of the file's bytes.
    #[serde(with = "flowc_planner::digest_form")]
    pub bytes_digest: [u8; 32],
}

/// Identity of everything that shapes what a sink writes: specification, schema, writer, segments.
///
/// The names of source files count where files are named after them.
pub fn result_digest(spec: &SinkSpec, schema: &Schema, segments: &[SinkSegment]) -> [u8; 32] {
    let named = spec.is_folder();
    let mut hasher = KeyHasher::new("flowc sink result 1");
    hasher.digest(&layout_digest(spec, schema)).number(segments.len() as u64);
    for SinkSegment { name, digest } in segments {
        let name = name.as_deref().filter(|_| named);
        hasher.number(u64::from(name.is_some())).bytes(name.unwrap_or_default().as_bytes()).digest(digest);
    }
    hasher.finish()
}

/// The part of [`result_digest`] that all segments share.
pub(crate) fn layout_digest(spec: &SinkSpec, schema: &Schema) -> [u8; 32] {
    let spec_json = serde_json::to_value(spec).unwrap_or_default();
    let mut hasher = KeyHasher::new("flowc sink form 2");
    hasher.bytes(canonical_json(&spec_json).as_bytes()).bytes(writer_version(&spec.format).as_bytes());
    hasher.number(schema.fields().len() as u64);
    for field in schema.fields() {
        hasher.field(field);
    }
    let mut metadata: Vec<_> = schema.metadata().iter().collect();
    metadata.sort();
    for (name, value) in metadata {
        hasher.bytes(name.as_bytes()).bytes(value.as_bytes());
    }
    hasher.finish()
}

/// Whether what was written is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intact {
    /// Every file, unchanged.
    Yes,
    /// A file is gone.
    Missing(PathBuf),
    /// A file was changed, touched or replaced.
    Altered(PathBuf),
}

/// A list of digests.
mod digest_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Digest(#[serde(with = "flowc_planner::digest_form")] [u8; 32]);

    pub(super) fn serialize<S: Serializer>(digests: &[[u8; 32]], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(digests.iter().map(|digest| Digest(*digest)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<[u8; 32]>, D::Error> {
        Ok(Vec::<Digest>::deserialize(deserializer)?.into_iter().map(|digest| digest.0).collect())
    }
}
