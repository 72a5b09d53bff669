//! Objects as a source: one part each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use arrow_schema::SchemaRef;
use flowc_objects::{Bucket, Client, Object, ObjectError, access};
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::pattern::is_glob;
use flowc_planner::plan::{Compression, ObjectAddress, Objects, SourceSpec};
use flowc_platform::{FileStamp, lock};

use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::files::part_bytes::PartBytes;
use crate::files::spool::plain_view;
use crate::files::view::View;
use crate::infer::basis::{Basis, basis};
use crate::infer::doubts::doubt;
use crate::infer::schema::infer_columns;
use crate::objects::matches::matches;
use crate::objects::remote::{RemoteFile, failed};
use crate::source::{Folders, Polled, Source, SourcePart};

/// Objects that patterns match.
pub(crate) struct ObjectSource {
    spec: SourceSpec,
    objects: Objects,
    /// Buckets, once they were asked, by their addresses.
    buckets: Mutex<HashMap<String, Arc<dyn Bucket>>>,
    /// Objects that were opened last, while they are open.
    opened: Mutex<VecDeque<Weak<RemoteFile>>>,
}

/// How many objects are remembered that were opened last.
const OPENED: usize = 64;

impl ObjectSource {
    /// Asks no service yet.
    pub(crate) fn new(spec: SourceSpec, objects: Objects) -> Self {
        Self { spec, objects, buckets: Mutex::default(), opened: Mutex::default() }
    }

    #[cfg(test)]
    fn with_bucket(self, address: &str, bucket: Arc<dyn Bucket>) -> Self {
        lock(&self.buckets).insert(address.to_owned(), bucket);
        self
    }

    fn bucket(&self, address: &ObjectAddress) -> Result<Arc<dyn Bucket>, ObjectError> {
        let name = bucket_name(address);
        let mut buckets = lock(&self.buckets);
        if let Some(bucket) = buckets.get(&name) {
            return Ok(bucket.clone());
        }
        let Objects { patterns: _, region, endpoint, anonymous } = &self.objects;
        let access = access(address, region.as_deref(), endpoint.as_deref(), *anonymous);
        let opened: Arc<dyn Bucket> = Arc::new(Client::open(&access)?);
        buckets.insert(name, opened.clone());
        Ok(opened)
    }

    fn listed(&self, pattern: &ObjectAddress) -> Result<Vec<Object>, SourceError> {
        let no_match = || SourceError::NoObject { pattern: pattern.to_string() };
        match self.bucket(pattern).and_then(|bucket| matches(&*bucket, pattern)) {
            Ok(found) if found.is_empty() => Err(no_match()),
            Ok(found) => Ok(found),
            Err(ObjectError::NoObject) => Err(no_match()),
            Err(error) if is_glob(&pattern.key) => Err(failed(&bucket_name(pattern), error)),
            Err(error) => Err(failed(&pattern.to_string(), error)),
        }
    }

