//! Where the objects of a sink lie.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flowc_objects::{Bucket, Client, Object, ObjectError};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::ObjectSink;
use flowc_platform::FileStamp;

use crate::error::SinkError;

/// An object, or a folder of objects, in its bucket.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) bucket: Arc<Client>,
    pub(super) objects: ObjectSink,
}

impl Place {
    /// The key of an object. `path` is that within the folder; a single object has none.
    pub(super) fn key(&self, path: &str) -> String {
        let key = &self.objects.address.key;
        if self.objects.is_folder { format!("{key}/{path}") } else { key.clone() }
    }

    /// The address of an object, for messages.
    pub(super) fn shown(&self, path: &str) -> PathBuf {
        let address = self.objects.address.to_string();
        PathBuf::from(if self.objects.is_folder { format!("{address}/{path}") } else { address })
    }

    /// An error about the whole place.
    pub(super) fn failed(&self, error: &ObjectError) -> SinkError {
        failed(&self.objects, error)
    }

    /// An object of this content, whoever wrote it. A request may have been done though its answer was lost.
    pub(super) fn find_content(&self, key: &str, size: u64, digest: &[u8; 32]) -> Result<Option<Object>, ObjectError> {
        let object = match self.bucket.find(key) {
            Ok(object) if object.size == size => object,
            Ok(_) | Err(ObjectError::NoObject) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut hasher = blake3::Hasher::new();
        let mut take = |_, bytes: bytes::Bytes| -> io::Result<()> {
            hasher.update(&bytes);
            Ok(())
        };
        let read = self.bucket.read_all(&object, &mut take);
        match read.unwrap_or_else(|error| Err(ObjectError::Other { reason: error.to_string() })) {
            Ok(()) => Ok(Some(object).filter(|_| hasher.finalize().as_bytes() == digest)),
            Err(ObjectError::Changed) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An error about a sink's place.
pub(super) fn failed(objects: &ObjectSink, error: &ObjectError) -> SinkError {
    SinkError::Object { address: objects.address.to_string(), reason: reason(error) }
}

/// An error about writing there, in the words of a sink.
pub(super) fn reason(error: &ObjectError) -> String {
    match error {
        ObjectError::Changed => {
            "it was written or deleted by others while the run was writing, and is left as they made it; run again"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What tells a version of an object from others.
pub(super) fn stamp(object: &Object) -> FileStamp {
    let [a, b, c, d, e, f, g, h, ..] =
        KeyHasher::new("flowc written object 1").bytes(object.identity().as_bytes()).finish();
    FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), object.size)
}
