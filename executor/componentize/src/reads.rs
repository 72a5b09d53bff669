//! What a build read, by the words of the compiler and of build scripts.

use std::path::{Path, PathBuf};

use flowc_code::normal;

use crate::source::{Reads, Source};

/// What the build of a module read beside what is hashed with its packages. Cargo writes beside the module which files its packages
/// were made of; those below the folders `made` are not the author's.
pub(crate) fn reads(source: &Source, module: &Path, made: &[&Path]) -> Reads {
    let text = std::fs::read_to_string(module.with_extension("d")).unwrap_or_default();
    let mut files: Vec<PathBuf> =
        dependencies(&text).into_iter().map(|path| tidied(source.sources.dir(), &path)).collect();
    files.retain(|path| !made.iter().any(|folder| path.starts_with(folder)) && !source.holds(path));
    files.sort();
    files.dedup();
    Reads { files }
}

/// The paths after the colon, in the form of a makefile: spaces are escaped.
fn dependencies(text: &str) -> Vec<PathBuf> {
    let Some((_, list)) = text.lines().next().and_then(|line| line.split_once(": ")) else { return Vec::new() };
    let mut paths = vec![String::new()];
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = paths.len() - 1;
        match letter {
            '\\' if letters.peek() == Some(&' ') => paths[last].extend(letters.next()),
            ' ' => paths.push(String::new()),
            letter => paths[last].push(letter),
        }
    }
    paths.into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

/// A path without `..`, unless that would lead elsewhere since a folder on the way is a link.
fn tidied(dir: &Path, path: &Path) -> PathBuf {
    let path = dir.join(path);
    let tidy = normal(&path);
    let is_same = match (tidy.canonicalize(), path.canonicalize()) {
        (Ok(tidy), Ok(path)) => tidy == path,
        (tidy, path) => tidy.is_err() == path.is_err(),
    };
    if is_same { tidy } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_are_one() {
        let text = "/t/a.wasm: /src/lib.rs /with\\ space/x.txt /z\n\n/src/lib.rs:\n";
        assert_eq!(dependencies(text), ["/src/lib.rs", "/with space/x.txt", "/z"].map(PathBuf::from));
        assert!(dependencies("").is_empty());
    }
}
