//! Memory that two processes map.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};

/// Mapped memory of a fixed size. The other process may write to it at any time, if this one only reads it.
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
}

/// Who writes to a region that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// This process; the other can't.
    This,
    /// The other one.
    Other,
}

impl Region {
    /// Makes a region, and the file by which the other process maps it. Its size can't be changed: memory that is gone
    /// kills who touches it.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn make(size: u64, writer: Writer) -> io::Result<(Self, OwnedFd)> {
        let file = memfd_create("flowc", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, size)?;
        let region = match writer {
            Writer::This => Self { map: MmapOptions::new().map_raw(&file)? },
            Writer::Other => Self { map: MmapOptions::new().map_raw_read_only(&file)? },
        };
        let mut seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        if writer == Writer::This {
            seals |= SealFlags::FUTURE_WRITE;
        }
        fcntl_add_seals(&file, seals)?;
        Ok((region, file))
    }

    /// Maps a region that the other process made.
    ///
    /// # Errors
    /// If it is none, or may not be mapped so.
    pub fn map(file: &OwnedFd, writer: Writer) -> io::Result<Self> {
        let size = usize::try_from(fstat(file)?.st_size).map_err(io::Error::other)?;
        let mut options = MmapOptions::new();
        options.len(size);
        let map = match writer {
            Writer::This => options.map_raw(file)?,
            Writer::Other => options.map_raw_read_only(file)?,
        };
        Ok(Self { map })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// Writes parts one after the other.
    ///
    /// # Panics
    /// If they don't fit.
    pub fn write<'a>(&self, mut offset: usize, parts: impl IntoIterator<Item = &'a [u8]>) {
        for part in parts {
            let end = offset.checked_add(part.len()).filter(|&end| end <= self.map.len());
            let end = end.expect("a block holds what it was lent for");
            // SAFETY: the target is `offset..end` of the mapping, which only this process writes to, and here alone: whoever
            // holds the block is one thread. No reference into it is ever made.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), self.map.as_mut_ptr().add(offset), part.len()) };
            offset = end;
        }
    }

    /// Where some bytes begin, which lie there as long as this region. None if they are not all there.
    pub fn place(&self, bytes: Range<u64>) -> Option<NonNull<u8>> {
        let (start, end) = (usize::try_from(bytes.start).ok()?, usize::try_from(bytes.end).ok()?);
        if start > end || end > self.map.len() {
            return None;
        }
        // SAFETY: `start` is within the mapping, or at its end.
        NonNull::new(unsafe { self.map.as_mut_ptr().add(start) })
    }

    /// A copy of some bytes. None if they are not all there.
    pub fn read(&self, bytes: Range<u64>) -> Option<Vec<u8>> {
        let (start, end) = (usize::try_from(bytes.start).ok()?, usize::try_from(bytes.end).ok()?);
        let length = end.checked_sub(start).filter(|_| end <= self.map.len())?;
        let mut copy = Vec::with_capacity(length);
        // SAFETY: the source is `start..end` of the mapping, the target has that capacity, and no reference into the mapping is
        // ever made. If the other process writes meanwhile, which it should not, the copy is some bytes, as any are.
        unsafe {
            std::ptr::copy_nonoverlapping(self.map.as_ptr().add(start), copy.as_mut_ptr(), length);
            copy.set_len(length);
        }
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let (ours, file) = Region::make(4096, Writer::This).unwrap();
        let theirs = Region::map(&file, Writer::Other).unwrap();
        ours.write(64, [&b"one "[..], b"two"]);
        assert_eq!(theirs.read(64..71).unwrap(), b"one two");
        assert!(
            theirs.read(4095..4097).is_none()
                && theirs.read(4096..4097).is_none()
                && theirs.read(0..u64::MAX).is_none()
        );
    }

    #[test]
    fn neither_side_can_harm_the_other() {
        let (_ours, file) = Region::make(4096, Writer::This).unwrap();
        assert!(Region::map(&file, Writer::This).is_err(), "only its maker writes to it");
        let (_ours, file) = Region::make(4096, Writer::Other).unwrap();
        assert!(Region::map(&file, Writer::This).is_ok());
        assert!(ftruncate(&file, 0).is_err() && ftruncate(&file, 8192).is_err());
        assert!(fcntl_add_seals(&file, SealFlags::WRITE).is_err());
    }
}
