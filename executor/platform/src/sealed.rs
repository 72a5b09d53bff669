//! Files that are trusted only just as they were written: each ends with a digest of its name and its content. One that is
//! torn, cut short, altered, or put under another name is no such file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::sync_directory;

/// Bytes of a seal.
const SEAL: usize = blake3::OUT_LEN;

/// What follows some content in a sealed file of this name.
pub fn seal(name: &str, content: &[u8]) -> [u8; SEAL] {
    let mut hasher = blake3::Hasher::new_derive_key("flowc sealed file 1");
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(content);
    *hasher.finalize().as_bytes()
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

/// The content of a sealed file; none if there is none, or if it is not as it was written.
pub fn read_sealed(path: &Path) -> Option<Vec<u8>> {
    unseal(path.file_name()?.to_str()?, std::fs::read(path).ok()?)
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

fn write_parts(file: &mut File, name: &str, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.write_all(&seal(name, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/it");
        assert_eq!(read_sealed(&path), None);
        for content in [&b""[..], b"x", &[7; 1000]] {
            write_sealed(&path, content).unwrap();
            assert_eq!(read_sealed(&path).as_deref(), Some(content));
            let whole = std::fs::read(&path).unwrap();
            let other = folder.path().join("made/other");
            std::fs::write(&other, &whole).unwrap();
            assert_eq!(read_sealed(&other), None, "under another name");
            for length in 0..whole.len() {
                assert_eq!(unseal("it", whole[..length].to_vec()), None, "cut to {length}");
            }
            for place in 0..whole.len() {
                let mut altered = whole.clone();
                altered[place] ^= 1;
                assert_eq!(unseal("it", altered), None, "altered at {place}");
            }
            assert_eq!(unseal("it", [whole, vec![0]].concat()), None, "longer");
        }
        assert_eq!(std::fs::read_dir(folder.path().join("made")).unwrap().count(), 2, "nothing is left beside");
    }
}
