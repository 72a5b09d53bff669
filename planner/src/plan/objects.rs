//! Which objects of object stores a source reads, and which a sink writes.

use serde::{Deserialize, Serialize};

/// Objects, and how their store is reached. Credentials are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    /// Addresses or globs of addresses. Matches are taken in byte order of the address, pattern by pattern; an object that
    /// several patterns match is taken once.
    pub patterns: Vec<ObjectAddress>,
    /// The region of the buckets, if the text names one.
    pub region: Option<String>,
    /// The URL of the service, if the text names one.
    pub endpoint: Option<String>,
    /// Whether requests carry no credentials.
    pub anonymous: bool,
}

/// An object that a sink writes, or a folder of them, and how its store is reached. Credentials are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSink {
    /// The object, or the folder: what the keys of its objects start with, without the slash.
    pub address: ObjectAddress,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The region of the bucket, if the text names one.
    pub region: Option<String>,
    /// The URL of the service, if the text names one.
    pub endpoint: Option<String>,
    /// Whether requests carry no credentials.
    pub anonymous: bool,
}

/// The address of an object, or a pattern of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectAddress {
    /// The kind of store.
    pub scheme: ObjectScheme,
    /// The bucket or container; of a web server, `host` or `host:port`.
    pub bucket: String,
    /// What follows the bucket, without a slash at its start.
    pub key: String,
}

/// Kinds of object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectScheme {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// A web server, without encryption.
    Http,
    /// A web server.
    Https,
}

impl ObjectScheme {
    /// All of them.
    pub const ALL: [ObjectScheme; 5] =
        [ObjectScheme::S3, ObjectScheme::Gs, ObjectScheme::Az, ObjectScheme::Http, ObjectScheme::Https];

    /// Its name before `://`.
    pub fn name(self) -> &'static str {
        match self {
            ObjectScheme::S3 => "s3",
            ObjectScheme::Gs => "gs",
            ObjectScheme::Az => "az",
            ObjectScheme::Http => "http",
            ObjectScheme::Https => "https",
        }
    }

    /// Whether it is a web server: its objects can be named, but not listed.
    pub fn is_web(self) -> bool {
        matches!(self, ObjectScheme::Http | ObjectScheme::Https)
    }
}

impl std::fmt::Display for ObjectAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}://{}/{}", self.scheme.name(), self.bucket, self.key)
    }
}
