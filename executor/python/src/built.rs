//! What packages became when they were installed.
//!
//! A lock pins what is built, not what builds it: tools of `build-system.requires`, compilers, variables. So the same lock may give
//! other packages another time. What an environment became first is noted, and so is what it is now, if that is
//! another: then it is part of what its stages are, and their results are never mixed with those of the first.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use flowc_code::exact_digest;
use flowc_platform::{read_sealed, write_sealed};

/// Files that tools write beside a package's own, which differ from time to time and from tool to tool.
const OF_INSTALLERS: [&str; 6] =
    ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"];

/// How names of programs begin that belong to the environment and not to a package.
const OF_ENVIRONMENTS: [&str; 5] = ["activate", "deactivate", "pydoc.bat", "python", "_virtualenv."];

/// What an environment says of itself.
const ABOUT_ALL: [&str; 4] = ["pyvenv.cfg", "CACHEDIR.TAG", ".gitignore", ".lock"];

/// The notes about an environment.
pub(crate) struct Notes {
    first: PathBuf,
    /// There only if the environment is not what it was first.
    pub(crate) variant: PathBuf,
}

impl Notes {
    /// Those about the environment of a name in a folder. They lie beside that folder, so that whoever removes it to have packages
    /// installed again leaves them.
    pub(crate) fn of(home: &Path, environment: &str) -> Self {
        let notes = home.with_extension("built");
        Self { first: notes.join(environment), variant: notes.join(format!("{environment}.variant")) }
    }

    /// What the environment is now, if that is not what it was first.
    pub(crate) fn variant(&self) -> Option<[u8; 32]> {
        read(&self.variant)
    }

    /// Notes what an environment became.
    ///
    /// # Errors
    /// If a note can't be written.
    pub(crate) fn note(&self, became: [u8; 32]) -> io::Result<()> {
        match read(&self.first) {
            None => write_sealed(&self.first, &became),
            Some(first) if first != became => write_sealed(&self.variant, &became),
            Some(_) => match std::fs::remove_file(&self.variant) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

/// The digest in a note. One that is damaged is equal to nothing that was built.
fn read(note: &Path) -> Option<[u8; 32]> {
    let digest = || <[u8; 32]>::try_from(read_sealed(note)?).ok();
    note.exists().then(|| digest().unwrap_or_default())
}

/// The digest of the packages in an environment.
///
/// # Errors
/// If a file can't be read.
pub(crate) fn digest(environment: &Path) -> io::Result<[u8; 32]> {
    exact_digest(environment, is_of_a_package)
}

fn is_of_a_package(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let above = path.parent().unwrap_or(path);
    let begins = |names: &[&str]| names.iter().any(|own| name.starts_with(own));
    let is_beside = |ending: &str| above.as_os_str().to_str().is_some_and(|above| above.ends_with(ending));
    // Compiled modules hold the time of their sources.
    let is_made = name == "__pycache__"
        || (is_beside(".dist-info") && OF_INSTALLERS.contains(&name))
        || ((above == Path::new("bin") || is_beside("site-packages")) && begins(&OF_ENVIRONMENTS));
    let is_about_all = above == Path::new("") && ABOUT_ALL.contains(&name);
    !is_made && !is_about_all
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn environment(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_of_packages_counts_and_what_tools_write_does_not() {
        let site = "lib/python3.11/site-packages";
        let own = [format!("{site}/a/__init__.py"), format!("{site}/a-1.dist-info/METADATA"), "bin/a".to_owned()];
        let tools = [
            format!("{site}/a/__pycache__/__init__.cpython-311.pyc"),
            format!("{site}/a-1.dist-info/RECORD"),
            format!("{site}/a-1.dist-info/uv_cache.json"),
            format!("{site}/_virtualenv.py"),
            "bin/activate.fish".to_owned(),
            "pyvenv.cfg".to_owned(),
        ];
        let all: Vec<&str> = own.iter().chain(&tools).map(String::as_str).collect();
        let with = |changed: &str| {
            let files: Vec<_> = all.iter().map(|path| (*path, if *path == changed { "2" } else { "1" })).collect();
            digest(environment(&files).path()).unwrap()
        };
        let plain = with("");
        own.iter().for_each(|path| assert_ne!(with(path), plain, "{path}"));
        tools.iter().for_each(|path| assert_eq!(with(path), plain, "{path}"));
    }

    #[test]
    fn what_differs_from_the_first_is_a_variant_until_it_is_the_first_again() {
        let home = tempfile::tempdir().unwrap();
        let notes = Notes::of(&home.path().join("python"), "e");
        assert_eq!(notes.variant(), None);
        for (became, variant) in [(1, None), (1, None), (2, Some([2; 32])), (3, Some([3; 32])), (1, None)] {
            notes.note([became; 32]).unwrap();
            assert_eq!(notes.variant(), variant, "{became}");
        }
        fs::write(home.path().join("python.built/e"), "damaged").unwrap();
        notes.note([1; 32]).unwrap();
        assert_eq!(notes.variant(), Some([1; 32]), "whether it is the first is not known");
    }
}
