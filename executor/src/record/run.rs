//! The record of a pipeline's last good run.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_schema::Fields;
use flowc_demand::{Datasets, Segments};
use flowc_planner::key::{KeyHasher, PlanHash, SegmentKeys};
use flowc_planner::plan::{PLAN_VERSION, Plan, Producer, StreamId};
use flowc_store::Store;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;
use crate::intake::inventory::{Inventory, SourceInventory, keys_of_names};
use crate::plan::Planned;
use crate::record::pages::{Dataset, Page, Recorded, Root};
use crate::remembered::{PAGE, RUN, WHOLE_RUN};

/// A good run, with its streams, files and partials in some form.
#[derive(Serialize, Deserialize)]
pub(crate) struct Run<S, F, P> {
    /// The pipeline's main file.
    pub pipeline: String,
    /// Seconds since 1970.
    pub finished: u64,
    /// The plan, as canonical JSON.
    pub plan: String,
    /// The segments of every stream, in the plan's order.
    pub streams: Vec<S>,
    /// Per source, the names of its segments' files.
    pub files: Vec<F>,
    /// Partials and merges.
    pub partials: Vec<P>,
    /// The names of what was built for its stages and kept of its sources: environments, components, blocks. From here on, fields may be missing: records of
    /// earlier versions end before them.
    #[serde(deserialize_with = "or_none")]
    pub builds: Vec<String>,
    /// The hash of the plan.
    #[serde(deserialize_with = "or_none")]
    pub plan_hash: Option<PlanHash>,
}

/// A run as it is recorded: its datasets lie in pages.
pub(crate) type RunRecord = Run<Root, Root, Root>;

/// A run with all that it names. Runs are pinned so, and earlier versions recorded them so.
pub(crate) type WholeRun = Run<Vec<SegmentKeys>, Vec<String>, SegmentKeys>;

/// A run that is to be recorded.
type MadeRun = Run<Segments, Names, Segments>;

/// The names of the files of a source's segments, and the tree that tells them from others.
#[derive(Default)]
struct Names {
    keys: Segments,
    names: Vec<String>,
}

impl Names {
    fn of(source: &SourceInventory) -> Self {
        Self { keys: source.names().clone(), names: source.segment_files().map(str::to_owned).collect() }
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

fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

impl<S, F, P> Run<S, F, P> {
    /// The same run, with its datasets in another form.
    fn with<T, G, Q>(self, streams: Vec<T>, files: Vec<G>, partials: Vec<Q>) -> Run<T, G, Q> {
        let Self { pipeline, finished, plan, builds, plan_hash, streams: _, files: _, partials: _ } = self;
        Run { pipeline, finished, plan, streams, files, partials, builds, plan_hash }
    }

    /// Whether its pipeline is not there any more: a project that was deleted, moved, or is a work tree that is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        // A path that is not text was not kept whole, so it can't be looked for.
        let is_whole = !self.pipeline.contains(char::REPLACEMENT_CHARACTER);
        let found = std::fs::symlink_metadata(&self.pipeline);
        is_whole && found.is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    }

    pub(crate) fn summary(&self) -> PastRun {
        PastRun { pipeline: self.pipeline.clone(), finished: self.finished }
    }

    /// The plan of that run, unless its form is another version's.
    pub(crate) fn plan(&self) -> Option<Plan> {
        serde_json::from_str(&self.plan).ok().filter(|plan: &Plan| plan.version == PLAN_VERSION)
    }
}

impl RunRecord {
    /// Records a run that ends now as the pipeline's last.
    pub(crate) fn save(
        store: &Store,
        planned: &Planned,
        inventory: &Inventory,
        datasets: &Datasets,
    ) -> Result<(), Error> {
        let streams = (0..planned.plan.streams.len()).map(StreamId);
        let partials: BTreeMap<_, _> = datasets.partials.iter().collect();
        let slices: BTreeMap<_, _> = datasets.slices.iter().collect();
        let of_slices = slices.into_values().map(|slices| slices.partials());
        let files = inventory.sources.values();
        let made = MadeRun {
            pipeline: planned.texts[0].to_string_lossy().into_owned(),
            finished: now(),
            plan: planned.plan.canonical(),
            streams: streams.map(|id| datasets.streams.get(&id).cloned().unwrap_or_default()).collect(),
            files: files.map(|source| Names::of(source)).collect(),
            partials: partials.into_values().cloned().chain(of_slices).collect(),
            builds: [planned.builds.clone(), inventory.kept(planned)].concat(),
            plan_hash: Some(planned.hash),
        };
        made.record(store, &pipeline_key(&planned.texts[0]))
    }

    /// The pipeline's last good run in this store.
    pub(crate) fn load(store: &Store, pipeline: &Path) -> Result<Option<Self>, Error> {
        let key = pipeline_key(pipeline);
        if let Some(run) = store.memo(RUN, &key)? {
            return Ok(Some(run));
        }
        let Some(run) = store.memo::<WholeRun>(WHOLE_RUN, &key)? else { return Ok(None) };
        run.made().record(store, &key)?;
        Ok(store.memo(RUN, &key)?)
    }

