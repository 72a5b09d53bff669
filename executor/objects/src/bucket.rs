//! What readers ask of a bucket, and what they get.

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::error::ObjectError;

/// Kinds of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
    /// A web server; the bucket is its URL.
    Web,
}

/// How a bucket is reached. Credentials come from the environment when it is opened.
#[derive(Clone, Debug)]
pub struct Access {
    /// The kind of service.
    pub service: Service,
    /// The bucket, the container, or a web server's URL.
    pub bucket: String,
    /// The region, if the environment does not say it.
    pub region: Option<String>,
    /// The service's URL, if it is not the usual one.
    pub endpoint: Option<String>,
    /// Whether requests carry no credentials.
    pub anonymous: bool,
    /// How long requests are tried again that the service does not answer, or is too busy to.
    pub patience: Duration,
}

/// An object, as the service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name in the bucket.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The service's tag of its content; another one once it was written again.
    pub etag: Option<String>,
    /// The service's number of this version of it.
    pub version: Option<String>,
    /// When it was written, milliseconds since 1970.
    pub modified_ms: i64,
}

impl Object {
    /// What tells this version of the object from others. Listings and heads of some services quote tags differently.
    pub fn identity(&self) -> String {
        match (self.strong_tag(), &self.version) {
            (Some(etag), _) => format!("etag {}", etag.trim_matches('"')),
            (None, Some(version)) => format!("version {version}"),
            (None, None) => format!("modified {} {}", self.modified_ms, self.etag.as_deref().unwrap_or_default()),
        }
    }

    /// Whether the service tells this version from all others. A time does not: others may be written in the same second, and
    /// with the time of another file.
    pub fn is_told_apart(&self) -> bool {
        self.strong_tag().is_some() || self.version.is_some()
    }

    /// The tag, if it is one of bytes. A weak tag is the same for other bytes of the same meaning.
    pub(crate) fn strong_tag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// Takes bytes of an object, with the place of the first; an error ends the reading.
pub type Take<'a> = &'a mut dyn FnMut(u64, Bytes) -> io::Result<()>;

/// A bucket that objects are read from.
pub trait Bucket: Send + Sync {
    /// Which service has it, where its address does not say that: the environment may name another one.
    fn place(&self) -> &str;

    /// Calls `take` with each object below a folder, page by page. `deep`: also with those in folders below it.
    ///
    /// # Errors
    /// If the service does not answer, or refuses.
    fn list(&self, folder: &str, deep: bool, take: &mut dyn FnMut(Object)) -> Result<(), ObjectError>;

    /// Finds an object.
    ///
    /// # Errors
    /// If the service does not answer, refuses, or has no such object.
    fn find(&self, key: &str) -> Result<Object, ObjectError>;

    /// Reads ranges of an object, several at once. Each is handed to `take` whole, in any order.
    ///
    /// # Errors
    /// If the object is not the one that was found, or the service does not answer, or refuses. The outer error is `take`'s.
    fn read(&self, object: &Object, ranges: &[Range<u64>], take: Take<'_>) -> io::Result<Result<(), ObjectError>>;

    /// Reads all of an object in order, for services that give no ranges.
    ///
    /// # Errors
    /// As [`Bucket::read`].
    fn read_all(&self, object: &Object, take: Take<'_>) -> io::Result<Result<(), ObjectError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(etag: Option<&str>, modified_ms: i64) -> Object {
        let etag = etag.map(str::to_owned);
        Object { key: "a".to_owned(), size: 1, etag, version: None, modified_ms }
    }

    #[test]
    fn a_time_does_not_tell_objects_apart() {
        assert!(object(Some("\"x\""), 1).is_told_apart());
        assert!(Object { version: Some("1".to_owned()), ..object(None, 1) }.is_told_apart());
        assert!(!object(None, 1).is_told_apart() && !object(Some("W/\"x\""), 1).is_told_apart());
    }

    #[test]
    fn a_weak_tag_is_not_all_that_tells_objects_apart() {
        assert_eq!(object(Some("\"x\""), 1).identity(), object(Some("x"), 2).identity());
        assert_ne!(object(Some("W/\"x\""), 1).identity(), object(Some("W/\"x\""), 2).identity());
    }
}
