//! Real text, the same on every machine: that of the crates in `Cargo.lock`, of all platforms.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::{Package, Workspace};

/// `cargo xtask corpus --help`.
pub const HELP: &str = "\
Gathers the text of the crates in Cargo.lock into target/corpus/<crate>-<version>/.

Usage: cargo xtask corpus

Files ending in .rs, .md, .toml or .txt that are UTF-8 are copied. The result depends on Cargo.lock alone, and is made
anew only when that changes.
";

/// Endings of the files that are taken.
const ENDINGS: [&str; 4] = ["rs", "md", "toml", "txt"];

/// The file that says what the corpus was made from. Its dot keeps it out of globs.
const MARKER: &str = ".made-from";

/// Raised when other files would be taken.
const VERSION: u32 = 1;

/// Gathers the corpus, and says how big it is.
///
/// # Errors
/// As [`gather`].
pub fn run(workspace: &Workspace) -> Result<()> {
    let size = gather(workspace)?;
    println!("{}: {} files, {} bytes", workspace.corpus().display(), size.files, size.bytes);
    Ok(())
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Gathers the corpus unless it is there already.
///
/// # Errors
/// If the sources of the dependencies can't be found or copied.
pub fn gather(workspace: &Workspace) -> Result<Size> {
    let lock = workspace.root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    let corpus = workspace.corpus();
    if let Some(size) = standing(&corpus, &lock) {
        return Ok(size);
    }
    eprintln!("gathering the text of the crates in Cargo.lock");
    let parent = corpus.parent().context("the corpus lies in no folder")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::Builder::new().prefix(".corpus-").tempdir_in(parent)?;
    let size = copy_all(&workspace.packages, staging.path())?;
    fs::write(staging.path().join(MARKER), marker(size, &lock))?;
    replace(staging, &corpus)?;
    Ok(size)
}

/// The size of the corpus, if it was made from this lock file.
fn standing(corpus: &Path, lock: &str) -> Option<Size> {
    let text = fs::read_to_string(corpus.join(MARKER)).ok()?;
    let mut numbers = text.lines().next()?.split(' ').map(|number| number.parse().ok());
    let (_, size) = (numbers.next()??, Size { files: numbers.next()??, bytes: numbers.next()?? });
    (text == marker(size, lock)).then_some(size)
}

fn marker(size: Size, lock: &str) -> String {
    format!("{VERSION} {} {}\n{lock}", size.files, size.bytes)
}

/// Puts the new corpus into place. Whoever meets the moment between finds none, never half of one.
fn replace(staging: tempfile::TempDir, corpus: &Path) -> Result<()> {
    let staging = staging.keep();
    if corpus.exists() {
        let old = staging.with_extension("old");
        fs::rename(corpus, &old)?;
        fs::remove_dir_all(&old)?;
    }
    fs::rename(&staging, corpus).with_context(|| format!("{} cannot be put into place", corpus.display()))
}

fn copy_all(packages: &[Package], into: &Path) -> Result<Size> {
    let mut size = Size::default();
    for package in packages.iter().filter(|package| is_of_registry(package)) {
        let from = package.manifest_path.parent().context("a manifest lies in no folder")?;
        let to = into.join(format!("{}-{}", package.name, package.version));
        for file in texts(from)? {
            let bytes =
                fs::read(from.join(&file)).with_context(|| format!("{} in {}", file.display(), from.display()))?;
            if std::str::from_utf8(&bytes).is_err() {
                continue;
            }
            let to = to.join(&file);
            fs::create_dir_all(to.parent().unwrap_or(into))?;
            fs::write(&to, &bytes)?;
            size.files += 1;
            size.bytes += bytes.len() as u64;
        }
    }
    Ok(size)
}

fn is_of_registry(package: &Package) -> bool {
    package.source.as_deref().is_some_and(|source| source.starts_with("registry+") || source.starts_with("sparse+"))
}

/// The text files below a folder, relative to it, sorted. Links are left alone.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(folder, Path::new(""), &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let place = folder.join(below);
    for entry in fs::read_dir(&place).with_context(|| format!("{} cannot be listed", place.display()))? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, below.join(entry.file_name()));
        if kind.is_dir() {
            walk(folder, &name, found)?;
        } else if kind.is_file() && is_text(&name) {
            found.push(name);
        }
    }
    Ok(())
}

/// Whether its ending is one of those taken, and it is not hidden.
fn is_text(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(root: &Path) -> Workspace {
        let package = root.join("registry/a-1.0.0");
        for (name, bytes) in
            [("src/lib.rs", &b"fn a() {}"[..]), ("README.md", b"# a"), ("x.bin", b"1"), ("bad.txt", b"\xff")]
        {
            fs::create_dir_all(package.join(name).parent().unwrap()).unwrap();
            fs::write(package.join(name), bytes).unwrap();
        }
        fs::write(root.join("Cargo.lock"), "one").unwrap();
        let registry = Some("registry+somewhere".to_owned());
        let package = |name: &str, source| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            source,
            manifest_path: package.join("Cargo.toml"),
        };
        let packages = vec![package("a", registry), package("own", None)];
        Workspace { root: root.to_owned(), target: root.join("target"), packages }
    }

    #[test]
    fn it_holds_the_text_of_registry_crates_alone() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = workspace(folder.path());
        assert_eq!(gather(&workspace).unwrap(), Size { files: 2, bytes: 12 });
        let names: Vec<_> = texts(&workspace.corpus()).unwrap();
        assert_eq!(names, [Path::new("a-1.0.0/README.md"), Path::new("a-1.0.0/src/lib.rs")]);
    }

    #[test]
    fn it_is_made_anew_only_for_another_lock_file() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = workspace(folder.path());
        gather(&workspace).unwrap();
        let mark = workspace.corpus().join("mark");
        fs::write(&mark, "").unwrap();
        gather(&workspace).unwrap();
        assert!(mark.exists());
        fs::write(folder.path().join("Cargo.lock"), "two").unwrap();
        gather(&workspace).unwrap();
        assert!(!mark.exists());
        let left: Vec<_> = fs::read_dir(folder.path().join("target")).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
