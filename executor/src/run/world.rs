//! What a run knows at a time: sources, the keys of what is made of them, and what of that is stored.

use std::sync::Arc;

use flowc_demand::{ContentKeys, Datasets, no_clocks};
use flowc_planner::plan::{Producer, StreamId};

use crate::Error;
use crate::chain::Chains;
use crate::inputs::lookup::{Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::{Fresh, Reading};
use crate::intake::clocks::SourceClocks;
use crate::intake::inventory::{Inventory, SourceInventory, SourceSegment};
use crate::intake::notices::Notice;
use crate::intake::scan::{Arrived, ArrivedRows};
use crate::outputs::Outputs;
use crate::run::context::Run;
use crate::run::execution::Execution;

/// Some sources of a run, or all, and what follows from them. Tasks that were found in it run in it.
pub(crate) struct World<'r> {
    run: &'r Run<'r>,
    /// The sources.
    pub inventory: Arc<Inventory>,
    /// The keys of what is made of them.
    pub datasets: Arc<Datasets>,
    /// What of that is stored.
    pub store: LookupCache<'r>,
    /// What there is to tell of rows that came too late.
    pub late: Vec<Notice>,
    arrived: Option<OnlySegment>,
    /// Whether not all sources are known yet.
    is_early: bool,
}

/// A segment that is at hand, the only one of its source.
struct OnlySegment {
    source: usize,
    file: String,
    rows: ArrivedRows,
    /// Its place in the file.
    ordinal: usize,
}

impl<'r> World<'r> {
    /// All sources, as far as they are known.
    ///
    /// # Errors
    /// If times of rows that windows need can't be found.
    pub(crate) fn of_all(run: &'r Run<'r>, inventory: Arc<Inventory>, store: LookupCache<'r>) -> Result<Self, Error> {
        let clocks = SourceClocks::new(run.plan(), &inventory, run.store, Some(&run.files));
        let datasets =
            run.deriver.datasets(&|producer| inventory.keys(producer), &|column, kind| clocks.of(column, kind));
        let late = clocks.dropped(run.deriver.lineage(), &run.selection.stages)?;
        clocks.finish()?;
        Ok(Self { run, inventory, datasets: Arc::new(datasets), store, late, arrived: None, is_early: false })
    }

    /// What some streams are made of.
    ///
    /// # Errors
    /// As [`World::of_all`].
    pub(crate) fn of_streams(run: &'r Run<'r>, inventory: Arc<Inventory>, streams: &[StreamId]) -> Result<Self, Error> {
        let clocks = SourceClocks::new(run.plan(), &inventory, run.store, Some(&run.files));
        let keys = |producer| inventory.keys(producer);
        let datasets = run.deriver.datasets_of(streams, &keys, &|column, kind| clocks.of(column, kind));
        clocks.finish()?;
        let store = LookupCache::new(run.store);
        Ok(Self {
            run,
            inventory,
            datasets: Arc::new(datasets),
            store,
            late: Vec::new(),
            arrived: None,
            is_early: true,
        })
    }

    /// A segment that has arrived, as if it were all of its source, and the sources that the stages take whole that it drives.
    pub(crate) fn of_segment(
        run: &'r Run<'r>,
        known: &Inventory,
        stages: &[usize],
        source: usize,
        segment: Arrived,
    ) -> Self {
        let plan = run.plan();
        let mut inventory = Inventory::default();
        let inputs = stages.iter().flat_map(|&stage| &plan.stages[stage].inputs);
        for input in inputs.filter(|input| !input.is_driving()) {
            if let Producer::Source { source } = plan.stream(input.stream).producer
                && let Some(whole) = known.sources.get(&source)
            {
                inventory.sources.insert(source, whole.clone());
            }
        }
        let Arrived { file, scan, rows } = segment;
        let (ordinal, count) = (scan.raw.ordinal as usize, scan.facts.rows);
        let segments = vec![SourceSegment { file: 0, scan, rows: count }];
        inventory.sources.insert(source, Arc::new(SourceInventory { segments, ..SourceInventory::default() }));
        let mut datasets = Datasets::default();
        for &source in inventory.sources.keys() {
            if let Some(keys) = inventory.keys(Producer::Source { source }) {
                let stream = plan.sources[source].stream;
                datasets.streams.insert(stream, run.deriver.segments(stream, keys));
            }
        }
        run.deriver.derive_stages(stages.iter().copied(), &no_clocks, &mut datasets);
        Self {
            run,
            inventory: Arc::new(inventory),
            datasets: Arc::new(datasets),
            store: LookupCache::new(run.store),
            late: Vec::new(),
            arrived: Some(OnlySegment { source, file, rows, ordinal }),
            is_early: true,
        }
    }

    /// Finds columns in it.
    pub(crate) fn locator(&self) -> Locator<'_> {
        let lookup = Lookups { store: &self.store, inventory: &self.inventory };
        Locator { plan: self.run.plan(), lineage: self.run.deriver.lineage(), datasets: &self.datasets, lookup }
    }

    /// Reads segments of it.
    pub(crate) fn reading(&self) -> Reading<'_> {
        let fresh =
            self.arrived.as_ref().map(|OnlySegment { source, file, rows, .. }| Fresh { source: *source, file, rows });
        Reading { locator: self.locator(), files: &self.run.files, fresh }
    }

    /// Runs tasks over it.
    pub(crate) fn execution(&self) -> Execution<'_> {
        let run = self.run;
        let reading = self.reading();
        let chains = Chains {
            reading,
            runners: run.runners,
            cancel: run.cancel,
            memory: run.options.memory,
            secrets: run.secrets,
            budget: run.budget,
        };
        let contents = ContentKeys { locator: reading.locator, parted: reading, deriver: &run.deriver };
        let first_segment = self.arrived.as_ref().map_or(0, |arrived| arrived.ordinal);
        Execution { run, chains, contents, first_segment, is_early: self.is_early }
    }

    /// Writes sinks from it.
    pub(crate) fn outputs(&self) -> Outputs<'_> {
        let run = self.run;
        Outputs { reading: self.reading(), sinks: &run.sinks, threads: run.options.jobs, cancel: run.cancel }
    }
}
