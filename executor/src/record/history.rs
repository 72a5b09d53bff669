//! What is remembered of a pipeline's last good run: for `why`, for `log`, and for what `store gc` keeps.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use flowc_planner::key::{ColumnKey, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::Plan;
use flowc_store::Store;
use serde::{Deserialize, Serialize};

use crate::record::pages::Page;
use crate::record::run::{PastRun, Run, RunRecord, WholeRun};
use crate::remembered::{LOG, PAGE, PIN, RAN, RUN, WHOLE_RUN};
use crate::{Error, StageRan};

/// A line of a stage's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Position of the segment in the dataset that the stage ran over.
    pub segment: usize,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// What the stage said.
    pub message: String,
}

/// The last good run of every pipeline, by the pipelines' files.
pub(crate) fn runs(store: &Store) -> Result<Vec<PastRun>, Error> {
    let records: Vec<([u8; 32], RunRecord)> = store.memos(RUN)?;
    let earlier: Vec<([u8; 32], WholeRun)> = store.memos(WHOLE_RUN)?;
    let earlier = earlier.iter().map(|(_, record)| record.summary());
    let mut runs: Vec<PastRun> = records.iter().map(|(_, record)| record.summary()).chain(earlier).collect();
    runs.sort();
    Ok(runs)
}

/// A good run whose results stay, whatever runs come after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The name that it was given.
    pub name: String,
    /// The pipeline's main file.
    pub pipeline: String,
    /// When the run ended, in seconds since 1970.
    pub finished: u64,
}

/// A run under the name that it was given.
#[derive(Serialize, Deserialize)]
pub(crate) struct PinnedRun {
    name: String,
    run: WholeRun,
}

impl PinnedRun {
    fn pin(&self) -> Pin {
        Pin { name: self.name.clone(), pipeline: self.run.pipeline.clone(), finished: self.run.finished }
    }
}

/// Keeps a pipeline's last good run under a name; a run that had the name loses it.
pub(crate) fn pin(store: &Store, pipeline: &Path, name: &str) -> Result<Pin, Error> {
    let run = RunRecord::load(store, pipeline)?;
    let run =
        run.ok_or_else(|| Error::Request("there is no good run to keep yet; run the pipeline first".to_owned()))?;
    let damaged = || Error::Changed("a part of the last run's record is gone from the store. Run again".to_owned());
    let run = run.whole(store, pipeline).ok_or_else(damaged)?;
    let pinned = PinnedRun { name: name.to_owned(), run };
    store.remember(PIN, &pin_key(name), &pinned)?;
    Ok(pinned.pin())
}

/// Unpins the run of this name.
pub(crate) fn unpin(store: &Store, name: &str) -> Result<(), Error> {
    if store.memo::<PinnedRun>(PIN, &pin_key(name))?.is_none() {
        return Err(Error::Request(format!("no run is pinned as `{name}`; `flowc store info` lists the pins")));
    }
    store.forget(PIN, &pin_key(name));
    Ok(())
}

/// All pins, by name.
pub(crate) fn pins(store: &Store) -> Result<Vec<Pin>, Error> {
    let mut pins: Vec<Pin> = store.memos::<PinnedRun>(PIN)?.iter().map(|(_, pinned)| pinned.pin()).collect();
    pins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pins)
}

/// What garbage collection keeps: all that a last good run of some pipeline needs, or a pinned run.
#[derive(Default)]
pub(crate) struct GcRoots {
    /// Keys of results.
    pub columns: HashSet<ColumnKey>,
    /// Keys of numbers of rows.
    pub rows: HashSet<RowsKey>,
    /// Names of what was built.
    pub builds: HashSet<String>,
    /// Digests of stages, as names of compiled components begin.
    pub stages: HashSet<String>,
    /// Runs of pipelines that are not there any more, with the keys of their records. They keep nothing.
    pub abandoned: Vec<([u8; 32], PastRun)>,
}

/// The roots that all run records name.
pub(crate) fn gc_roots(store: &Store) -> Result<GcRoots, Error> {
    let mut roots = GcRoots::default();
    let mut recorded = HashSet::new();
    for (key, run) in store.memos::<RunRecord>(RUN)? {
        if roots.keeps(key, &run) {
            recorded.insert(key);
            run.streams.iter().chain(&run.partials).for_each(|root| roots.add(&root.keys));
        }
    }
    for (_, page) in store.memos::<Page>(PAGE)?.into_iter().filter(|(_, page)| recorded.contains(&page.record)) {
        page.below.iter().for_each(|keys| roots.add(keys));
    }
    for (key, run) in store.memos::<WholeRun>(WHOLE_RUN)? {
        if roots.keeps(key, &run) {
            roots.add_all(&run);
        }
    }
    for (_, PinnedRun { run, .. }) in store.memos(PIN)? {
        roots.add_code(&run);
        roots.add_all(&run);
    }
    roots.abandoned.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(roots)
}

impl GcRoots {
    /// Takes in the last run of a pipeline. Says whether the pipeline is still there, so that its results are to be kept.
    fn keeps<S, F, P>(&mut self, key: [u8; 32], run: &Run<S, F, P>) -> bool {
        let is_abandoned = run.is_abandoned();
        match is_abandoned {
            true => self.abandoned.push((key, run.summary())),
            false => self.add_code(run),
        }
        !is_abandoned
    }

    fn add_code<S, F, P>(&mut self, run: &Run<S, F, P>) {
        let stages = run.plan().map_or_else(Vec::new, |plan| plan.stages);
        self.stages.extend(stages.iter().map(|stage| stage.digest.to_string()));
        self.builds.extend(run.builds.iter().cloned());
    }

    fn add_all(&mut self, run: &WholeRun) {
        run.streams.iter().flatten().chain(&run.partials).for_each(|keys| self.add(keys));
    }

