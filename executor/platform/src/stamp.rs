//! What the file system says of a file, to avoid hashing it again.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Size, times and inode of a file. Equal stamps say "unchanged", unless the stamp was racy when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileStamp {
    /// Bytes.
    pub size: u64,
    /// Last modification, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Last change of the inode, nanoseconds since 1970.
    pub changed_ns: i64,
    /// The inode's number.
    pub inode: u64,
    /// The device's number.
    pub device: u64,
}

impl FileStamp {
    /// How long to wait until no stamp of now is racy any more.
    pub const TICK: Duration = Duration::from_millis(21);

    /// The stamp of something that never changes and is no file, such as a range of a log: what tells it from others, and
    /// its size.
    pub fn of_immutable(identity: u64, size: u64) -> Self {
        Self { size, modified_ns: 0, changed_ns: 0, inode: identity, device: Self::NO_DEVICE }
    }

    /// The same, of what was found of something that changes: what tells it from other findings, and when it was taken.
    pub fn of_snapshot(identity: u64, taken: SystemTime) -> Self {
        let since = taken.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_ns = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        Self { modified_ns, ..Self::of_immutable(identity, 0) }
    }

    /// How old a snapshot is; none of one that was taken in the future.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(UNIX_EPOCH + Duration::from_nanos(u64::try_from(self.modified_ns).ok()?)).ok()
    }

    /// Whether it is that of something that never changes.
    pub fn is_immutable(&self) -> bool {
        self.device == Self::NO_DEVICE
    }

    /// No file system has this number.
    const NO_DEVICE: u64 = u64::MAX;

    /// The stamp of what a path leads to; symbolic links are followed.
    ///
    /// # Errors
    /// If the path leads to nothing, or a folder on the way can't be searched.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(&std::fs::metadata(path)?))
    }

    /// The stamp of an open file.
    ///
    /// # Errors
    /// If the system can't stat the file, as when a network share is gone.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::from_metadata(&file.metadata()?))
    }

    /// The stamp within metadata at hand.
    pub fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified_ns: metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(),
            changed_ns: metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec(),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Whether the file may be written again without its stamp moving: it changed so shortly before `now` that a later
    /// write can fall into the same tick of the file system's clock. A racy stamp must not be remembered as "unchanged"
    /// (git's rule). Ticks are up to 10 ms on Linux (CONFIG_HZ=100), up to 2 s on FAT; 20 ms covers the former.
    pub fn is_racy(&self, now: SystemTime) -> bool {
        const TICK_NS: i64 = 20_000_000;
        if self.is_immutable() {
            return false;
        }
        let now_ns = now.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
        now_ns - self.modified_ns.max(self.changed_ns) < TICK_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_changes_is_never_racy() {
        let stamp = FileStamp::of_immutable(7, 10);
        assert!(stamp.is_immutable() && !stamp.is_racy(SystemTime::now()));
        assert_ne!(stamp, FileStamp::of_immutable(7, 11));
        let now = SystemTime::now();
        let snapshot = FileStamp::of_snapshot(7, now);
        assert!(snapshot.is_immutable() && !snapshot.is_racy(now));
        assert_eq!(snapshot.age(now + Duration::from_secs(3)), Some(Duration::from_secs(3)));
        assert_eq!(snapshot.age(now - Duration::from_secs(3)), None);
        assert!(!FileStamp::of(Path::new("/proc/self/exe")).expect("the test itself").is_immutable());
    }

    #[test]
    fn a_file_written_just_now_is_racy_and_later_it_is_not() {
        let stamp = FileStamp::of_file(&File::open("/proc/self/exe").expect("the test itself")).expect("a stamp");
        let changed = UNIX_EPOCH + Duration::from_nanos(stamp.changed_ns.max(stamp.modified_ns) as u64);
        assert!(stamp.is_racy(changed + Duration::from_millis(1)));
        assert!(!stamp.is_racy(changed + Duration::from_secs(1)));
        assert!(stamp.is_racy(changed - Duration::from_secs(1)), "a time in the future is never trusted");
    }
}
