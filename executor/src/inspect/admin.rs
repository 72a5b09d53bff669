//! Manages the store: what it holds, whether it is damaged, pins, garbage collection.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flowc_code::Snapshots;
use flowc_platform::is_sealed;
use flowc_store::{Area, Collection, Damage, GcReport, Info, Leased, Store, Swept};

use crate::Error;
use crate::record::history::{self, Pin, gc_roots};
use crate::record::run::{PastRun, forget};
use crate::runners::Environments;

/// The number of results in a store, and the sizes of its parts.
///
/// # Errors
/// If the store can't be opened or read.
pub fn info(store: &Path) -> Result<Info, Error> {
    Ok(Store::open(store)?.info()?)
}

/// Reads everything and compares it with its digests. With `repair`, damaged results are dropped; the next run that
/// needs them makes them again. Damaged code is removed, so that it is made again too, unless a run that is under way may use it.
///
/// # Errors
/// If the store can't be read or written.
pub fn verify(store: &Path, repair: bool) -> Result<Verified, Error> {
    let results = Store::open(store)?.verify(repair)?;
    let mut verified = Verified { results, code: damaged_code(store), in_use: Vec::new() };
    if repair && !verified.code.is_empty() {
        let collection = Collection::begin(store, false)?;
        let mut decision = collection.decide()?;
        let (in_use, free) = verified.code.into_iter().partition(|path| is_in_use(decision.leased(), path));
        (verified.in_use, verified.code) = (in_use, free);
        verified.code.iter().try_for_each(|path| decision.take_out(path))?;
        decision.carry_out()?;
    }
    Ok(verified)
}

/// The damage that was found in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Damaged results.
    pub results: Vec<Damage>,
    /// Files and folders of what runs: snapshots of code, environments, components that were built or compiled.
    pub code: Vec<PathBuf>,
    /// Those that were to be removed, and stay, since a run that is under way may use them.
    pub in_use: Vec<PathBuf>,
}

/// Whether a living process may use code that lies there.
fn is_in_use(leased: &Leased, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    leased.holds_build(&name) || leased.holds_component(component_of(&name))
}

/// The digest of the component that a compiled one is of.
fn component_of(name: &str) -> &str {
    name.split('-').next().unwrap_or_default()
}

fn damaged_code(store: &Path) -> Vec<PathBuf> {
    let area = |area| Store::area(store, area);
    let snapshots = Snapshots::new(area(Area::Code));
    let environments = Environments { home: area(Area::Environments), snapshots: snapshots.clone() };
    let files = [Area::Cwasm, Area::Builds].map(|one| std::fs::read_dir(area(one)).into_iter().flatten().flatten());
    let files = files.into_iter().flatten().map(|entry| entry.path());
    let components = files.filter(|path| path.extension().is_some_and(|ending| ending == "wasm" || ending == "cwasm"));
    let mut damaged: Vec<PathBuf> = components.filter(|path| !is_sealed(path)).collect();
    damaged.extend(snapshots.damaged());
    damaged.extend(environments.damaged());
    damaged.sort();
    damaged
}

/// Unpins a run: `gc` may then remove what it alone needs.
///
/// # Errors
/// If no run is pinned under this name, or the store can't be opened or written.
pub fn unpin(store: &Path, name: &str) -> Result<(), Error> {
    let store = Store::open(store)?;
    history::unpin(&store, name)?;
    Ok(store.flush()?)
}

/// The pinned runs, by name.
///
/// # Errors
/// If the store can't be opened or read.
pub fn pins(store: &Path) -> Result<Vec<Pin>, Error> {
    history::pins(&Store::open(store)?)
}

/// The last good run of every pipeline, by the pipelines' files: results stay that these need.
///
/// # Errors
/// If the store can't be read.
pub fn runs(store: &Path) -> Result<Vec<PastRun>, Error> {
    history::runs(&Store::open(store)?)
}

/// What garbage collection removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Runs whose pipelines are not there any more.
    pub runs: Vec<PastRun>,
    /// Results.
    pub results: GcReport,
    /// Environments of Python stages.
    pub environments: Count,
    /// Components that were compiled, or built from source trees.
    pub components: Count,
    /// Snapshots of the code of stages.
    pub snapshots: Count,
    /// Blocks of topics.
    pub blocks: Count,
}

/// How much of a kind stays and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many are still there.
    pub kept: u64,
    /// How many were removed.
    pub removed: u64,
    /// How many files and folders were removed that belong to the kind and are none of it: notes, contents, parts.
    pub others: u64,
    /// Bytes given back.
    pub bytes: u64,
}

