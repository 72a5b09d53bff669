//! A bucket in memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use flowc_objects::{Bucket, Object, ObjectError, Take};

/// Objects, and what was asked of them.
pub(super) struct Memory {
    objects: Mutex<BTreeMap<String, Bytes>>,
    has_ranges: bool,
    has_tags: bool,
    place: &'static str,
    listed: Mutex<Vec<String>>,
    fetched: Mutex<u64>,
}

impl Memory {
    pub(super) fn new<T: AsRef<[u8]>>(objects: impl IntoIterator<Item = (&'static str, T)>) -> Self {
        let objects = objects.into_iter().map(|(key, bytes)| (key.to_owned(), Bytes::copy_from_slice(bytes.as_ref())));
        Self {
            objects: Mutex::new(objects.collect()),
            has_ranges: true,
            has_tags: true,
            place: "",
            listed: Mutex::default(),
            fetched: Mutex::default(),
        }
    }

    pub(super) fn without_ranges(self) -> Self {
        Self { has_ranges: false, ..self }
    }

    pub(super) fn without_tags(self) -> Self {
        Self { has_tags: false, ..self }
    }

    pub(super) fn at(self, place: &'static str) -> Self {
        Self { place, ..self }
    }

    pub(super) fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.objects.lock().unwrap().insert(key.to_owned(), Bytes::copy_from_slice(bytes.as_ref()));
    }

    /// Which folders were listed.
    pub(super) fn listed(&self) -> Vec<String> {
        self.listed.lock().unwrap().clone()
    }

    /// How many bytes were fetched.
    pub(super) fn fetched(&self) -> u64 {
        *self.fetched.lock().unwrap()
    }

    fn object(&self, key: &str, bytes: &Bytes) -> Object {
        let etag = self.has_tags.then(|| format!("\"{}\"", blake3::hash(bytes).to_hex()));
        Object { key: key.to_owned(), size: bytes.len() as u64, etag, version: None, modified_ms: 0 }
    }

    fn content(&self, object: &Object) -> Result<Bytes, ObjectError> {
        let objects = self.objects.lock().unwrap();
        let bytes = objects.get(&object.key).filter(|bytes| self.object(&object.key, bytes) == *object);
        bytes.cloned().ok_or(ObjectError::Changed)
    }
}

impl Bucket for Memory {
    fn place(&self) -> &str {
        self.place
    }

    fn list(&self, folder: &str, deep: bool, take: &mut dyn FnMut(Object)) -> Result<(), ObjectError> {
        self.listed.lock().unwrap().push(format!("{folder} {}", if deep { "deep" } else { "shallow" }));
        for (key, bytes) in &*self.objects.lock().unwrap() {
            if key.strip_prefix(folder).is_some_and(|rest| deep || !rest.contains('/')) {
                take(self.object(key, bytes));
            }
        }
        Ok(())
    }

    fn find(&self, key: &str) -> Result<Object, ObjectError> {
        let objects = self.objects.lock().unwrap();
        objects.get(key).map(|bytes| self.object(key, bytes)).ok_or(ObjectError::NoObject)
    }

    fn read(&self, object: &Object, ranges: &[Range<u64>], take: Take<'_>) -> io::Result<Result<(), ObjectError>> {
        if !self.has_ranges {
            return Ok(Err(ObjectError::NoRanges));
        }
        let content = match self.content(object) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        for range in ranges.iter().rev() {
            *self.fetched.lock().unwrap() += range.end - range.start;
            take(range.start, content.slice(range.start as usize..range.end as usize))?;
        }
        Ok(Ok(()))
    }

    fn read_all(&self, object: &Object, take: Take<'_>) -> io::Result<Result<(), ObjectError>> {
        let content = match self.content(object) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        for (number, piece) in content.chunks(1000).enumerate() {
            take(1000 * number as u64, content.slice_ref(piece))?;
        }
        Ok(Ok(()))
    }
}
