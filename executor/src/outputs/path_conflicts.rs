//! Sinks in the place of a source's file under another path: through a link, or absolute where the other is relative. The
//! planner sees paths that are written alike.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use flowc_planner::plan::{Plan, Sink, Target};
use flowc_platform::FileStamp;

use crate::Error;
use crate::intake::inventory::{FileEntry, Inventory};

/// Refuses sinks that would replace what a source reads. Of the sources nothing is looked at that has not been already,
/// but for the folders of their files, and those only where a sink is a folder.
pub(crate) fn check(plan: &Plan, sinks: &[usize], base: &Path, inventory: &Inventory) -> Result<(), Error> {
    let sinks = || sinks.iter().map(|&sink| &plan.sinks[sink]);
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
    Ok(())
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
