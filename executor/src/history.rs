//! What is remembered of a pipeline's last good run: for `why`, for `log`, and for what `store gc` keeps.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flowc_planner::key::{ColumnKey, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, StreamId};
use flowc_store::{Memo, Store};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::inventory::Inventory;
use crate::keys::Datasets;

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
    pub(crate) fn new(pipeline: &Path, plan: &Plan, inventory: &Inventory, datasets: &Datasets) -> Self {
        let files = inventory
            .sources
            .values()
            .map(|source| source.segments.iter().map(|segment| source.files[segment.file].name().to_owned()).collect());
        let partials = datasets.partials.values().flat_map(|tree| tree.levels.iter().flatten().cloned());
        Self {
            pipeline: pipeline.to_string_lossy().into_owned(),
            finished: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            plan: plan.canonical(),
            streams: (0..plan.streams.len())
                .map(|id| datasets.streams.get(&StreamId(id)).cloned().unwrap_or_default())
                .collect(),
            files: files.collect(),
            partials: partials.collect(),
        }
    }

    /// Remembers it as the pipeline's last.
    pub(crate) fn save(&self, store: &Store, pipeline: &Path) -> Result<(), Error> {
        Ok(store.remember(Memo::Run, &pipeline_key(pipeline), self)?)
    }

    /// The pipeline's last good run in this store.
    pub(crate) fn load(store: &Store, pipeline: &Path) -> Result<Option<Self>, Error> {
        Ok(store.memo(Memo::Run, &pipeline_key(pipeline))?)
    }

    /// The plan of that run, unless its form is another version's.
    pub(crate) fn plan(&self) -> Option<Plan> {
        serde_json::from_str(&self.plan).ok()
    }
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

#[derive(Serialize, Deserialize)]
struct PinnedRun {
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
    store.remember(Memo::Pin, &pin_key(name), &pinned)?;
    Ok(pinned.pin())
}

/// Lets go of a run that was kept.
pub(crate) fn unpin(store: &Store, name: &str) -> Result<(), Error> {
    if store.memo::<PinnedRun>(Memo::Pin, &pin_key(name))?.is_none() {
        return Err(Error::Request(format!("no run is pinned as `{name}`; `flowc store info` lists the pins")));
    }
    store.forget(Memo::Pin, &pin_key(name));
    Ok(())
}

/// All pins, by name.
pub(crate) fn pins(store: &Store) -> Result<Vec<Pin>, Error> {
    let mut pins: Vec<Pin> = store.memos::<PinnedRun>(Memo::Pin)?.iter().map(|(_, pinned)| pinned.pin()).collect();
    pins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pins)
}

/// The results that some pipeline's last good run needs, or one that is pinned.
pub(crate) fn kept(store: &Store) -> Result<(HashSet<ColumnKey>, HashSet<RowsKey>), Error> {
    let (mut columns, mut rows) = (HashSet::new(), HashSet::new());
    let pinned = store.memos::<PinnedRun>(Memo::Pin)?.into_iter().map(|(_, pinned)| pinned.run);
    for record in store.memos(Memo::Run)?.into_iter().map(|(_, record): (_, RunRecord)| record).chain(pinned) {
        for keys in record.streams.iter().flatten().chain(&record.partials) {
            columns.extend(keys.columns.iter());
            rows.insert(keys.rows);
        }
    }
    Ok((columns, rows))
}

/// Remembers what stages said, for those that ran.
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
        store.remember(Memo::Log, &log_key(pipeline, &plan.stages[stage].name), &lines)?;
    }
    Ok(())
}

/// What a stage said when it last ran; none if it never did.
pub(crate) fn load_log(store: &Store, pipeline: &Path, stage: &str) -> Result<Option<Vec<LogLine>>, Error> {
    Ok(store.memo(Memo::Log, &log_key(pipeline, stage))?)
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