    /// The segments of a stream of its plan.
    pub(crate) fn stream<'s>(&self, store: &'s Store, pipeline: &Path, stream: StreamId) -> Recorded<'s> {
        Recorded::new(store, pipeline_key(pipeline), Dataset::Stream(stream.0), self.streams.get(stream.0))
    }

    /// The files of the segments of a source of its plan.
    pub(crate) fn files<'s>(&self, store: &'s Store, pipeline: &Path, source: usize) -> Recorded<'s> {
        Recorded::new(store, pipeline_key(pipeline), Dataset::Files(source), self.files.get(source))
    }

    /// The keys of the segments of a source of its plan, or of its rejects.
    pub(crate) fn source_keys(
        &self,
        store: &Store,
        pipeline: &Path,
        plan: &Plan,
        producer: Producer,
    ) -> Option<Vec<SegmentKeys>> {
        if matches!(producer, Producer::Stage { .. }) {
            return None;
        }
        let stream = plan.streams.iter().position(|stream| stream.producer == producer)?;
        self.stream(store, pipeline, StreamId(stream)).segments()
    }

    /// The run with all that it names; none if some of that is not there.
    pub(crate) fn whole(self, store: &Store, pipeline: &Path) -> Option<WholeRun> {
        let key = pipeline_key(pipeline);
        let recorded = |dataset, root| Recorded::new(store, key, dataset, Some(root));
        let streams = self.streams.iter().enumerate();
        let streams = streams.map(|(stream, root)| recorded(Dataset::Stream(stream), root).segments());
        let files = self.files.iter().enumerate().map(|(source, root)| {
            let files = recorded(Dataset::Files(source), root);
            (0..files.shape().len()).map(|segment| files.name(segment)).collect::<Option<Vec<String>>>()
        });
        let partials = self.partials.iter().enumerate();
        let partials = partials.map(|(place, root)| recorded(Dataset::Partials(place), root).all());
        let (streams, files) = (streams.collect::<Option<_>>()?, files.collect::<Option<_>>()?);
        let partials = partials.collect::<Option<Vec<_>>>()?.concat();
        Some(self.with(streams, files, partials))
    }
}

impl WholeRun {
    fn made(mut self) -> MadeRun {
        let listed = |keys: Vec<SegmentKeys>| Segments::listed(&Fields::empty(), keys);
        let streams = std::mem::take(&mut self.streams).into_iter().map(listed).collect();
        // Those of several stages differ in width.
        let partials = std::mem::take(&mut self.partials).into_iter().map(|keys| listed(vec![keys])).collect();
        let names = |names: Vec<String>| Names { keys: keys_of_names(names.iter().map(String::as_str)), names };
        let files = std::mem::take(&mut self.files).into_iter().map(names).collect();
        self.with(streams, files, partials)
    }
}

impl MadeRun {
    /// Puts it in the place of the run that was recorded under this key. Pages are rewritten where they differ from those that are there
    /// now, whoever wrote them.
    fn record(self, store: &Store, key: &[u8; 32]) -> Result<(), Error> {
        let before: Option<RunRecord> = store.memo(RUN, key)?;
        let roots = |of: fn(&RunRecord) -> &Vec<Root>| before.as_ref().map_or(&[][..], |run| of(run).as_slice());
        let replace = |dataset: Dataset, root: Option<&Root>, now: Option<&Segments>| {
            Recorded::new(store, *key, dataset, root).replace(now.unwrap_or(&Segments::default()), None)
        };
        let streams = replaced(roots(|run| &run.streams), &self.streams, |stream, root, now| {
            replace(Dataset::Stream(stream), root, now)
        })?;
        let partials = replaced(roots(|run| &run.partials), &self.partials, |place, root, now| {
            replace(Dataset::Partials(place), root, now)
        })?;
        let files = replaced(roots(|run| &run.files), &self.files, |source, root, now| {
            let none = Names::default();
            let Names { keys, names } = now.unwrap_or(&none);
            Recorded::new(store, *key, Dataset::Files(source), root).replace(keys, Some(names))
        })?;
        Ok(store.remember(RUN, key, &self.with(streams, files, partials))?)
    }
}

/// The roots of these datasets, once `replace` has put each in the place of the one before. Those that have no successor make room.
fn replaced<T>(
    before: &[Root],
    now: &[T],
    replace: impl Fn(usize, Option<&Root>, Option<&T>) -> Result<Root, Error>,
) -> Result<Vec<Root>, Error> {
    let places = 0..now.len().max(before.len());
    let roots = places.map(|place| replace(place, before.get(place), now.get(place)));
    let mut roots = roots.collect::<Result<Vec<_>, _>>()?;
    roots.truncate(now.len());
    Ok(roots)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Forgets the run of this key.
pub(crate) fn forget(store: &Store, key: &[u8; 32]) -> Result<(), Error> {
    let pages = store.memos::<Page>(PAGE)?;
    pages.iter().filter(|(_, page)| page.record == *key).for_each(|(page, _)| store.forget(PAGE, page));
    store.forget(RUN, key);
    Ok(())
}

fn pipeline_key(pipeline: &Path) -> [u8; 32] {
    KeyHasher::new("pipeline 1").bytes(pipeline.as_os_str().as_encoded_bytes()).finish()
}
