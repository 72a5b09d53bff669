//! Object files, and the caches of what is mapped and opened.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use arrow_buffer::Buffer;
use flowc_platform::{lock, open_regular};
use memmap2::Mmap;

use crate::error::io_at;
use crate::group::Pack;
use crate::segment::Segment;
use crate::{Location, ObjectId, StoreError};

/// Entries of a cache before it is emptied. Mappings are limited by the system (65530 by default on Linux).
const CACHED: usize = 4096;
/// Bytes of mappings before they are forgotten. What is mapped counts as memory of this process for as long as it is.
const MAPPED: usize = 1 << 30;

/// Up to so many objects are synced one by one; more are synced by one call for the whole file system, which waits for
/// other programs' writes too.
const SYNC_SINGLY: usize = 16;

/// The folder of objects.
pub(crate) struct Objects {
    folder: PathBuf,
    tmp: PathBuf,
    maps: Mutex<Maps>,
    segments: Mutex<HashMap<(ObjectId, u64), Arc<Segment>>>,
}

/// The mapped files of objects, and the sum of their bytes.
#[derive(Default)]
struct Maps {
    by_object: HashMap<ObjectId, Buffer>,
    bytes: usize,
}

impl Maps {
    /// Whether there is no room for one of so many bytes beside the others.
    fn is_full_for(&self, bytes: usize) -> bool {
        let is_full = self.by_object.len() >= CACHED || self.bytes.saturating_add(bytes) > MAPPED;
        is_full && !self.by_object.is_empty()
    }

    fn insert(&mut self, object: ObjectId, map: Buffer) {
        self.bytes += map.len();
        self.by_object.insert(object, map);
    }
}

impl Objects {
    pub(crate) fn new(store: &Path) -> Self {
        let (folder, tmp) = (store.join("objects"), store.join("tmp"));
        Self { folder, tmp, maps: Mutex::default(), segments: Mutex::default() }
    }

    /// Where an object lies when it is complete.
    pub(crate) fn path(&self, id: ObjectId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// The folder of objects that are being written.
    pub(crate) fn temporaries(&self) -> &Path {
        &self.tmp
    }

    /// Where an object lies while it is written.
    pub(crate) fn temporary(&self, id: ObjectId) -> PathBuf {
        self.tmp.join(id.to_string())
    }

    /// Gives a complete object its name.
    pub(crate) fn publish(&self, id: ObjectId, file: &File, temporary: &Path) -> Result<(), StoreError> {
        file.set_permissions(Permissions::from_mode(0o444)).map_err(io_at("protect", temporary))?;
        let path = self.path(id);
        flowc_platform::rename_new(temporary, &path).map_err(io_at("rename", &path))
    }

    /// Writes a pack as one object.
    pub(crate) fn write_pack(&self, id: ObjectId, pack: &Pack) -> Result<(), StoreError> {
        let path = self.temporary(id);
        let mut file = create(&path).map_err(io_at("create", &path))?;
        let written = write_parts(&mut file, pack).map_err(io_at("write", &path));
        written.and_then(|()| self.publish(id, &file, &path)).inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        })
    }

    /// Makes objects and their names durable.
    pub(crate) fn sync(&self, ids: &[ObjectId]) -> Result<(), StoreError> {
        if ids.len() > SYNC_SINGLY {
            return flowc_platform::sync_filesystem(&self.folder).map_err(io_at("sync", &self.folder));
        }
        for id in ids {
            let path = self.path(*id);
            File::open(&path).and_then(|file| file.sync_all()).map_err(io_at("sync", &path))?;
        }
        match ids.is_empty() {
            true => Ok(()),
            false => flowc_platform::sync_directory(&self.folder).map_err(io_at("sync", &self.folder)),
        }
    }

    /// The bytes of a segment file within an object on disk.
    pub(crate) fn bytes(&self, place: &Location) -> Result<Buffer, StoreError> {
        let object = self.map(place)?;
        let damaged = || StoreError::Damaged { location: *place, reason: "the object is shorter than it was".into() };
        let end = place.offset.checked_add(place.length).filter(|&end| end <= object.len() as u64);
        end.ok_or_else(damaged)?;
        Ok(object.slice_with_length(place.offset as usize, place.length as usize))
    }

    fn map(&self, place: &Location) -> Result<Buffer, StoreError> {
        let mut maps = lock(&self.maps);
        if let Some(map) = maps.by_object.get(&place.object) {
            return Ok(map.clone());
        }
        let map = map_file(&self.path(place.object), place)?;
        if maps.is_full_for(map.len()) {
            *maps = Maps::default();
            // They hold what was mapped.
            lock(&self.segments).clear();
        }
        maps.insert(place.object, map.clone());
        Ok(map)
    }

    /// A segment that is open already.
    pub(crate) fn open_segment(&self, place: &Location) -> Option<Arc<Segment>> {
        let segments = lock(&self.segments);
        segments.get(&(place.object, place.offset)).cloned()
    }

    /// Keeps an open segment for the next reader.
    pub(crate) fn keep_segment(&self, place: &Location, segment: Arc<Segment>) {
        let mut segments = lock(&self.segments);
        if segments.len() >= CACHED {
            segments.clear();
        }
        segments.insert((place.object, place.offset), segment);
    }

    /// Forgets all that is mapped and opened.
    pub(crate) fn forget(&self) {
        *lock(&self.maps) = Maps::default();
        lock(&self.segments).clear();
    }
}

/// Begins an object.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn write_parts(file: &mut File, pack: &Pack) -> io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    let mut end = 0;
    for (offset, bytes) in &pack.parts {
        out.write_all(&[0; crate::group::ALIGNMENT as usize][..(offset - end) as usize])?;
        out.write_all(bytes)?;
        end = offset + bytes.len() as u64;
    }
    out.flush()
}

fn map_file(path: &Path, place: &Location) -> Result<Buffer, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { location: *place, reason };
    let file = open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged("the object is not there any more".into()),
        io::ErrorKind::InvalidData => damaged(error.to_string()),
        _ => io_at("open", path)(error),
    })?;
    if file.metadata().map_err(io_at("look at", path))?.len() == 0 {
        return Ok(Buffer::from(Vec::<u8>::new()));
    }
    // SAFETY: objects are read-only from the moment they have their name, and nothing in flowc writes or shortens one.
    let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(io_at("map", path))?);
    let start = NonNull::from(&map[..]).cast();
    // SAFETY: the mapping lives as long as the buffer's owner, and is never written.
    Ok(unsafe { Buffer::from_custom_allocation(start, map.len(), map) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_forgotten_by_their_number_and_by_their_bytes() {
        let mut maps = Maps::default();
        assert!(!maps.is_full_for(MAPPED + 1), "one is mapped however large it is");
        maps.insert(ObjectId::random(), Buffer::from(vec![0_u8; 100]));
        assert!(!maps.is_full_for(MAPPED - 100) && maps.is_full_for(MAPPED - 99));
        (1..CACHED).for_each(|_| maps.insert(ObjectId::random(), Buffer::from(Vec::<u8>::new())));
        assert!(maps.is_full_for(0));
    }
}
