//! From patterns to files. Which folders were listed is told too, so that a later run can see that nothing was added.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use flowc_planner::pattern::{Part, is_glob};
use flowc_platform::FileStamp;

use crate::error::SourceError;

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// To open.
    pub path: PathBuf,
    /// `/`-separated, as matched: relative to the base when the pattern is.
    pub name: String,
}

/// What patterns lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of the patterns, within a pattern in byte order of the name, each once.
    pub files: Vec<SourceFile>,
    /// Every folder whose entries decided about the files, as it was before it was listed. While none of them changes,
    /// the list stays.
    pub directories: Vec<(PathBuf, FileStamp)>,
}

/// Expands patterns against `base`. `*`, `?`, `[..]` and `{..}` stay within a name, `**` spans folders; names that
/// start with a dot are matched only where the pattern has the dot. Symbolic links are followed, loops are cut.
/// A pattern that leads nowhere is an error.
///
/// # Errors
/// If a pattern is malformed or matches nothing, or a folder can't be listed.
pub fn list(patterns: &[String], base: &Path) -> Result<Listing, SourceError> {
    let mut listing = Listing::default();
    let mut known = HashSet::new();
    let mut directories = BTreeMap::new();
    for pattern in patterns {
        let found =
            if is_glob(pattern) { expand(pattern, base, &mut directories)? } else { vec![named(pattern, base)?] };
        listing.files.extend(found.into_iter().filter(|file| known.insert(file.path.clone())));
    }
    listing.directories = directories.into_iter().collect();
    Ok(listing)
}

/// A file named without glob characters. Anything that can be opened will do, pipes too, but no folder.
fn named(pattern: &str, base: &Path) -> Result<SourceFile, SourceError> {
    let name = tidy(pattern);
    let path = base.join(&name);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Err(SourceError::Folder { file: name }),
        Ok(_) => Ok(SourceFile { path, name }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(SourceError::Missing { pattern: pattern.to_owned(), path })
        }
        Err(error) => Err(SourceError::io(&name, "look at it")(error)),
    }
}

/// Removes `.` parts and doubled slashes, so that one file has one name.
fn tidy(pattern: &str) -> String {
    let parts: Vec<_> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let root = if pattern.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

fn expand(
    pattern: &str,
    base: &Path,
    directories: &mut BTreeMap<PathBuf, FileStamp>,
) -> Result<Vec<SourceFile>, SourceError> {
    let tidied = tidy(pattern);
    let (root, rest) = split_root(&tidied);
    let bad = |reason| SourceError::BadPattern { pattern: pattern.to_owned(), reason };
    let parts = rest.split('/').map(Part::new).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    let folder = if root.is_empty() { base.to_owned() } else { base.join(root) };
    let mut walk = Walk { found: Vec::new(), directories, above: Vec::new() };
    walk.descend(&folder, root, &parts)?;
    let mut found = walk.found;
    if found.is_empty() {
        return Err(SourceError::NoMatch { pattern: pattern.to_owned(), folder });
    }
    found.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    found.dedup();
    Ok(found)
}

/// Parts the folders without glob characters from the rest: `a/b/*/c` into `a/b` and `*/c`.
fn split_root(pattern: &str) -> (&str, &str) {
    let glob = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    match pattern[..glob].rfind('/') {
        None => ("", pattern),
        Some(0) => ("/", &pattern[1..]),
        Some(slash) => (&pattern[..slash], &pattern[slash + 1..]),
    }
}

struct Walk<'a> {
    found: Vec<SourceFile>,
    directories: &'a mut BTreeMap<PathBuf, FileStamp>,
    /// The true paths of the folders that we are in, to notice loops.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Looks in a folder for what the parts say. A folder that is not there holds nothing.
    fn descend(&mut self, folder: &Path, name: &str, parts: &[Part]) -> Result<(), SourceError> {
        let Some(true_path) = if_there(folder, fs::canonicalize(folder))? else { return Ok(()) };
        if parts.first().is_some_and(|part| matches!(part, Part::Deep)) && self.above.contains(&true_path) {
            return Ok(());
        }
        self.above.push(true_path);
        let result = self.entries(folder, name, parts);
        self.above.pop();
        result
    }

    fn entries(&mut self, folder: &Path, name: &str, parts: &[Part]) -> Result<(), SourceError> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        let metadata = if_there(folder, fs::metadata(folder))?;
        let Some(metadata) = metadata.filter(fs::Metadata::is_dir) else { return Ok(()) };
        self.directories.entry(folder.to_owned()).or_insert(FileStamp::from_metadata(&metadata));
        if let Part::Name(own) = part {
            let path = folder.join(own);
            return match if_there(&path, fs::symlink_metadata(&path))? {
                Some(metadata) => self.visit(path, join(name, own), Some(metadata.file_type()), rest),
                None => Ok(()),
            };
        }
        if matches!(part, Part::Deep) && !rest.is_empty() {
            self.entries(folder, name, rest)?;
        }
        for entry in fs::read_dir(folder).map_err(SourceError::io(&folder.to_string_lossy(), "list it"))? {
            let entry = entry.map_err(SourceError::io(&folder.to_string_lossy(), "list it"))?;
            self.entry(&entry, name, parts)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &fs::DirEntry, name: &str, parts: &[Part]) -> Result<(), SourceError> {
        let file_name = entry.file_name();
        let Some(text) = file_name.to_str() else {
            return match parts[0].matches(&file_name.to_string_lossy()) {
                true => Err(SourceError::NameNotUtf8 { path: entry.path() }),
                false => Ok(()),
            };
        };
        if !parts[0].matches(text) {
            return Ok(());
        }
        match parts[0] {
            Part::Deep if entry.path().is_dir() => self.descend(&entry.path(), &join(name, text), parts),
            Part::Deep if parts.len() > 1 => Ok(()),
            _ => self.visit(entry.path(), join(name, text), entry.file_type().ok(), &parts[1..]),
        }
    }

    /// Takes a matched entry: a file at the pattern's end, or a folder before it. `kind` is what its folder says of it.
    fn visit(
        &mut self,
        path: PathBuf,
        name: String,
        kind: Option<fs::FileType>,
        rest: &[Part],
    ) -> Result<(), SourceError> {
        if !rest.is_empty() {
            return self.descend(&path, &name, rest);
        }
        let kind = match kind.filter(|kind| !kind.is_symlink()) {
            Some(kind) => Some(kind),
            // A link that leads nowhere is a file that is missing, and is told where files are looked at.
            None => fs::metadata(&path).ok().map(|metadata| metadata.file_type()),
        };
        match kind {
            Some(kind) if kind.is_dir() => {}
            Some(kind) if !kind.is_file() => return Err(SourceError::NotAFile { file: name }),
            _ => self.found.push(SourceFile { path, name }),
        }
        Ok(())
    }
}

