//! The files that are added to an image, as an archive: equal files, equal bytes.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::ContainerError;
use crate::contents::{Contents, Entry};

/// A layer that was written to a file.
pub(crate) struct Layer {
    /// The archive.
    pub(crate) file: File,
    /// Its bytes.
    pub(crate) size: u64,
    /// `sha256:…` of it.
    pub(crate) digest: String,
}

/// Writes the archive into `spool`.
///
/// # Errors
/// If a file can't be read or written.
pub(crate) fn layer(contents: &Contents, spool: &Path) -> Result<Layer, ContainerError> {
    let file = tempfile::tempfile_in(spool).map_err(ContainerError::io(spool))?;
    let mut hashing = Hashing { to: BufWriter::new(file), hasher: Sha256::new(), size: 0 };
    let mut archive = Builder::new(&mut hashing);
    for (path, entry) in &contents.entries {
        append(&mut archive, path, entry, contents)?;
    }
    archive.finish().map_err(ContainerError::io(spool))?;
    drop(archive);
    let Hashing { to, hasher, size } = hashing;
    let file = to.into_inner().map_err(|error| ContainerError::io(spool)(error.into_error()))?;
    Ok(Layer { file, size, digest: sha256(hasher) })
}

/// `sha256:` and the digest, as engines write it.
pub(crate) fn sha256(hasher: Sha256) -> String {
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Nobody's, of no time.
fn append(
    archive: &mut Builder<impl Write>,
    path: &str,
    entry: &Entry,
    contents: &Contents,
) -> Result<(), ContainerError> {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    match entry {
        Entry::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            archive
                .append_data(&mut header, format!("{path}/"), io::empty())
                .map_err(ContainerError::io(Path::new(path)))
        }
        Entry::Link { to } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            archive.append_link(&mut header, path, to).map_err(ContainerError::io(Path::new(path)))
        }
        Entry::File { from, digest, executable, mode } => {
            let file = File::open(contents.content(from, digest, *executable)?).map_err(ContainerError::io(from))?;
            header.set_size(file.metadata().map_err(ContainerError::io(from))?.len());
            header.set_entry_type(EntryType::Regular);
            header.set_mode(*mode);
            let mut checked = Checked { from: file, hasher: blake3::Hasher::new() };
            archive.append_data(&mut header, path, &mut checked).map_err(ContainerError::io(from))?;
            match checked.hasher.finalize() == *digest {
                true => Ok(()),
                false => Err(ContainerError::Changed { path: from.clone() }),
            }
        }
    }
}

/// Reads on, and digests what it reads.
struct Checked {
    from: File,
    hasher: blake3::Hasher,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Writes on, and keeps count.
struct Hashing<W> {
    to: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Seek;
    use std::os::unix::fs::PermissionsExt;

    use flowc_code::{Digests, PipelineFiles, Reader, Snapshots};

    use super::*;
    use crate::recipe::Recipe;
    use crate::testing::{project, reading};

    fn made(recipe: &str, folder: &Path) -> (String, Vec<String>) {
        let contents = reading(|reader| Contents::find(&Recipe::parse(recipe).unwrap(), folder, reader)).unwrap();
        let mut layer = layer(&contents, &std::env::temp_dir()).unwrap();
        layer.file.rewind().unwrap();
        let mut bytes = Vec::new();
        layer.file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, layer.size);
        let mut archive = tar::Archive::new(&bytes[..]);
        let names = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            format!("{} {:o}", entry.path().unwrap().display(), entry.header().mode().unwrap())
        });
        (layer.digest, names.collect())
    }

    #[test]
    fn equal_files_give_equal_bytes_wherever_and_whenever_they_lie() {
        let files = ["stage", "lib/a", "lib/deep/b", "lib/.git/config"];
        let [one, two] = [project(&files), project(&files)];
        fs::set_permissions(two.path().join("lib/a"), fs::Permissions::from_mode(0o600)).unwrap();
        let old = File::options().write(true).open(two.path().join("stage")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let recipe = "FROM scratch\nCOPY --chmod=755 stage /bin/\nCOPY lib /opt/lib\nWORKDIR /work";
        let (digest, names) = made(recipe, one.path());
        let due = ["bin/ 755", "bin/stage 755", "opt/ 755", "opt/lib/ 755", "opt/lib/a 644", "opt/lib/deep/ 755"];
        assert_eq!(names[..6], due);
        assert_eq!(names[6..], ["opt/lib/deep/b 644", "work/ 755"]);
        assert_eq!(made(recipe, two.path()).0, digest);
        let read = reading(|reader| Contents::find(&Recipe::parse(recipe).unwrap(), two.path(), reader)).unwrap();
        fs::write(two.path().join("stage"), "another").unwrap();
        let changed = layer(&read, &std::env::temp_dir()).err().unwrap().to_string();
        assert!(changed.contains("stage changed while its image was made"), "{changed}");
        assert_ne!(made(recipe, two.path()).0, digest);
    }

    #[test]
    fn a_kept_content_that_was_altered_is_read_again_or_refused() {
        let (folder, home) = (project(&["stage"]), tempfile::tempdir().unwrap());
        let (files, snapshots) = (PipelineFiles::default(), Snapshots::new(home.path().to_owned()));
        let reader = Reader::new(&files, Some(&snapshots), Digests::default());
        let recipe = Recipe::parse("FROM scratch\nCOPY stage /stage").unwrap();
        let contents = Contents::find(&recipe, folder.path(), &reader).unwrap();
        let made = || layer(&contents, &std::env::temp_dir()).map(|layer| layer.digest);
        let whole = made().unwrap();
        // The same size and the same time.
        let alter = || {
            let kept = snapshots.file(blake3::hash(b"stage").as_bytes(), false);
            let time = fs::metadata(&kept).unwrap().modified().unwrap();
            fs::set_permissions(&kept, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&kept, "egats").unwrap();
            File::options().write(true).open(&kept).unwrap().set_modified(time).unwrap();
        };
        alter();
        assert_eq!(made().unwrap(), whole);
        alter();
        fs::write(folder.path().join("stage"), "other").unwrap();
        let refused = made().err().unwrap().to_string();
        assert!(refused.contains("stage"), "{refused}");
    }
}
