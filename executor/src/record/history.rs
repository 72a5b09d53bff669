//! What is remembered of a pipeline's last good run: for `why`, for `log`, and for what `store gc` keeps.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flowc_demand::{Datasets, Segments};
use flowc_planner::key::{ColumnKey, KeyHasher, PlanHash, RowsKey, SegmentKeys};
use flowc_planner::plan::{PLAN_VERSION, Plan, Producer, StreamId};
use flowc_store::Store;
use serde::{Deserialize, Deserializer, Serialize};

use crate::intake::inventory::Inventory;
use crate::plan::Planned;
use crate::remembered::{LOG, PIN, RAN, RUN};
use crate::{Error, StageRan};

/// A pipeline's last good run.
#[derive(Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The pipeline's main file.
    pub pipeline: String,
    /// Seconds since 1970.
    pub finished: u64,
    /// The plan, as canonical JSON.
    pub plan: String,
    /// The keys of every stream, in the plan's order.
    pub streams: Vec<Vec<SegmentKeys>>,
    /// Per source, the names of its segments' files.
    pub files: Vec<Vec<String>>,
    /// The keys of partials and merges.
    pub partials: Vec<SegmentKeys>,
    /// The names of what was built for its stages: environments, components. From here on, fields may be missing: records of
    /// earlier versions end before them.
    #[serde(deserialize_with = "or_none")]
    pub builds: Vec<String>,
    /// The hash of the plan.
    #[serde(deserialize_with = "or_none")]
    pub plan_hash: Option<PlanHash>,
}

fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

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

impl RunRecord {
    /// A record of a run that ends now.
    pub(crate) fn new(planned: &Planned, inventory: &Inventory, datasets: &Datasets) -> Self {
        let plan = &planned.plan;
        let files = inventory
            .sources
            .values()
            .map(|source| source.segments.iter().map(|segment| source.files[segment.file].name().to_owned()).collect());
        let partials = datasets.partials.values().flat_map(Segments::all);
        Self {
            pipeline: planned.texts[0].to_string_lossy().into_owned(),
            finished: now(),
            plan: plan.canonical(),
            streams: (0..plan.streams.len())
                .map(|id| {
                    datasets.streams.get(&StreamId(id)).map_or_else(Vec::new, |segments| segments.iter().collect())
                })
                .collect(),
            files: files.collect(),
            partials: partials.collect(),
            builds: planned.builds.clone(),
            plan_hash: Some(planned.hash),
        }
    }

    /// Remembers it as the pipeline's last.
    pub(crate) fn save(&self, store: &Store, pipeline: &Path) -> Result<(), Error> {
        Ok(store.remember(RUN, &pipeline_key(pipeline), self)?)
    }

    /// The pipeline's last good run in this store.
    pub(crate) fn load(store: &Store, pipeline: &Path) -> Result<Option<Self>, Error> {
        Ok(store.memo(RUN, &pipeline_key(pipeline))?)
    }

    /// Whether its pipeline is not there any more: a project that was deleted, moved, or is a work tree that is gone.
    fn is_abandoned(&self) -> bool {
        // A path that is not text was not kept whole, so it can't be looked for.
        let is_whole = !self.pipeline.contains(char::REPLACEMENT_CHARACTER);
        let found = std::fs::symlink_metadata(&self.pipeline);
        is_whole && found.is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    }

    fn summary(&self) -> PastRun {
        PastRun { pipeline: self.pipeline.clone(), finished: self.finished }
    }

    /// The keys of the segments of a source or its rejects.
    pub(crate) fn keys(&self, plan: &Plan, producer: Producer) -> Option<Vec<SegmentKeys>> {
        match producer {
            Producer::Source { .. } | Producer::Rejects { .. } => {
                let stream = plan.streams.iter().position(|stream| stream.producer == producer)?;
                self.streams.get(stream).cloned()
            }
            Producer::Stage { .. } => None,
        }
    }

    /// The plan of that run, unless its form is another version's.
    pub(crate) fn plan(&self) -> Option<Plan> {
        serde_json::from_str(&self.plan).ok().filter(|plan: &Plan| plan.version == PLAN_VERSION)
    }
}

/// A pipeline's last good run, whose results stay while the pipeline is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastRun {
    /// The pipeline's main file.
    pub pipeline: String,
    /// When the run ended, in seconds since 1970.
    pub finished: u64,
}

/// The last good run of every pipeline, by the pipelines' files.
pub(crate) fn runs(store: &Store) -> Result<Vec<PastRun>, Error> {
    let records: Vec<([u8; 32], RunRecord)> = store.memos(RUN)?;
    let mut runs: Vec<PastRun> = records.iter().map(|(_, record)| record.summary()).collect();
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
    run: RunRecord,
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
    let records: Vec<([u8; 32], RunRecord)> = store.memos(RUN)?;
    let (abandoned, last): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, record)| record.is_abandoned());
    let mut abandoned: Vec<_> = abandoned.into_iter().map(|(key, record)| (key, record.summary())).collect();
    abandoned.sort_by(|(_, a), (_, b)| a.cmp(b));
    let mut roots = GcRoots { abandoned, ..GcRoots::default() };
    let pinned = store.memos::<PinnedRun>(PIN)?.into_iter().map(|(_, pinned)| pinned.run);
    for record in last.into_iter().map(|(_, record)| record).chain(pinned) {
        for keys in record.streams.iter().flatten().chain(&record.partials) {
            roots.columns.extend(keys.columns.iter());
            roots.rows.insert(keys.rows);
        }
        let stages = record.plan().map_or_else(Vec::new, |plan| plan.stages);
        roots.stages.extend(stages.iter().map(|stage| stage.digest.to_string()));
        roots.builds.extend(record.builds);
    }
    Ok(roots)
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

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn pipeline_key(pipeline: &Path) -> [u8; 32] {
    KeyHasher::new("pipeline 1").bytes(pipeline.as_os_str().as_encoded_bytes()).finish()
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
        store.remember(RUN, &[1; 32], &run).unwrap();
        let pinned = ("paper", Earlier { streams: vec![vec![keys(3)]], ..run });
        store.remember(PIN, &[2; 32], &pinned).unwrap();
        let kept = gc_roots(&store).unwrap();
        assert_eq!(kept.columns, [1, 2, 3].map(|seed| ColumnKey::new([seed; 32])).into());
        assert!(kept.builds.is_empty());
        assert_eq!(pins(&store).unwrap()[0].finished, 7);
    }

    fn run(pipeline: &Path, build: &str) -> RunRecord {
        RunRecord {
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
        store.remember(RUN, &[1; 32], &run(folder.path(), "last")).unwrap();
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
            store.remember(RUN, &[key; 32], &run(pipeline, "gone")).unwrap();
        }
        let unreadable = Path::new("not \u{fffd} text");
        store.remember(RUN, &[3; 32], &run(unreadable, "unknown")).unwrap();
        store.remember(PIN, &[4; 32], &PinnedRun { name: "paper".to_owned(), run: run(&gone[0], "pinned") }).unwrap();
        let kept = gc_roots(&store).unwrap();
        assert_eq!(kept.builds, ["unknown", "pinned"].map(str::to_owned).into());
        let abandoned: Vec<_> = kept.abandoned.iter().map(|(_, run)| Path::new(&run.pipeline)).collect();
        assert_eq!(abandoned, gone.each_ref().map(std::path::PathBuf::as_path));
    }
}