/// What was asked of a path; none if nothing is there.
fn if_there<T>(path: &Path, answer: std::io::Result<T>) -> Result<Option<T>, SourceError> {
    let nothing = [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory];
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if nothing.contains(&error.kind()) => Ok(None),
        Err(error) => Err(SourceError::io(&path.to_string_lossy(), "look at it")(error)),
    }
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ if folder.ends_with('/') => format!("{folder}{name}"),
        _ => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn folder() -> Folder {
        let folder = Folder::new();
        for name in ["b.csv", "a.csv", "a.txt", ".hidden.csv", "x/c.csv", "x/y/d.csv", "x/.git/e.csv", "z/c.csv"] {
            folder.write(name, "");
        }
        folder
    }

    fn names(folder: &Folder, patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let listing = list(&patterns, folder.path()).unwrap();
        listing.files.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn matches_come_in_byte_order_within_a_pattern_and_once() {
        let folder = folder();
        assert_eq!(names(&folder, &["*.csv"]), ["a.csv", "b.csv"]);
        assert_eq!(names(&folder, &["b.csv", "./*.csv"]), ["b.csv", "a.csv"]);
        assert_eq!(names(&folder, &["[ab].{csv,txt}"]), ["a.csv", "a.txt", "b.csv"]);
        assert_eq!(names(&folder, &["*/c.csv"]), ["x/c.csv", "z/c.csv"]);
    }

    #[test]
    fn a_character_in_brackets_is_meant_itself() {
        let folder = Folder::new();
        for name in ["[1].csv", "{a,b}.csv", "*.csv", "?.csv", "1.csv", "a.csv"] {
            folder.write(name, "");
        }
        assert_eq!(names(&folder, &["[[]1[]].csv", "[{]a,b[}].csv"]), ["[1].csv", "{a,b}.csv"]);
        assert_eq!(names(&folder, &["[*].csv", "[?].csv"]), ["*.csv", "?.csv"]);
    }

    #[test]
    fn two_stars_span_folders_but_not_hidden_ones() {
        let folder = folder();
        assert_eq!(names(&folder, &["**/*.csv"]), ["a.csv", "b.csv", "x/c.csv", "x/y/d.csv", "z/c.csv"]);
        assert_eq!(names(&folder, &["x/**"]), ["x/c.csv", "x/y/d.csv"]);
        assert_eq!(names(&folder, &["**/y/*"]), ["x/y/d.csv"]);
        assert_eq!(names(&folder, &["x/.git/*"]), ["x/.git/e.csv"]);
        assert_eq!(names(&folder, &[".*.csv"]), [".hidden.csv"]);
    }

    #[test]
    fn every_folder_that_was_looked_at_is_told() {
        let folder = folder();
        let of = |pattern: &str| {
            let listing = list(&[pattern.to_owned()], folder.path()).unwrap();
            let relative = |(path, _): &(PathBuf, FileStamp)| {
                path.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned()
            };
            listing.directories.iter().map(relative).collect::<Vec<_>>()
        };
        assert_eq!(of("*.csv"), [""]);
        assert_eq!(of("**/*.csv"), ["", "x", "x/y", "z"]);
        assert_eq!(of("*/c.csv"), ["", "x", "z"]);
        assert!(of("a.csv").is_empty());
    }

    #[test]
    fn links_are_followed_and_loops_are_cut() {
        let folder = folder();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("x/loop")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("z"), folder.path().join("w")).unwrap();
        let found = names(&folder, &["**/c.csv"]);
        assert!(found.contains(&"w/c.csv".to_owned()) && found.contains(&"x/c.csv".to_owned()), "{found:?}");
    }

    #[test]
    fn a_pattern_matches_what_is_there_and_nothing_else() {
        let folder = folder();
        for name in ["w/deep/d.csv", "v", "x/y/deep/d.csv"] {
            folder.write(name, "");
        }
        assert_eq!(names(&folder, &["*/c.csv"]), ["x/c.csv", "z/c.csv"], "w has none, v is a file");
        assert_eq!(names(&folder, &["*/deep/d.csv"]), ["w/deep/d.csv"]);
        assert_eq!(names(&folder, &["*/deep/*.csv"]), ["w/deep/d.csv"]);
        assert_eq!(names(&folder, &["**/deep/d.csv"]), ["w/deep/d.csv", "x/y/deep/d.csv"]);
        assert_eq!(names(&folder, &["[v-z]/y/d.csv"]), ["x/y/d.csv"]);
        let nothing = list(&["*/nowhere.csv".to_owned()], folder.path());
        assert!(matches!(nothing, Err(SourceError::NoMatch { .. })), "{nothing:?}");
        std::os::unix::fs::symlink("gone", folder.path().join("w/c.csv")).unwrap();
        assert_eq!(
            names(&folder, &["*/c.csv"]),
            ["w/c.csv", "x/c.csv", "z/c.csv"],
            "a link that leads nowhere is told later"
        );
        std::os::unix::fs::symlink("self", folder.path().join("self")).unwrap();
        let looped = list(&["*/y/d.csv".to_owned()], folder.path()).unwrap_err().to_string();
        assert!(looped.contains("self"), "what can't be looked at is an error: {looped}");
    }

    #[test]
    fn absolute_patterns_give_absolute_names() {
        let folder = folder();
        let pattern = format!("{}/*.txt", folder.path().display());
        assert_eq!(names(&folder, &[&pattern]), [format!("{}/a.txt", folder.path().display())]);
    }

    #[test]
    fn a_pattern_that_leads_nowhere_says_where_it_looked() {
        let folder = folder();
        let error = |pattern: &str| list(&[pattern.to_owned()], folder.path()).unwrap_err().to_string();
        assert!(error("nothing.csv").contains("does not exist"));
        assert!(error("x/*.parquet").contains(&folder.path().join("x").display().to_string()));
        assert!(error("nowhere/*.csv").contains("no file matches"));
        assert!(error("x").contains("is a folder"));
        assert!(error("[a").contains("not a valid glob"));
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_an_error_where_it_matches() {
        let folder = folder();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("socket.csv")).unwrap());
        std::os::unix::fs::symlink("/dev/null", folder.path().join("null.txt")).unwrap();
        let error = |pattern: &str| list(&[pattern.to_owned()], folder.path()).unwrap_err().to_string();
        assert!(error("*.csv").starts_with("`socket.csv` is neither a file nor a folder"));
        assert!(error("*.txt").starts_with("`null.txt` is neither a file nor a folder"));
        assert_eq!(names(&folder, &["x/*.csv", "null.txt"]), ["x/c.csv", "null.txt"], "named, it is opened");
    }

    #[test]
    fn a_name_that_is_not_utf8_is_an_error_only_where_it_matches() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder();
        std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xFF.csv")), "").unwrap();
        assert!(matches!(list(&["*.csv".to_owned()], folder.path()), Err(SourceError::NameNotUtf8 { .. })));
        assert_eq!(names(&folder, &["*.txt"]), ["a.txt"]);
    }
}
