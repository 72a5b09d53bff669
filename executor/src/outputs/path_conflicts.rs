//! Sinks in the place of a source's file, or of another sink, under another path: through a link, or absolute where the other is relative.
//! The planner sees paths that are written alike, and refuses those.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_planner::may_feed;
use flowc_planner::pattern::{Pattern, folder_and_rest, normal};
use flowc_planner::plan::{Plan, Sink, Source};
use flowc_platform::FileStamp;
use flowc_sinks::{Claim, Sinks};

use crate::Error;
use crate::intake::inventory::{FileEntry, Inventory};

/// Refuses sinks that would replace what a source reads, or write what its next run would read. Of the sources nothing is looked at
/// that has not been already, but for the folders of their patterns and, where a sink is a folder, of their files.
pub(crate) fn check(plan: &Plan, sinks: &[usize], base: &Path, inventory: &Inventory) -> Result<(), Error> {
    let made = Sinks::new(base);
    let claimed =
        |&sink: &usize| Some(Claimed { claim: made.sink(&plan.sinks[sink].spec).claim()?, sink: &plan.sinks[sink] });
    let claims: Vec<Claimed<'_>> = sinks.iter().filter_map(claimed).collect();
    if let Some((sink, other)) = same_place(&claims) {
        let message = format!(
            "its place is, under another path, the one of the sink `{}` or within it; name another one",
            other.name
        );
        return Err(refusal(sink, message));
    }
    let mut files: HashMap<(u64, u64), &Sink> = HashMap::new();
    let mut folders: Vec<Folder<'_>> = Vec::new();
    for Claimed { claim, sink } in &claims {
        match &claim.ending {
            None => files.extend(FileStamp::of(&claim.path).map(|stamp| ((stamp.device, stamp.inode), *sink))),
            Some(ending) => {
                folders.extend(claim.path.canonicalize().map(|true_path| Folder { true_path, ending, sink }));
            }
        }
    }
    for (&source, of) in &inventory.sources {
        let source = &plan.sources[source].name;
        let replaced = of.files.iter().filter(|_| !files.is_empty()).find_map(|entry| {
            let stamp = entry.part.stamp?;
            Some((entry.name(), *files.get(&(stamp.device, stamp.inode))?))
        });
        if let Some((file, sink)) = replaced {
            let place = format!("its file is, under another path, {file}, which the source `{source}` reads");
            return Err(refusal(sink, format!("{place}; name another file")));
        }
        if let Some((entry, sink)) = within(&of.files, &folders) {
            let file = entry.name();
            let place =
                format!("its folder is, under another path, the one of {file}, which the source `{source}` reads");
            return Err(refusal(sink, format!("{place}; name another folder")));
        }
    }
    if let Some((sink, source)) = fed(&claims, &plan.sources, base) {
        let message = format!(
            "it writes, under another path, where the source `{}` reads: the next run would read what this one wrote; give \
             the sink another place, or narrow the source's files",
            source.name
        );
        return Err(refusal(sink, message));
    }
    Ok(())
}

/// What a sink claims.
struct Claimed<'p> {
    claim: Claim,
    sink: &'p Sink,
}

/// A folder that a sink writes.
struct Folder<'p> {
    true_path: PathBuf,
    /// The ending of the sink's files.
    ending: &'p str,
    sink: &'p Sink,
}

/// A sink in the place of one before it, or within its folder, or the other way round.
fn same_place<'p>(claims: &[Claimed<'p>]) -> Option<(&'p Sink, &'p Sink)> {
    let mut places: Vec<_> = claims.iter().map(|claimed| (true_place(&claimed.claim.path), claimed)).collect();
    // What lies within a folder comes right after it or after something else within it.
    places.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut above: Option<&(PathBuf, &Claimed<'p>)> = None;
    for found in &places {
        let (path, claimed) = found;
        match above {
            Some((folder, other)) if path == folder && claimed.claim.is_shared && other.claim.is_shared => {}
            Some((folder, other)) if path.starts_with(folder) => return Some((claimed.sink, other.sink)),
            _ => above = Some(found),
        }
    }
    None
}

/// A sink that writes what the next run of a source would read.
fn fed<'p>(claims: &[Claimed<'p>], sources: &'p [Source], base: &Path) -> Option<(&'p Sink, &'p Source)> {
    let base = true_place(base);
    let reads: Vec<Reads<'_>> = sources.iter().flat_map(|source| Reads::of(source, &base)).collect();
    for Claimed { claim, sink } in claims {
        let way = Way::of(&claim.text, &base);
        let place = way.place.to_string_lossy();
        let feeds = |pattern: Option<&Pattern>| pattern.is_some_and(|pattern| may_feed(&sink.spec, &place, pattern));
        let mut near = reads.iter().filter(|reads| way.may_meet(&reads.folder));
        if let Some(reads) = near.find(|reads| feeds(reads.pattern())) {
            return Some((*sink, reads.source));
        }
    }
    None
}

