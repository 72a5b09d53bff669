//! Sees at a glance that there is nothing to do.
//!
//! After a run that left everything as it should be, one file in the store lists all that the outcome depends on: the
//! texts, and a stamp for every source file, listed folder, sink file and component. While all of that holds the run's
//! report holds too. Beside it the store's version is looked at, and nothing else is opened: no KDL is parsed, no
//! database, no component.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flowc_planner::key::KeyHasher;
use flowc_platform::FileStamp;
use flowc_store::{Area, Store};
use serde::{Deserialize, Serialize};

use crate::{Options, RunReport};

/// The version of the file's form; part of its name.
const VERSION: u32 = 3;

/// All that a report depends on.
#[derive(Serialize, Deserialize)]
pub(crate) struct Standstill {
    /// The texts and their hashes.
    texts: Vec<(PathBuf, [u8; 32])>,
    /// Files and folders that must be as they were.
    stamps: Vec<(PathBuf, FileStamp)>,
    /// Files that were written so shortly before that their stamps prove nothing: BLAKE3 of their bytes.
    racy: Vec<(PathBuf, [u8; 32])>,
    /// What the run said.
    report: RunReport,
}

/// What a file is known by, where its stamp alone may not be trusted.
pub(crate) enum Evidence {
    /// A source, a folder or a component.
    Stamp(PathBuf, FileStamp),
    /// A file that was written by us, and BLAKE3 of its bytes.
    Written(PathBuf, FileStamp, [u8; 32]),
}

impl Standstill {
    /// Puts the evidence together; none if it can't be trusted.
    pub(crate) fn new(texts: &[PathBuf], evidence: Vec<Evidence>, report: RunReport) -> Option<Self> {
        let now = SystemTime::now();
        let texts = texts.iter().map(|path| Some((path.clone(), hash_file(path)?))).collect::<Option<_>>()?;
        let (mut stamps, mut racy) = (Vec::new(), Vec::new());
        for item in evidence {
            match item {
                Evidence::Stamp(_, stamp) if stamp.is_racy(now) => return None,
                Evidence::Written(path, stamp, hash) if stamp.is_racy(now) => racy.push((path, hash)),
                Evidence::Stamp(path, stamp) | Evidence::Written(path, stamp, _) => stamps.push((path, stamp)),
            }
        }
        Some(Self { texts, stamps, racy, report })
    }

    /// Keeps it for the next run of the same pipeline with the same options.
    pub(crate) fn save(&self, store: &Store, options: &Options) {
        if let (Ok(bytes), Some(name)) = (postcard::to_stdvec(self), file_name(options)) {
            // Without the file the next run takes the longer way, to the same end.
            let _ = store.put_file(Area::Noop, &name, &bytes);
        }
    }

    fn holds(&self, threads: usize) -> bool {
        self.texts.iter().all(|(path, hash)| hash_file(path).as_ref() == Some(hash))
            && all_hold(&self.stamps, threads)
            && self.racy.iter().all(|(path, hash)| hash_file(path).as_ref() == Some(hash))
    }
}

/// The report of the last run, if everything is still as that run left it.
pub(crate) fn standing_report(options: &Options) -> Option<RunReport> {
    if !Store::is_current(&options.store) {
        return None;
    }
    let path = Store::area(&options.store, Area::Noop).join(file_name(options)?);
    let bytes = std::fs::read(path).ok()?;
    let standstill: Standstill = postcard::from_bytes(&bytes).ok()?;
    standstill.holds(options.jobs).then_some(standstill.report)
}

/// Forgets it, so that the next run looks closely.
pub(crate) fn forget(options: &Options) {
    if let Some(name) = file_name(options) {
        let _ = std::fs::remove_file(Store::area(&options.store, Area::Noop).join(name));
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

/// Named after the pipeline and what else decides about its plan.
fn file_name(options: &Options) -> Option<String> {
    let pipeline = std::fs::canonicalize(&options.pipeline).ok()?;
    let mut hasher = KeyHasher::new("standstill");
    hasher.number(u64::from(VERSION)).bytes(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.bytes(pipeline.as_os_str().as_encoded_bytes()).number(u64::from(options.locked));
    for (name, value) in &options.params {
        hasher.bytes(name.as_bytes()).bytes(value.as_bytes());
    }
    Some(blake3::Hash::from_bytes(hasher.finish()).to_hex().to_string())
}
