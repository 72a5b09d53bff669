//! From patterns to files. Which folders were listed is told too, so that a later run can see that nothing was added.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

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
    /// Every folder whose entries decided about the files. While none of them changes, the list stays.
    pub directories: Vec<PathBuf>,
}

/// Expands patterns against `base`. `*`, `?`, `[..]` and `{..}` stay within a name, `**` spans folders; names that
/// start with a dot are matched only where the pattern has the dot. Symbolic links are followed, loops are cut.
/// A pattern that leads nowhere is an error.
pub fn list(patterns: &[String], base: &Path) -> Result<Listing, SourceError> {
    let mut listing = Listing::default();
    let mut known = HashSet::new();
    let mut directories = BTreeSet::new();
    for pattern in patterns {
        let found =
            if is_glob(pattern) { expand(pattern, base, &mut directories)? } else { vec![named(pattern, base)?] };
        listing.files.extend(found.into_iter().filter(|file| known.insert(file.path.clone())));
    }
    listing.directories = directories.into_iter().collect();
    Ok(listing)
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
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

fn expand(pattern: &str, base: &Path, directories: &mut BTreeSet<PathBuf>) -> Result<Vec<SourceFile>, SourceError> {
    let tidied = tidy(pattern);
    let (root, rest) = split_root(&tidied);
    let parts = rest.split('/').map(|part| Part::new(part, pattern)).collect::<Result<Vec<_>, _>>()?;
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

/// A part of a pattern, between slashes.
enum Part {
    /// `**`: any number of folders.
    Deep,
    /// Exactly this name.
    Name(String),
    /// Names that match.
    Glob { matcher: GlobMatcher, hidden: bool },
}

impl Part {
    fn new(part: &str, pattern: &str) -> Result<Self, SourceError> {
        if part == "**" {
            return Ok(Part::Deep);
        }
        if !is_glob(part) {
            return Ok(Part::Name(part.to_owned()));
        }
        let glob = GlobBuilder::new(part).literal_separator(true).build();
        let glob = glob.map_err(|error| SourceError::BadPattern {
            pattern: pattern.to_owned(),
            reason: error.kind().to_string(),
        })?;
        Ok(Part::Glob { matcher: glob.compile_matcher(), hidden: part.starts_with('.') })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Part::Deep => !name.starts_with('.'),
            Part::Name(own) => own == name,
            Part::Glob { matcher, hidden } => (*hidden || !name.starts_with('.')) && matcher.is_match(name),
        }
    }
}

struct Walk<'a> {
    found: Vec<SourceFile>,
    directories: &'a mut BTreeSet<PathBuf>,
    /// The true paths of the folders that we are in, to notice loops.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Looks in a folder for what the parts say. A folder that is not there holds nothing.
    fn descend(&mut self, folder: &Path, name: &str, parts: &[Part]) -> Result<(), SourceError> {
        let Ok(true_path) = fs::canonicalize(folder) else { return Ok(()) };
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
        if !folder.is_dir() {
            return Ok(());
        }
        self.directories.insert(folder.to_owned());
        if let Part::Name(own) = part {
            return self.visit(folder.join(own), join(name, own), rest);
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
            _ => self.visit(entry.path(), join(name, text), &parts[1..]),
        }
    }

    /// Takes a matched entry: a file at the pattern's end, or a folder before it.
    fn visit(&mut self, path: PathBuf, name: String, rest: &[Part]) -> Result<(), SourceError> {
        if !rest.is_empty() {
            return self.descend(&path, &name, rest);
        }
        if path.is_file() {
            self.found.push(SourceFile { path, name });
        }
        Ok(())
    }
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ if folder.ends_with('/') => format!("{folder}{name}"),
        _ => format!("{folder}/{name}"),
    }
}