/// Files that a source reads.
struct Reads<'p> {
    source: &'p Source,
    folder: Way,
    /// The pattern below the folder.
    rest: String,
    /// The pattern as a path without links. It is compiled for the first sink that is near.
    pattern: OnceCell<Option<Pattern>>,
}

impl<'p> Reads<'p> {
    fn of(source: &'p Source, base: &Path) -> Vec<Self> {
        let of_text = |text: &String| {
            let (folder, rest) = folder_and_rest(text);
            Self { source, folder: Way::of(folder, base), rest: rest.to_owned(), pattern: OnceCell::new() }
        };
        flowc_sources::source(&source.spec, base).patterns().iter().map(of_text).collect()
    }

    fn pattern(&self) -> Option<&Pattern> {
        let compiled = || Pattern::new(&self.folder.place.join(&self.rest).to_string_lossy()).ok();
        self.pattern.get_or_init(compiled).as_ref()
    }
}

/// A path of the text, and where it leads.
struct Way {
    place: PathBuf,
    is_absolute: bool,
    has_links: bool,
}

impl Way {
    fn of(text: &str, base: &Path) -> Self {
        let written = base.join(text);
        let place = true_place(&written);
        let has_links = place.to_string_lossy() != normal(&written.to_string_lossy());
        Self { place, is_absolute: text.starts_with('/'), has_links }
    }

    /// Whether a sink here may write what a source reads in a folder, in a way that the text alone does not show.
    fn may_meet(&self, folder: &Self) -> bool {
        let is_seen = !self.has_links && !folder.has_links && self.is_absolute == folder.is_absolute;
        !is_seen && (self.place.starts_with(&folder.place) || folder.place.starts_with(&self.place))
    }
}

/// A path without links, as far as it is there.
fn true_place(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => true_place(parent).join(name),
        _ => path.to_owned(),
    }
}

/// A file in a folder that a sink writes, with an ending as the sink's files have.
fn within<'a>(files: &'a [Arc<FileEntry>], folders: &[Folder<'a>]) -> Option<(&'a FileEntry, &'a Sink)> {
    if folders.is_empty() {
        return None;
    }
    let paths = || files.iter().filter_map(|entry| Some((entry.as_ref(), entry.part.path.as_deref()?)));
    let mut parents: Vec<&Path> = paths().filter_map(|(_, path)| path.parent()).collect();
    // Neighbours mostly lie in one folder, and it takes longer to put paths in order than to see that they are the same.
    parents.dedup_by_key(|parent| parent.as_os_str());
    for parent in BTreeSet::from_iter(parents) {
        let Ok(true_path) = parent.canonicalize() else { continue };
        for folder in folders.iter().filter(|folder| true_path.starts_with(&folder.true_path)) {
            let is_alike =
                |path: &Path| path.parent() == Some(parent) && path.to_string_lossy().ends_with(folder.ending);
            if let Some((entry, _)) = paths().find(|(_, path)| is_alike(path)) {
                return Some((entry, folder.sink));
            }
        }
    }
    None
}

fn refusal(sink: &Sink, message: String) -> Error {
    Error::Sink { sink: sink.name.clone(), message, cause: None }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_place_is_the_same_by_any_way() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| true_place(&folder.path().join(path));
        std::fs::create_dir(folder.path().join("out")).unwrap();
        symlink("out", folder.path().join("way")).unwrap();
        std::fs::write(folder.path().join("out/a.csv"), "").unwrap();
        symlink("a.csv", folder.path().join("out/b.csv")).unwrap();
        assert_eq!(at("out/a.csv"), at("way/a.csv"));
        assert_eq!(at("out/a.csv"), at("out/b.csv"));
        assert_eq!(at("out/new/c.csv"), at("way/new/c.csv"));
        assert_ne!(at("out/new/c.csv"), at("out/c.csv"));
    }
}
