//! Sinks in the place of a source's file, or of another sink, under another path: through a link, or absolute where the other is relative.
//! The planner sees paths that are written alike, and refuses those.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use flowc_planner::may_feed;
use flowc_planner::pattern::{folder_and_rest, normal};
use flowc_planner::plan::{Location, Plan, Sink, Source, Target};
use flowc_platform::FileStamp;

use crate::Error;
use crate::intake::inventory::{FileEntry, Inventory};

/// Refuses sinks that would replace what a source reads, or write what its next run would read. Of the sources nothing is looked at
/// that has not been already, but for the folders of their patterns and, where a sink is a folder, of their files.
pub(crate) fn check(plan: &Plan, sinks: &[usize], base: &Path, inventory: &Inventory) -> Result<(), Error> {
    let sinks = || sinks.iter().map(|&sink| &plan.sinks[sink]);
    if let Some((sink, other)) = same_place(sinks(), base) {
        let message = format!(
            "its place is, under another path, the one of the sink `{}` or within it; name another one",
            other.name
        );
        return Err(Error::Sink { sink: sink.name.clone(), message, cause: None });
    }
    let mut files: HashMap<(u64, u64), &Sink> = HashMap::new();
    let mut folders: Vec<(PathBuf, &Sink)> = Vec::new();
    for sink in sinks() {
        match &sink.spec.target {
            Target::File(path) => {
                files.extend(FileStamp::of(&base.join(path)).map(|stamp| ((stamp.device, stamp.inode), sink)));
            }
            Target::Directory(path) => folders.extend(base.join(path).canonicalize().map(|folder| (folder, sink))),
            Target::Stdout => {}
        }
    }
    for (&source, of) in &inventory.sources {
        let refused = |(entry, sink): (&FileEntry, &Sink)| refusal(sink, &plan.sources[source].name, entry.name());
        let replaced = of.files.iter().filter(|_| !files.is_empty()).find_map(|entry| {
            let stamp = entry.stamp?;
            Some((entry, *files.get(&(stamp.device, stamp.inode))?))
        });
        if let Some(found) = replaced.or_else(|| within(&of.files, &folders)) {
            return Err(refused(found));
        }
    }
    if let Some((sink, source)) = fed(sinks(), &plan.sources, base) {
        let message = format!(
            "it writes, under another path, where the source `{}` reads: the next run would read what this one wrote; give \
             the sink another place, or narrow the source's files",
            source.name
        );
        return Err(Error::Sink { sink: sink.name.clone(), message, cause: None });
    }
    Ok(())
}

/// A sink in the place of one before it, or within its folder, or the other way round.
fn same_place<'p>(sinks: impl Iterator<Item = &'p Sink>, base: &Path) -> Option<(&'p Sink, &'p Sink)> {
    let place = |sink: &'p Sink| match &sink.spec.target {
        Target::File(path) | Target::Directory(path) => Some((true_place(&base.join(path)), sink)),
        Target::Stdout => None,
    };
    let mut places: Vec<(PathBuf, &Sink)> = sinks.filter_map(place).collect();
    // What lies within a folder comes right after it or after something else within it.
    places.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut above: Option<&(PathBuf, &Sink)> = None;
    for found in &places {
        match above {
            Some((path, other)) if found.0.starts_with(path) => return Some((found.1, other)),
            _ => above = Some(found),
        }
    }
    None
}

/// A sink that writes what the next run of a source would read.
fn fed<'p>(
    sinks: impl Iterator<Item = &'p Sink>,
    sources: &'p [Source],
    base: &Path,
) -> Option<(&'p Sink, &'p Source)> {
    let base = true_place(base);
    let patterns = sources.iter().flat_map(|source| match &source.spec.location {
        Location::Files(patterns) => patterns.iter().map(|text| (source, text.as_str())).collect(),
        Location::Stdin => Vec::new(),
    });
    let patterns: Vec<(&Source, Way, &str)> = patterns
        .map(|(source, text)| {
            let (folder, rest) = folder_and_rest(text);
            (source, Way::of(folder, &base), rest)
        })
        .collect();
    for sink in sinks {
        let (Target::File(text) | Target::Directory(text)) = &sink.spec.target else { continue };
        let way = Way::of(text, &base);
        let near = patterns.iter().filter(|(_, folder, _)| way.may_meet(folder));
        let feeds = |folder: &Way, rest: &str| {
            may_feed(&sink.spec, &way.place.to_string_lossy(), &folder.place.join(rest).to_string_lossy())
        };
        if let Some((source, ..)) = near.into_iter().find(|(_, folder, rest)| feeds(folder, rest)) {
            return Some((sink, source));
        }
    }
    None
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
fn within<'a>(files: &'a [FileEntry], folders: &[(PathBuf, &'a Sink)]) -> Option<(&'a FileEntry, &'a Sink)> {
    if folders.is_empty() {
        return None;
    }
    let paths = || files.iter().filter_map(|entry| Some((entry, entry.file.as_ref()?.path.as_path())));
    let parents: BTreeSet<&Path> = paths().filter_map(|(_, path)| path.parent()).collect();
    for parent in parents {
        let Ok(true_path) = parent.canonicalize() else { continue };
        for (_, sink) in folders.iter().filter(|(folder, _)| true_path.starts_with(folder)) {
            let ending = sink.spec.ending();
            let is_alike = |path: &Path| path.parent() == Some(parent) && path.to_string_lossy().ends_with(&ending);
            if let Some((entry, _)) = paths().find(|(_, path)| is_alike(path)) {
                return Some((entry, sink));
            }
        }
    }
    None
}

fn refusal(sink: &Sink, source: &str, file: &str) -> Error {
    let message = match &sink.spec.target {
        Target::Directory(_) => format!(
            "its folder is, under another path, the one of {file}, which the source `{source}` reads; name another \
             folder"
        ),
        _ => format!("its file is, under another path, {file}, which the source `{source}` reads; name another file"),
    };
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