    fn add(&mut self, keys: &SegmentKeys) {
        self.columns.extend(keys.columns.iter());
        self.rows.insert(keys.rows);
    }
}

/// Remembers the logs of the stages that ran.
pub(crate) fn save_logs(
    store: &Store,
    pipeline: &Path,
    plan: &Plan,
    logs: &BTreeMap<usize, Vec<(usize, String, String)>>,
    ran: impl Iterator<Item = usize>,
) -> Result<(), Error> {
    for stage in ran {
        let lines = logs.get(&stage).map_or(&[][..], Vec::as_slice).iter();
        let lines = lines.map(|(segment, level, message)| LogLine {
            segment: *segment,
            level: level.clone(),
            message: message.clone(),
        });
        let mut lines: Vec<LogLine> = lines.collect();
        lines.sort_by_key(|line| line.segment);
        store.remember(LOG, &log_key(pipeline, &plan.stages[stage].name), &lines)?;
    }
    Ok(())
}

/// The log of a stage's last run; none if the stage never ran.
pub(crate) fn load_log(store: &Store, pipeline: &Path, stage: &str) -> Result<Option<Vec<LogLine>>, Error> {
    Ok(store.memo(LOG, &log_key(pipeline, stage))?)
}

/// Remembers the outcome of a stage that ran, and why it ran.
pub(crate) fn save_ran(store: &Store, pipeline: &Path, stage: &str, ran: &StageRan) -> Result<(), Error> {
    Ok(store.remember(RAN, &ran_key(pipeline, stage), ran)?)
}

/// The outcome of a stage's last run; none if the stage never ran.
pub(crate) fn load_ran(store: &Store, pipeline: &Path, stage: &str) -> Result<Option<StageRan>, Error> {
    Ok(store.memo(RAN, &ran_key(pipeline, stage))?)
}

fn pin_key(name: &str) -> [u8; 32] {
    KeyHasher::new("pin 1").bytes(name.as_bytes()).finish()
}

fn log_key(pipeline: &Path, stage: &str) -> [u8; 32] {
    KeyHasher::new("log 1").bytes(pipeline.as_os_str().as_encoded_bytes()).bytes(stage.as_bytes()).finish()
}

fn ran_key(pipeline: &Path, stage: &str) -> [u8; 32] {
    KeyHasher::new("ran 1").bytes(pipeline.as_os_str().as_encoded_bytes()).bytes(stage.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::pages::Root;

    /// A record as versions wrote it that named no builds.
    #[derive(Serialize, Clone)]
    struct Earlier {
        pipeline: String,
        finished: u64,
        plan: String,
        streams: Vec<Vec<SegmentKeys>>,
        files: Vec<Vec<String>>,
        partials: Vec<SegmentKeys>,
    }

    fn keys(seed: u8) -> SegmentKeys {
        SegmentKeys { rows: RowsKey::new([seed; 32]), columns: vec![ColumnKey::new([seed; 32])].into() }
    }

    #[test]
    fn records_of_earlier_versions_keep_what_they_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = Earlier {
            pipeline: folder.path().to_string_lossy().into_owned(),
            finished: 7,
            plan: String::new(),
            streams: vec![vec![keys(1)]],
            files: vec![],
            partials: vec![keys(2)],
        };
        store.remember(WHOLE_RUN, &[1; 32], &run).unwrap();
        let pinned = ("paper", Earlier { streams: vec![vec![keys(3)]], ..run });
        store.remember(PIN, &[2; 32], &pinned).unwrap();
        let kept = gc_roots(&store).unwrap();
        assert_eq!(kept.columns, [1, 2, 3].map(|seed| ColumnKey::new([seed; 32])).into());
        assert!(kept.builds.is_empty());
        assert_eq!(pins(&store).unwrap()[0].finished, 7);
    }

    fn run<S, F, P>(pipeline: &Path, build: &str) -> Run<S, F, P> {
        Run {
            pipeline: pipeline.to_string_lossy().into_owned(),
            finished: 0,
            plan: String::new(),
            streams: vec![],
            files: vec![],
            partials: vec![],
            builds: vec![build.to_owned()],
            plan_hash: None,
        }
    }

    #[test]
    fn a_record_keeps_the_builds_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let last: RunRecord = run(folder.path(), "last");
        store.remember(RUN, &[1; 32], &last).unwrap();
        let pinned = PinnedRun { name: "paper".to_owned(), run: run(folder.path(), "pinned") };
        store.remember(PIN, &[2; 32], &pinned).unwrap();
        assert_eq!(gc_roots(&store).unwrap().builds, ["last", "pinned"].map(str::to_owned).into());
    }

    #[test]
    fn of_a_pipeline_that_is_gone_only_a_pin_keeps_something() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let file = folder.path().join("version");
        let gone = [folder.path().join("gone/flow.kdl"), file.join("flow.kdl")];
        for (key, pipeline) in (1..).zip(&gone) {
            store.remember(RUN, &[key; 32], &run::<Root, Root, Root>(pipeline, "gone")).unwrap();
        }
        let unreadable = Path::new("not \u{fffd} text");
        store.remember(RUN, &[3; 32], &run::<Root, Root, Root>(unreadable, "unknown")).unwrap();
        store.remember(PIN, &[4; 32], &PinnedRun { name: "paper".to_owned(), run: run(&gone[0], "pinned") }).unwrap();
        let kept = gc_roots(&store).unwrap();
        assert_eq!(kept.builds, ["unknown", "pinned"].map(str::to_owned).into());
        let abandoned: Vec<_> = kept.abandoned.iter().map(|(_, run)| Path::new(&run.pipeline)).collect();
        assert_eq!(abandoned, gone.each_ref().map(std::path::PathBuf::as_path));
    }
}