impl Count {
    /// Counts names: each is one of the kind or lies beside it.
    fn of(swept: &[Swept], is_one: impl Fn(&str) -> bool) -> Self {
        let count = |names: &[String]| names.iter().filter(|name| is_one(name)).count() as u64;
        let removed: u64 = swept.iter().map(|one| count(&one.removed)).sum();
        Self {
            kept: swept.iter().map(|one| count(&one.kept)).sum(),
            removed,
            others: swept.iter().map(|one| one.removed.len() as u64).sum::<u64>() - removed,
            bytes: swept.iter().map(|one| one.bytes).sum(),
        }
    }

    /// The count with what was removed beside the kind.
    fn beside(self, swept: &Swept) -> Self {
        Self { others: self.others + swept.removed.len() as u64, bytes: self.bytes + swept.bytes, ..self }
    }
}

/// Removes the contents of files of code that no snapshot holds any more. What one holds has another name there.
fn collect_contents(collection: &Collection) -> Result<Swept, Error> {
    let mut decision = collection.decide()?;
    let is_alone = decision.leased().is_alone();
    let files = Store::area(collection.store().dir(), Area::CodeFiles);
    let is_held = |name: &str| std::fs::metadata(files.join(name)).is_ok_and(|file| file.nlink() > 1);
    let contents = decision.area(Area::CodeFiles, |name| !is_alone || is_held(name))?;
    decision.carry_out()?;
    Ok(contents)
}

/// Whether a name among builds is that of something whole: a component, or a folder named by a digest.
fn is_finished(name: &str) -> bool {
    name.ends_with(".wasm") || Environments::is_whole(name)
}

/// Folders among builds that have rules of their own: environments, notes of images, and code. Notes of what environments became are
/// small, and stay.
const APART: [&str; 4] = ["python", "python.built", "images", "code"];

/// Removes all that no pipeline's last good run needs, no pinned one, and no process that uses the store: results, environments,
/// components that were compiled or built. The last run of a pipeline that is not there any more needs nothing. Runs go on
/// meanwhile.
///
/// # Errors
/// If the store can't be read or written.
pub fn gc(store: &Path, dry_run: bool) -> Result<Collected, Error> {
    collect(store, dry_run).map_err(|error| match error {
        Error::Store(error) => Error::Store(error.of_collection()),
        other => other,
    })
}

fn collect(store: &Path, dry_run: bool) -> Result<Collected, Error> {
    let collection = Collection::begin(store, dry_run)?;
    let mut decision = collection.decide()?;
    let kept = gc_roots(collection.store())?;
    decision.results(&kept.columns, &kept.rows)?;
    let leased = decision.leased().clone();
    // What has no final name yet is being made, if somebody is there to make it.
    let is_unfinished = |name: &str| !leased.is_alone() && !is_finished(name);
    let is_built = |name: &str| kept.builds.contains(name) || leased.holds_build(name) || is_unfinished(name);
    let environments = decision.area(Area::Environments, |name| is_built(name) || Environments::is_sdk(name))?;
    let code = decision.area(Area::Code, |name| is_built(name) || name == flowc_code::FILES)?;
    let builds = decision.area(Area::Builds, |name| is_built(name) || APART.contains(&name))?;
    let blocks = decision.area(Area::Blocks, |name| kept.builds.contains(name) || !leased.is_alone())?;
    let is_compiled = |name: &str| {
        let digest = component_of(name);
        kept.stages.contains(digest) || leased.holds_component(digest)
    };
    let compiled = decision.area(Area::Cwasm, is_compiled)?;
    if !dry_run {
        kept.abandoned.iter().try_for_each(|(key, _)| forget(collection.store(), key))?;
        collection.store().flush()?;
    }
    let results = decision.carry_out()?;
    let contents = collect_contents(&collection)?;
    Ok(Collected {
        runs: kept.abandoned.into_iter().map(|(_, run)| run).collect(),
        results,
        environments: Count::of(&[environments], Environments::is_whole),
        components: Count::of(&[builds, compiled], |name| name.ends_with("wasm")),
        snapshots: Count::of(&[code], |name| name != flowc_code::FILES).beside(&contents),
        blocks: Count::of(&[blocks], |name| !name.starts_with('.')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_removed_is_counted() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let swept = Swept { kept: names(&["a.wasm", "a"]), removed: names(&["b.wasm", "b", "c"]), bytes: 7 };
        let count = Count::of(std::slice::from_ref(&swept), |name| name.ends_with("wasm"));
        assert_eq!(count, Count { kept: 1, removed: 1, others: 2, bytes: 7 });
        assert_eq!(count.beside(&swept), Count { kept: 1, removed: 1, others: 5, bytes: 14 });
    }
}
