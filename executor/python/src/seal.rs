//! Seals of environments: what is in one as it was installed, and by what is seen that nothing of it has changed.

use std::io;
use std::path::Path;

use flowc_code::{exact_digest, exact_stamps};
use flowc_platform::{FileStamp, boot, read_sealed, write_sealed};

/// The file of an environment that says what else is in it.
const SEAL: &str = "flowc.seal";

/// What is in an environment.
pub(crate) struct Seal {
    /// Of names and contents.
    digest: [u8; 32],
    /// Of the stamps of all files.
    stamps: [u8; 32],
    /// The start of the machine in which the stamps were taken.
    boot: Option<String>,
}

impl Seal {
    /// Seals an environment as it is.
    ///
    /// # Errors
    /// If it can't be read, or not be written to.
    pub(crate) fn write(environment: &Path) -> io::Result<()> {
        Self::of(environment)?.put(environment)
    }

    /// Whether an environment is as it was sealed. The stamps of its files say so, unless the machine was started again since, which may
    /// have lost what was written before: then, and where a stamp has changed, the digest decides, and the seal is renewed.
    pub(crate) fn stands(environment: &Path) -> bool {
        let Some(sealed) = Self::read(environment) else { return false };
        let stamps = exact_stamps(environment, is_sealed);
        if sealed.boot.is_some() && sealed.boot == boot() && stamps.is_ok_and(|stamps| stamps == sealed.stamps) {
            return true;
        }
        let Some(found) = Self::of(environment).ok().filter(|found| found.digest == sealed.digest) else {
            return false;
        };
        // Where the store can't be written, the digest decides next time too.
        let _ = found.put(environment);
        true
    }

    /// Whether an environment has a seal and is not what it says, by all of its bytes.
    pub(crate) fn is_broken(environment: &Path) -> bool {
        let is_whole = |sealed: Self| exact_digest(environment, is_sealed).is_ok_and(|digest| digest == sealed.digest);
        environment.join(SEAL).exists() && !Self::read(environment).is_some_and(is_whole)
    }

    fn of(environment: &Path) -> io::Result<Self> {
        // What is written from now on changes a stamp.
        std::thread::sleep(FileStamp::TICK);
        let stamps = exact_stamps(environment, is_sealed)?;
        Ok(Self { digest: exact_digest(environment, is_sealed)?, stamps, boot: boot() })
    }

    fn put(&self, environment: &Path) -> io::Result<()> {
        let boot = self.boot.as_deref().unwrap_or_default();
        write_sealed(&environment.join(SEAL), &[&self.digest[..], &self.stamps, boot.as_bytes()].concat())
    }

    fn read(environment: &Path) -> Option<Self> {
        let bytes = read_sealed(&environment.join(SEAL))?;
        let (digest, rest) = bytes.split_first_chunk()?;
        let (stamps, boot) = rest.split_first_chunk()?;
        let boot = std::str::from_utf8(boot).ok().filter(|boot| !boot.is_empty()).map(str::to_owned);
        Some(Self { digest: *digest, stamps: *stamps, boot })
    }
}

/// What of an environment is sealed: all but its seal.
fn is_sealed(path: &Path) -> bool {
    path != Path::new(SEAL)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_environment_stands_by_its_stamps_or_else_by_its_digest() {
        let root = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let folder = root.path().join(name);
            fs::create_dir_all(folder.join("lib")).unwrap();
            fs::write(folder.join("lib/a.py"), "1").unwrap();
            symlink("a.py", folder.join("lib/b.py")).unwrap();
            Seal::write(&folder).unwrap();
            assert!(Seal::stands(&folder) && !Seal::is_broken(&folder), "{name}");
            folder
        };
        type Damage = (&'static str, fn(&Path));
        let damages: [Damage; 7] = [
            ("changed", |lib| fs::write(lib.join("a.py"), "2").unwrap()),
            ("truncated", |lib| fs::write(lib.join("a.py"), "").unwrap()),
            ("removed", |lib| fs::remove_file(lib.join("a.py")).unwrap()),
            ("added", |lib| fs::write(lib.join("c.py"), "").unwrap()),
            ("a folder added", |lib| fs::create_dir(lib.join("c")).unwrap()),
            ("swapped by a link", |lib| {
                fs::rename(lib.join("a.py"), lib.parent().unwrap().with_extension("elsewhere")).unwrap();
                symlink(lib.parent().unwrap().with_extension("elsewhere"), lib.join("a.py")).unwrap();
            }),
            ("a link turned", |lib| {
                fs::remove_file(lib.join("b.py")).unwrap();
                symlink("c.py", lib.join("b.py")).unwrap();
            }),
        ];
        for (name, damage) in damages {
            let folder = made(name);
            damage(&folder.join("lib"));
            assert!(!Seal::stands(&folder) && Seal::is_broken(&folder), "{name}");
        }
        let folder = made("written again as it was");
        fs::write(folder.join("lib/a.py"), "1").unwrap();
        let before = Seal::read(&folder).unwrap();
        assert!(Seal::stands(&folder));
        assert_ne!(Seal::read(&folder).unwrap().stamps, before.stamps, "the seal is renewed");
        let folder = made("of an earlier start of the machine");
        let earlier = Seal { boot: Some("earlier".to_owned()), ..Seal::read(&folder).unwrap() };
        earlier.put(&folder).unwrap();
        assert!(Seal::stands(&folder));
        assert_eq!(Seal::read(&folder).unwrap().boot, boot(), "the seal is renewed");
        let damaged = Seal { boot: Some("earlier".to_owned()), digest: [0; 32], ..Seal::read(&folder).unwrap() };
        damaged.put(&folder).unwrap();
        assert!(!Seal::stands(&folder), "the stamps alone do not say it");
    }
}
