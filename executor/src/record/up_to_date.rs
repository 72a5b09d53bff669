//! Sees at a glance that there is nothing to do.
//!
//! After a run that left everything as it should be, one file in the store lists all that the outcome depends on: the
//! texts, a stamp for every source file, listed folder, sink file and file of code, and the variables that decide about code. While all of that holds the run's
//! report holds too. Beside it the store's version is looked at, and nothing else is opened: no KDL is parsed, no
//! database, no component.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flowc_code::{Evidence, variables_beginning};
use flowc_planner::key::KeyHasher;
use flowc_platform::{FileStamp, gpu_kinds, processor_kind};
use flowc_store::Store;
use serde::{Deserialize, Serialize};

use crate::intake::notices::Notice;
use crate::remembered::UP_TO_DATE;
use crate::{Options, RunReport};

/// All that a report depends on.
#[derive(Serialize, Deserialize)]
pub(crate) struct UpToDateSnapshot {
    /// The texts and their hashes.
    texts: Vec<(PathBuf, [u8; 32])>,
    /// Files and folders that must be as they were.
    stamps: Vec<(PathBuf, FileStamp)>,
    /// Files that were written so shortly before that their stamps prove nothing: BLAKE3 of their bytes.
    racy: Vec<(PathBuf, [u8; 32])>,
    /// Paths that led nowhere, where something would have counted.
    absent: Vec<PathBuf>,
    /// Variables of the environment, and their values.
    variables: Vec<(String, Option<OsString>)>,
    /// How names of variables begin, and all that are set.
    variable_sets: Vec<(String, BTreeSet<String>)>,
    /// The kind of processors that programs ran on, if some did.
    processor: Option<String>,
    /// The kinds of GPUs, if numbers depend on them.
    gpus: Option<String>,
    /// The report of the run.
    report: RunReport,
    /// The notices of the run about its sources.
    notices: Vec<Notice>,
}

/// Evidence that a file is unchanged: its stamp, and a hash where the stamp alone may not be trusted.
pub(crate) enum Stamped {
    /// A source, a folder or a component.
    At(PathBuf, FileStamp),
    /// A file that was written by us, and BLAKE3 of its bytes.
    Written(PathBuf, FileStamp, [u8; 32]),
}

impl UpToDateSnapshot {
    /// A snapshot of this evidence; none if the evidence can't be trusted.
    pub(crate) fn new(
        texts: Vec<(PathBuf, [u8; 32])>,
        files: Vec<Stamped>,
        code: &Evidence,
        report: RunReport,
        notices: Vec<Notice>,
    ) -> Option<Self> {
        let now = SystemTime::now();
        let (mut stamps, mut written, mut racy) = (Vec::new(), Vec::new(), Vec::new());
        for item in files {
            match item {
                Stamped::At(_, stamp) if stamp.is_racy(now) => return None,
                Stamped::Written(path, stamp, hash) if stamp.is_racy(now) => racy.push((path, hash)),
                Stamped::At(path, stamp) => stamps.push((path, stamp)),
                Stamped::Written(path, stamp, _) => written.push((path, stamp)),
            }
        }
        // What others wrote last is the likeliest to be written next: it is looked at first, and what flowc wrote last of all.
        stamps.sort_by_key(|(_, stamp)| Reverse(stamp.modified_ns));
        stamps.append(&mut written);
        let absent = code.absent.iter().cloned().collect();
        let variables = code.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let variable_sets = code.variable_sets.iter().map(|(with, names)| (with.clone(), names.clone())).collect();
        Some(Self {
            texts,
            stamps,
            racy,
            absent,
            variables,
            variable_sets,
            processor: None,
            gpus: None,
            report,
            notices,
        })
    }

    /// The snapshot of a pipeline with programs: it holds on this kind of processors alone.
    #[must_use]
    pub(crate) fn with_programs(self) -> Self {
        Self { processor: Some(processor_kind()), ..self }
    }

    /// The snapshot of a pipeline with numbers that depend on a device: it holds with these GPUs alone, and on this kind of
    /// processors, which may be the device.
    #[must_use]
    pub(crate) fn with_devices(self) -> Self {
        Self { gpus: Some(gpu_kinds()), ..self.with_programs() }
    }

    /// Keeps the snapshot for the next run of the same pipeline with the same options.
    pub(crate) fn save(&self, store: &Store, options: &Options) {
        if let Some(key) = key(options) {
            // Without it the next run takes the longer way, to the same end.
            let _ = store.remember(UP_TO_DATE, &key, self);
        }
    }

