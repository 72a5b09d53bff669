//! Holds a plan against store and sources, and against the last good run.

use std::collections::{BTreeMap, BTreeSet};

use flowc_demand::{Datasets, Demand, Lineage, Segments, Selection, demand, is_never_called, makers, passthrough};
use flowc_planner::plan::Plan;
use flowc_planner::stored_edges;
use flowc_sinks::Sinks;
use flowc_store::Store;

use crate::inputs::lookup::{Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::inspect::reasons::{LastRun, Reasons};
use crate::intake::clocks::SourceClocks;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::Inventory;
use crate::outputs::{Outputs, path_conflicts};
use crate::plan::Planned;
use crate::plan::freshness::Purpose;
use crate::record::made_on;
use crate::select::{reasons_of_request, select};
use crate::{Cancel, Error, MadeOn, Options, Reason, RunRequest, SinkStatus, SourceStatus, StageOutlook, Status};

/// A plan beside the sources and the store: answers what a run would do, without running anything.
pub(crate) struct StatusQuery<'a> {
    options: &'a Options,
    planned: &'a Planned,
    store: LookupCache<'a>,
    inventory: Inventory,
    datasets: Datasets,
    lineage: Lineage,
    last: Option<LastRun<'a>>,
}

/// The tasks that would run, by stage.
type Work = BTreeMap<usize, StageWork>;

/// The tasks of one stage that would run.
#[derive(Clone, Copy, Default)]
struct StageWork {
    segments: usize,
    /// Whether its partials are merged or finished.
    merges: bool,
}

/// The work of stages that are called: those of a chain that only pass on what they are given are not.
fn work(plan: &Plan, demand: &Demand) -> Work {
    let mut work = Work::new();
    for task in &demand.tasks {
        for link in task.chain.iter().filter(|link| passthrough(plan, link).is_none()) {
            let of = work.entry(link.stage).or_default();
            match task.id.work {
                flowc_demand::Work::Segment(_) => of.segments += 1,
                flowc_demand::Work::Slices(_) => {}
                flowc_demand::Work::Merge { .. } | flowc_demand::Work::Finish => of.merges = true,
            }
        }
    }
    work
}

impl<'a> StatusQuery<'a> {
    /// Looks at the sources' files; reads none of them.
    pub(crate) fn new(options: &'a Options, planned: &'a Planned, store: &'a Store) -> Result<Self, Error> {
        let inventory = Inventory::survey(planned, store, Purpose::Look)?;
        let clocks = SourceClocks::new(&planned.plan, &inventory, store, None);
        let datasets =
            planned.deriver().datasets(&|producer| inventory.keys(producer), &|column, kind| clocks.of(column, kind));
        clocks.finish()?;
        let last = LastRun::load(store, planned)?;
        let lineage = Lineage::of(&planned.plan);
        let store = LookupCache::of_last_run(store, &planned.texts[0]);
        Ok(Self { options, planned, store, inventory, datasets, lineage, last })
    }

    /// What a run would do. Of a request for a part of the pipeline, only what is in that part.
    pub(crate) fn status(&self, request: &RunRequest) -> Result<Status, Error> {
        let selection = select(self.plan(), request)?;
        path_conflicts::check(self.plan(), &selection.sinks, &self.planned.base, &self.inventory)?;
        let demand = self.demand(&selection)?;
        let work = work(self.plan(), &demand);
        let working = demand.tasks.iter().flat_map(|task| &task.chain).map(|link| link.stage).collect();
        let makers = makers(self.plan(), &selection);
        let reasons = Reasons::new(self.locator(), self.planned, self.last.as_ref(), &working);
        let is_whole = request.stages().is_whole();
        let told = (0..self.plan().stages.len()).filter(|stage| is_whole || selection.stages.contains(stage));
        let stages = told.map(|stage| match selection.stages.contains(&stage) {
            true => self.stage(stage, &selection, &work, &makers, &reasons),
            false => Ok(self.unneeded(stage)),
        });
        let stages = stages.collect::<Result<_, _>>()?;
        Ok(Status { sources: self.sources(&selection, is_whole), stages, sinks: self.sinks(&selection)? })
    }

    /// The plan.
    pub(crate) fn plan(&self) -> &Plan {
        &self.planned.plan
    }

