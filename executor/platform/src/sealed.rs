//! Files that are trusted only just as they were written: each ends with a digest of its name and its content. One that is
//! torn, cut short, altered, or put under another name is no such file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::MmapOptions;

use crate::{open_regular, read_regular, sync_directory};

/// Bytes of a seal.
const SEAL: usize = blake3::OUT_LEN;

/// What follows some content in a sealed file of this name.
pub fn seal(name: &str, content: &[u8]) -> [u8; SEAL] {
    *hasher(name).update(content).finalize().as_bytes()
}

/// What begins the seal of a file of this name.
fn hasher(name: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key("flowc sealed file 1");
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    hasher
}

/// The content of a sealed file of this name; none if it is not as it was written.
pub fn unseal(name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let length = sealed.len().checked_sub(SEAL)?;
    let (content, found) = sealed.split_at(length);
    if seal(name, content) != *found {
        return None;
    }
    sealed.truncate(length);
    Some(sealed)
}

/// Whether a file is sealed, and just as it was written. It is mapped, not copied, so that machine code costs little.
pub fn is_sealed(path: &Path) -> bool {
    let whole = || -> Option<bool> {
        let name = path.file_name()?.to_str()?;
        let file = open_regular(path).ok()?;
        // SAFETY: a sealed file is replaced whole by another one, never written in its place.
        let mapped = unsafe { MmapOptions::new().populate().map(&file) }.ok()?;
        let (content, found) = mapped.split_at_checked(mapped.len().checked_sub(SEAL)?)?;
        Some(seal(name, content) == *found)
    };
    whole().unwrap_or(false)
}

/// The content of a sealed file; none if there is none, or if it is not as it was written.
pub fn read_sealed(path: &Path) -> Option<Vec<u8>> {
    unseal(path.file_name()?.to_str()?, read_regular(path).ok()?)
}

/// Writes a sealed file. Others see it whole or not at all, also after a power cut. Its folder is made if it is not there.
///
/// # Errors
/// If the path has no name, or can't be written.
pub fn write_sealed(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    write_parts(file.as_file_mut(), name, content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_directory(folder)
}

/// A sealed file that is written piece by piece. Others see it once it is finished, whole; dropped before, it never was.
pub struct SealedWriter {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    hasher: blake3::Hasher,
    written: u64,
}

impl SealedWriter {
    /// Begins a file. Its folder is made if it is not there.
    ///
    /// # Errors
    /// If the path has no name, or the folder can't be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        Ok(Self { file, path: path.to_path_buf(), hasher: hasher(name), written: 0 })
    }

    /// Bytes of content so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the file appear, so that it outlasts a power cut.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.write_all(self.hasher.finalize().as_bytes())?;
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        sync_directory(self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Bytes of a file that are its content, if it is a sealed one.
pub fn content_length(sealed: u64) -> Option<u64> {
    sealed.checked_sub(SEAL as u64)
}

fn write_parts(file: &mut File, name: &str, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.write_all(&seal(name, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_piece_by_piece_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/it");
        let mut writer = SealedWriter::create(&path).unwrap();
        writer.write_all(b"one").unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path().join("made")).unwrap().count(), 0);
        let mut writer = SealedWriter::create(&path).unwrap();
        writer.write_all(b"one").unwrap();
        writer.write_all(b"two").unwrap();
        assert_eq!(writer.written(), 6);
        writer.finish().unwrap();
        assert!(is_sealed(&path));
        assert_eq!(read_sealed(&path).as_deref(), Some(&b"onetwo"[..]));
        assert_eq!(content_length(std::fs::metadata(&path).unwrap().len()), Some(6));
    }

    #[test]
    fn only_what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/it");
        assert_eq!(read_sealed(&path), None);
        assert!(!is_sealed(&path));
        for content in [&b""[..], b"x", &[7; 1000]] {
            write_sealed(&path, content).unwrap();
            assert_eq!(read_sealed(&path).as_deref(), Some(content));
            assert!(is_sealed(&path));
            let whole = std::fs::read(&path).unwrap();
            let other = folder.path().join("made/other");
            std::fs::write(&other, &whole).unwrap();
            assert_eq!(read_sealed(&other), None, "under another name");
            assert!(!is_sealed(&other), "under another name");
            std::fs::remove_file(&other).unwrap();
            let damaged = |bytes: Vec<u8>, what: String| {
                assert_eq!(unseal("it", bytes.clone()), None, "{what}");
                std::fs::write(&path, bytes).unwrap();
                assert!(!is_sealed(&path), "{what}");
            };
            for length in 0..whole.len() {
                damaged(whole[..length].to_vec(), format!("cut to {length}"));
            }
            for place in 0..whole.len() {
                let mut altered = whole.clone();
                altered[place] ^= 1;
                damaged(altered, format!("altered at {place}"));
            }
            damaged([whole, vec![0]].concat(), "longer".to_owned());
        }
        assert_eq!(std::fs::read_dir(folder.path().join("made")).unwrap().count(), 1, "nothing is left beside");
    }
}