    /// While the stamp stands the object is the same.
    fn stamp(bucket: &dyn Bucket, address: &ObjectAddress, object: &Object) -> FileStamp {
        let mut hasher = KeyHasher::new("flowc object 1");
        hasher.bytes(bucket.place().as_bytes());
        hasher.bytes(address.to_string().as_bytes()).bytes(object.identity().as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = hasher.finish();
        FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), object.size)
    }

    /// The address of a part.
    fn address(&self, part: &SourcePart) -> Option<ObjectAddress> {
        let of = |pattern: &ObjectAddress| {
            let prefix = format!("{}/", bucket_name(pattern));
            let key = part.name.strip_prefix(&prefix)?.to_owned();
            Some(ObjectAddress { key, ..pattern.clone() })
        };
        self.objects.patterns.iter().find_map(of)
    }

    /// The object of a part as it is now, to be read under its stamp. One that is open is not asked for again.
    fn remote(&self, part: &SourcePart, spool: &Path) -> Result<(Arc<RemoteFile>, FileStamp), SourceError> {
        let unknown = || SourceError::NoObject { pattern: part.name.clone() };
        let address = self.address(part).ok_or_else(unknown)?;
        let mut open = lock(&self.opened).iter().filter_map(Weak::upgrade).collect::<Vec<_>>().into_iter();
        if let Some(file) = open.find(|file| file.name() == part.name) {
            let stamp = Self::stamp(file.bucket(), &address, file.object());
            if part.stamp.is_none_or(|listed| listed == stamp) {
                return Ok((file, stamp));
            }
        }
        let found = self.bucket(&address).and_then(|bucket| Ok((bucket.find(&address.key)?, bucket)));
        let (object, bucket) = found.map_err(|error| match error {
            ObjectError::NoObject => failed(&part.name, ObjectError::Changed),
            other => failed(&part.name, other),
        })?;
        let stamp = Self::stamp(&*bucket, &address, &object);
        if part.stamp.is_some_and(|listed| listed != stamp) {
            return Err(failed(&part.name, ObjectError::Changed));
        }
        let file = Arc::new(RemoteFile::new(bucket, object, &part.name, spool)?);
        let mut opened = lock(&self.opened);
        opened.push_front(Arc::downgrade(&file));
        opened.truncate(OPENED);
        Ok((file, stamp))
    }

    fn origins<'a>(&'a self, parts: &'a [SourcePart]) -> Vec<ObjectPart<'a>> {
        parts.iter().map(|part| ObjectPart { source: self, part }).collect()
    }
}

/// The address of a bucket.
fn bucket_name(address: &ObjectAddress) -> String {
    format!("{}://{}", address.scheme.name(), address.bucket)
}

/// A part, as what columns are inferred from.
struct ObjectPart<'a> {
    source: &'a ObjectSource,
    part: &'a SourcePart,
}

impl PartBytes for ObjectPart<'_> {
    fn name(&self) -> &str {
        &self.part.name
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        let (file, _) = self.source.remote(self.part, &std::env::temp_dir())?;
        Ok(Box::new(View::of_remote(file).cursor(0)))
    }

    fn plain(&self, compression: Compression, folder: &Path) -> Result<View, SourceError> {
        plain_view(View::of_remote(self.source.remote(self.part, folder)?.0), compression, folder)
    }
}

impl Source for ObjectSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        hasher.bytes(canonical_json(&serde_json::json!(self.objects)).as_bytes());
    }

    fn poll(&self, _known: &Polled) -> Result<Polled, SourceError> {
        let (mut parts, mut taken) = (Vec::new(), HashSet::new());
        for pattern in &self.objects.patterns {
            let found = self.listed(pattern)?;
            let bucket = self.bucket(pattern).map_err(|error| failed(&bucket_name(pattern), error))?;
            for object in found {
                let address = ObjectAddress { key: object.key.clone(), ..pattern.clone() };
                let name = address.to_string();
                if self.objects.patterns.len() == 1 || taken.insert(name.clone()) {
                    let stamp = object.is_told_apart().then(|| Self::stamp(&*bucket, &address, &object));
                    parts.push(SourcePart { name, path: None, stamp });
                }
            }
        }
        Ok(Polled { parts, folders: None })
    }

    fn infer_schema(&self, parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        infer_columns(&self.origins(parts), &self.spec)
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        let (remote, stamp) = self.remote(part, &folders.spool)?;
        OpenFile::of_remote(remote, &self.spec, schema, stamp, &folders.spool)
    }

    fn doubt(&self, part: &SourcePart) -> Option<String> {
        doubt(&ObjectPart { source: self, part }, &self.spec)
    }

    fn basis(&self, parts: &[SourcePart], error: &SourceError) -> Option<Basis> {
        basis(&self.origins(parts), &self.spec, error)
    }
}

#[cfg(test)]
mod tests;