    /// The keys of all streams, as far as they are known.
    pub(crate) fn datasets(&self) -> &Datasets {
        &self.datasets
    }

    /// Finds columns.
    pub(crate) fn locator(&self) -> Locator<'_> {
        let lookup = Lookups { store: &self.store, inventory: &self.inventory };
        Locator { plan: self.plan(), lineage: &self.lineage, datasets: &self.datasets, lookup }
    }

    /// The devices that made what is stored of a stage, where keys name none.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn made_on(&self, stage: usize, store: &Store) -> Result<Vec<MadeOn>, Error> {
        let mut devices = BTreeMap::<String, usize>::new();
        if self.plan().stages.iter().any(|stage| stage.claim.is_some()) {
            let outputs = self.plan().stages[stage].outputs.iter();
            let segments = outputs.filter_map(|output| self.datasets.streams.get(&output.stream));
            for keys in segments.flat_map(Segments::iter) {
                made_on::device(store, &keys)?.into_iter().for_each(|device| *devices.entry(device).or_default() += 1);
            }
        }
        Ok(devices.into_iter().map(|(device, segments)| MadeOn { device, segments }).collect())
    }

    /// A stage that a run passes over.
    fn unneeded(&self, index: usize) -> StageOutlook {
        let name = self.plan().stages[index].name.clone();
        let reasons = vec![Reason::Unneeded];
        StageOutlook { name, to_run: 0, merges: false, cached: 0, passthrough: false, unknown: false, reasons }
    }

    fn demand(&self, selection: &Selection) -> Result<Demand, Error> {
        let stored: Vec<bool> = stored_edges(self.plan()).iter().map(Option::is_some).collect();
        Ok(demand(self.locator(), &stored, selection, &BTreeSet::new())?)
    }

    fn sources(&self, selection: &Selection, is_whole: bool) -> Vec<SourceStatus> {
        let status =
            |(index, source): (&usize, &std::sync::Arc<crate::intake::inventory::SourceInventory>)| SourceStatus {
                name: self.plan().sources[*index].name.clone(),
                part: self.plan().sources[*index].spec.location.part(),
                files: source.files.len(),
                version: self.planned.source(*index).version(),
                to_read: source.unread().map(|file| source.files[file].name().to_owned()).collect(),
                segments: source.segments.len(),
            };
        let is_told = |(index, _): &(&usize, _)| is_whole || selection.sources.contains(index);
        self.inventory.sources.iter().filter(is_told).map(status).collect()
    }

    fn sinks(&self, selection: &Selection) -> Result<Vec<SinkStatus>, Error> {
        let files = OpenFiles::new(self.plan(), &self.planned.base, &self.store);
        let cancel = Cancel::new();
        let reading = Reading { locator: self.locator(), files: &files, fresh: None };
        let sinks = Sinks::new(&self.planned.base);
        let outputs = Outputs { reading, sinks: &sinks, threads: self.options.jobs, cancel: &cancel };
        let status = |sink: &flowc_planner::plan::Sink| {
            Ok(SinkStatus { name: sink.name.clone(), outlook: outputs.outlook(sink)? })
        };
        selection.sinks.iter().map(|&sink| status(&self.plan().sinks[sink])).collect()
    }

    fn stage(
        &self,
        index: usize,
        selection: &Selection,
        work: &Work,
        makers: &BTreeSet<usize>,
        reasons: &Reasons<'_>,
    ) -> Result<StageOutlook, Error> {
        let is_known_to_pass = is_never_called(self.plan(), index);
        let unknown = reasons.is_unknown(index) && !is_known_to_pass;
        let StageWork { segments, merges } = work.get(&index).copied().unwrap_or_default();
        let passthrough = !makers.contains(&index) && !work.contains_key(&index) && !unknown;
        let total = self.locator().invocations(index);
        let asked = reasons_of_request(selection, index);
        let reasons = match work.contains_key(&index) || unknown {
            true if asked.is_empty() => reasons.of(index)?,
            true => asked,
            false => Vec::new(),
        };
        Ok(StageOutlook {
            name: self.plan().stages[index].name.clone(),
            to_run: segments,
            merges,
            cached: if unknown || passthrough { 0 } else { total.saturating_sub(segments) },
            passthrough,
            unknown,
            reasons,
        })
    }
}