    fn holds(&self, threads: usize) -> bool {
        self.texts.iter().all(|(path, hash)| hash_file(path).as_ref() == Some(hash))
            && self.processor.as_ref().is_none_or(|kind| *kind == processor_kind())
            && self.gpus.as_ref().is_none_or(|kinds| *kinds == gpu_kinds())
            && self.variables.iter().all(|(name, value)| std::env::var_os(name) == *value)
            && self.variable_sets.iter().all(|(with, names)| variables_beginning(with) == *names)
            && all_hold(&self.stamps, threads)
            && !self.absent.iter().any(|path| path.exists())
            && self.racy.iter().all(|(path, hash)| hash_file(path).as_ref() == Some(hash))
    }
}

/// The report of the last run and its notices about sources, if everything is still as that run left it.
pub(crate) fn report_if_up_to_date(options: &Options) -> Option<(RunReport, Vec<Notice>)> {
    if !Store::is_current(&options.store) {
        return None;
    }
    let snapshot: UpToDateSnapshot = UP_TO_DATE.read(&options.store, &key(options)?)?;
    snapshot.holds(options.jobs).then_some((snapshot.report, snapshot.notices))
}

/// Forgets the snapshot, so that the next run looks closely.
pub(crate) fn forget(options: &Options) {
    if let Some(key) = key(options) {
        let _ = std::fs::remove_file(UP_TO_DATE.file(&options.store, &key));
    }
}

/// Threads pay only where there is much to look at: a stat is a microsecond.
fn all_hold(stamps: &[(PathBuf, FileStamp)], threads: usize) -> bool {
    const WORTH_A_THREAD: usize = 2000;
    let holds = |stamps: &[(PathBuf, FileStamp)]| {
        stamps.iter().all(|(path, stamp)| FileStamp::of(path).is_ok_and(|now| now == *stamp))
    };
    let share = stamps.len().div_ceil(threads.max(1)).max(WORTH_A_THREAD);
    std::thread::scope(|scope| {
        let others: Vec<_> = stamps.chunks(share).skip(1).map(|chunk| scope.spawn(move || holds(chunk))).collect();
        let first = stamps.chunks(share).next().is_none_or(holds);
        others.into_iter().fold(first, |all, thread| thread.join().unwrap_or(false) && all)
    })
}

fn hash_file(path: &Path) -> Option<[u8; 32]> {
    Some(*blake3::hash(&std::fs::read(path).ok()?).as_bytes())
}

/// The key of a snapshot: the pipeline, and what else decides about its plan.
fn key(options: &Options) -> Option<[u8; 32]> {
    // The others decide how a run goes about it. `update_lock` never comes here: such a run looks closely.
    let Options {
        pipeline,
        locked,
        params,
        ambient: _,
        store: _,
        jobs: _,
        build: _,
        update_lock: _,
        memory: _,
        budget: _,
        require_isolation: _,
        workers: _,
        gpu,
    } = options;
    let pipeline = std::fs::canonicalize(pipeline).ok()?;
    let mut hasher = KeyHasher::new("standstill");
    hasher.bytes(pipeline.as_os_str().as_encoded_bytes()).number(u64::from(*locked));
    for (name, value) in params {
        hasher.bytes(name.as_bytes()).bytes(value.as_bytes());
    }
    hasher.bytes(gpu.as_deref().unwrap_or_default().as_bytes());
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use flowc_planner::key::PlanHash;

    use super::*;

    fn snapshot(sets: &[(&str, &[&str])]) -> UpToDateSnapshot {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let variable_sets = sets.iter().map(|(with, all)| ((*with).to_owned(), names(all))).collect();
        let code = Evidence { variable_sets, ..Evidence::default() };
        let (plan, stages, outputs, streams) = (PlanHash::new([0; 32]), vec![], vec![], vec![]);
        let report = RunReport { plan, stages, outputs, streams, asserts: vec![] };
        UpToDateSnapshot::new(vec![], vec![], &code, report, vec![]).unwrap()
    }

    #[test]
    fn a_variable_more_or_less_is_a_change() {
        assert!(snapshot(&[]).holds(1));
        assert!(snapshot(&[("FLOWC_NO_SUCH_", &[])]).holds(1));
        assert!(!snapshot(&[("FLOWC_NO_SUCH_", &["FLOWC_NO_SUCH_ONE"])]).holds(1), "one has gone");
        assert!(!snapshot(&[("PATH", &[])]).holds(1), "one has come");
    }
}
