//! Writing objects: whole, in one request, or in parts of which nothing is seen before the last step.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, UpdateVersion};
use tokio::task::JoinHandle;

use super::unfinished::Unfinished;
use super::{Client, of_meta, runtime};
use crate::bucket::{Bucket, Object, Service};
use crate::error::ObjectError;
use crate::transport::{Header, Transport};

/// How many parts of an object are on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// How long an upload that is given up is tried to be aborted: the next run does it otherwise.
const ABORTING: Duration = Duration::from_secs(5);

/// Under which condition an object is written. The service checks it in the step in which the object appears.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// Nothing is there.
    Absent,
    /// This version of it is there, as it was found or written by itself: listings quote tags differently.
    Unchanged(Object),
}

/// Objects that could not be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeleted {
    /// How many.
    pub count: usize,
    /// Why the first of them could not.
    pub error: ObjectError,
}

impl Client {
    /// Writes an object in one request. Gives it as it is then.
    ///
    /// # Errors
    /// [`ObjectError::Changed`] if the condition does not hold, which may be because the service did the request and its answer was lost;
    /// else if the service does not answer, or refuses.
    pub fn put(&self, key: &str, bytes: Bytes, condition: &Condition) -> Result<Object, ObjectError> {
        let (path, size) = (self.path(key)?, bytes.len() as u64);
        let mode = match condition {
            // Web servers know no conditions.
            _ if self.service == Service::Web => PutMode::Overwrite,
            Condition::Always => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Unchanged(object) => {
                PutMode::Update(UpdateVersion { e_tag: object.etag.clone(), version: object.version.clone() })
            }
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = runtime().block_on(self.store.put_opts(&path, PutPayload::from_bytes(bytes), options));
        self.written(key, size, put.map_err(|error| self.failed(&error))?)
    }

    /// Reads an object whole. Gives it as it was then.
    ///
    /// # Errors
    /// If the service does not answer, refuses, or has no such object.
    pub fn get_whole(&self, key: &str) -> Result<(Object, Bytes), ObjectError> {
        let path = self.path(key)?;
        let got = runtime().block_on(async {
            let result = self.store.get(&path).await?;
            let object = of_meta(&result.meta);
            Ok((object, result.bytes().await?))
        });
        let (object, bytes) = got.map_err(|error| self.failed(&error))?;
        Ok((Object { key: key.to_owned(), ..object }, bytes))
    }

    /// Begins an object that is written in parts.
    ///
    /// # Errors
    /// If the service does not answer, or refuses; web servers take no parts.
    pub fn begin(self: &Arc<Self>, key: &str) -> Result<Upload, ObjectError> {
        let multipart = self.multipart.clone().ok_or(ObjectError::NoParts)?;
        let path = self.path(key)?;
        let id = runtime().block_on(multipart.create_multipart(&path)).map_err(|error| self.failed(&error))?;
        let (key, client) = (key.to_owned(), self.clone());
        let (sent, parts) = (VecDeque::new(), Vec::new());
        Ok(Upload { client, multipart, key, path, id, sent, parts, next: 0, size: 0, ended: false })
    }

    /// Whether an object can be written in parts.
    pub fn takes_parts(&self) -> bool {
        self.multipart.is_some()
    }

    /// The uploads below a prefix that were neither completed nor aborted, of the keys that `is_meant`; none where the service does not
    /// list them.
    ///
    /// # Errors
    /// If the service does not answer, or refuses.
    pub fn unfinished(&self, prefix: &str, is_meant: &dyn Fn(&str) -> bool) -> Result<Vec<Unfinished>, ObjectError> {
        let Some(list) = &self.unfinished else { return Ok(Vec::new()) };
        let all = runtime().block_on(list.all(prefix)).map_err(|reason| ObjectError::Other { reason })?;
        Ok(all.into_iter().filter(|upload| is_meant(&upload.key)).collect())
    }

    /// Aborts uploads: whoever sends a part of one later, or completes it, is told that it is gone. It is well if they have ended meanwhile.
    ///
    /// # Errors
    /// If the service does not answer, or refuses.
    pub fn abort(&self, uploads: &[Unfinished]) -> Result<(), ObjectError> {
        let Some(multipart) = &self.multipart else { return Ok(()) };
        runtime().block_on(async {
            for Unfinished { key, id } in uploads {
                match multipart.abort_multipart(&self.path(key)?, id).await.map_err(|error| self.failed(&error)) {
                    Ok(()) | Err(ObjectError::NoObject | ObjectError::Changed) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    /// Deletes objects, as many as it can. It is well if they are not there.
    ///
    /// # Errors
    /// If the service does not answer, or refuses.
    pub fn delete(&self, keys: &[String]) -> Result<(), Undeleted> {
        let paths = keys.iter().map(|key| self.path(key).map(Ok)).collect::<Result<Vec<_>, _>>();
        let paths = paths.map_err(|error| Undeleted { count: keys.len(), error })?;
        let mut deleted = self.store.delete_stream(futures::stream::iter(paths).boxed());
        runtime().block_on(async {
            let (mut gone, mut failure) = (0, None);
            while let Some(one) = deleted.next().await {
                match one.map_err(|error| self.failed(&error)) {
                    Ok(_) | Err(ObjectError::NoObject) => gone += 1,
                    // It is about one object, or about all of a request.
                    Err(error) => drop(failure.get_or_insert(error)),
                }
            }
            failure.map_or(Ok(()), |error| Err(Undeleted { count: keys.len().saturating_sub(gone), error }))
        })
    }

    /// An object that was written. It is asked for where the service did not say its tag.
    fn written(&self, key: &str, size: u64, put: PutResult) -> Result<Object, ObjectError> {
        let object = Object { key: key.to_owned(), size, etag: put.e_tag, version: put.version, modified_ms: 0 };
        if object.is_told_apart() { Ok(object) } else { self.find(key) }
    }
}

/// An object that is being written in parts. Dropped before it is completed, it is aborted: nothing of it is ever seen.
pub struct Upload {
    client: Arc<Client>,
    multipart: Arc<dyn MultipartStore>,
    key: String,
    path: Path,
    id: String,
    /// Parts on their way, in order.
    sent: VecDeque<JoinHandle<object_store::Result<PartId>>>,
    /// Parts that have arrived, in order; those on their way follow.
    parts: Vec<PartId>,
    next: usize,
    size: u64,
    ended: bool,
}

impl Upload {
    /// Sends the next part, and waits while many are on their way. All but the last one must be of 5 MiB at least.
    ///
    /// # Errors
    /// If the service did not answer, or refused, for this part or an earlier one.
    pub fn add(&mut self, part: Bytes) -> Result<(), ObjectError> {
        while self.sent.len() >= PARTS_AT_ONCE {
            self.await_one()?;
        }
        let (multipart, path, id, number) = (self.multipart.clone(), self.path.clone(), self.id.clone(), self.next);
        self.next += 1;
        self.size += part.len() as u64;
        let send = async move { multipart.put_part(&path, &id, number, PutPayload::from_bytes(part)).await };
        self.sent.push_back(runtime().spawn(send));
        Ok(())
    }

    /// Whether another one is this upload.
    pub fn is(&self, other: &Unfinished) -> bool {
        self.id == other.id
    }

    /// How many parts were sent.
    pub fn count(&self) -> usize {
        self.next
    }

    /// Waits until all parts have arrived.
    ///
    /// # Errors
    /// As [`Upload::add`].
    pub fn settle(&mut self) -> Result<(), ObjectError> {
        while !self.sent.is_empty() {
            self.await_one()?;
        }
        Ok(())
    }

    /// Makes the object appear. Azure checks no condition here.
    ///
    /// # Errors
    /// As [`Client::put`]; [`ObjectError::Changed`] also if somebody has aborted the upload.
    pub fn complete(mut self, condition: &Condition) -> Result<Object, ObjectError> {
        self.settle()?;
        let (condition, parts) = (header(self.client.service, condition), std::mem::take(&mut self.parts));
        let completion = self.multipart.complete_multipart(&self.path, &self.id, parts);
        let put = runtime().block_on(Transport::under(condition, completion));
        let put = put.map_err(|error| self.client.failed(&error)).map_err(|error| match error {
            ObjectError::NoObject => ObjectError::Changed,
            other => other,
        })?;
        self.ended = true;
        self.client.written(&self.key, self.size, put)
    }

    fn await_one(&mut self) -> Result<(), ObjectError> {
        let Some(part) = self.sent.pop_front() else { return Ok(()) };
        let part = runtime().block_on(part).map_err(|error| ObjectError::Other { reason: error.to_string() })?;
        self.parts.push(part.map_err(|error| self.client.failed(&error))?);
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.sent.iter().for_each(JoinHandle::abort);
        let abort =
            async { tokio::time::timeout(ABORTING, self.multipart.abort_multipart(&self.path, &self.id)).await };
        if !matches!(runtime().block_on(abort), Ok(Ok(()))) {
            tracing::warn!("an unfinished upload is left behind, which the next run that writes there aborts");
        }
    }
}

/// A condition as services read it where an upload is completed.
fn header(service: Service, condition: &Condition) -> Option<Header> {
    let version = |object: &Object| object.version.clone();
    match (service, condition) {
        (Service::S3, Condition::Absent) => Some(("if-none-match", "*".to_owned())),
        (Service::S3, Condition::Unchanged(object)) => Some(("if-match", object.etag.clone()?)),
        (Service::Google, Condition::Absent) => Some(("x-goog-if-generation-match", "0".to_owned())),
        (Service::Google, Condition::Unchanged(object)) => Some(("x-goog-if-generation-match", version(object)?)),
        _ => None,
    }
}
