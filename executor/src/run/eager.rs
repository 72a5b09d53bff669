//! Runs what can be run over a segment that was just decoded, while it is in memory.
//!
//! This is only ever ahead of what the run does anyway: results go into the store under their keys, where the run finds
//! them. So it may leave anything out.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowc_demand::{ContentKeys, Datasets, KeyDeriver, Selection, Task, TaskPlanner, Work};
use flowc_planner::plan::Producer;

use crate::Error;
use crate::chain::Chains;
use crate::inputs::lookup::{Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::{Fresh, Reading};
use crate::intake::files::OpenFiles;
use crate::intake::inventory::{Inventory, SourceInventory, SourceSegment};
use crate::intake::scan::Decoded;
use crate::run::context::RunContext;
use crate::run::execution::{Execution, Tally};

/// Takes segments as they are decoded.
pub(crate) struct EagerRunner<'a> {
    /// The run.
    pub context: &'a RunContext<'a>,
    /// What it is about.
    pub selection: &'a Selection,
    /// The formulas of keys.
    pub deriver: &'a KeyDeriver<'a>,
    /// The sources that are known in full, for inputs that are taken whole.
    pub inventory: &'a Inventory,
    /// Per source, the stages that its segments drive.
    pub driven: &'a [Vec<usize>],
    /// Per stream, the columns that something reads.
    pub read: &'a [BTreeSet<usize>],
    /// Per stream, whether its edge is stored.
    pub stored: &'a [bool],
    /// Open files.
    pub files: &'a OpenFiles,
    /// Counts.
    pub tally: &'a Tally,
}

impl EagerRunner<'_> {
    /// Runs the stages that the segment drives.
    pub(crate) fn run(&self, decoded: &Decoded<'_>) -> Result<(), Error> {
        let RunContext { runners, cancel, secrets, budget, observer, store, options, .. } = *self.context;
        let Selection { forced, verified, .. } = self.selection;
        let plan = self.context.plan();
        let stages = &self.driven[decoded.source];
        // Where a secret is missing, the run may have to be refused, and that before anything has run.
        let is_refusable = !secrets.is_whole();
        if stages.is_empty() || is_refusable || stages.iter().any(|stage| forced.contains(stage)) {
            return Ok(());
        }
        let inventory = self.inventory(decoded);
        let datasets = self.datasets(decoded, &inventory);
        let known = LookupCache::new(store);
        let lineage = self.deriver.lineage();
        let lookup = Lookups { store: &known, inventory: &inventory };
        let locator = Locator { plan, lineage, datasets: &datasets, lookup };
        let mut demander = TaskPlanner::new(locator, self.stored, forced);
        for &stage in stages {
            if plan.stages[stage].is_combining() {
                demander.want_partial(stage, 0)?;
            }
            for output in &plan.stages[stage].outputs {
                if self.stored[output.stream.0] && !plan.stages[stage].is_combining() {
                    let columns: Vec<usize> = self.read[output.stream.0].iter().copied().collect();
                    demander.want(output.stream, 0, &columns);
                }
            }
        }
        let demand = demander.resolve()?;
        let fresh = Some(Fresh { source: decoded.source, file: decoded.file, batches: decoded.batches });
        let reading = Reading { locator, files: self.files, fresh };
        let chains = Chains { reading, runners, cancel, memory: options.memory, secrets, budget };
        let execution = Execution {
            chains,
            contents: ContentKeys { locator, parted: reading, deriver: self.deriver },
            forced,
            verified,
            tally: self.tally,
            observer,
            first_segment: decoded.scan.raw.ordinal as usize,
        };
        let mut done = vec![false; demand.tasks.len()];
        for (index, task) in demand.tasks.iter().enumerate() {
            if self.is_driven(task, stages) && demand.after[index].iter().all(|&before| done[before]) {
                execution.execute(task)?;
                done[index] = true;
            }
        }
        Ok(())
    }

    fn is_driven(&self, task: &Task, stages: &[usize]) -> bool {
        task.id.work == Work::Segment(0) && stages.contains(&task.id.stage)
    }

    /// The sources that are known, and this one as if the segment were all of it.
    fn inventory(&self, decoded: &Decoded<'_>) -> Inventory {
        let plan = self.context.plan();
        let mut inventory = Inventory::default();
        let inputs = self.driven[decoded.source].iter().flat_map(|&stage| &plan.stages[stage].inputs);
        for input in inputs.filter(|input| !input.class.is_driving()) {
            if let Producer::Source { source } = plan.stream(input.stream).producer
                && let Some(known) = self.inventory.sources.get(&source)
            {
                inventory.sources.insert(source, known.clone());
            }
        }
        let segment = SourceSegment { file: 0, scan: Arc::new(decoded.scan.clone()), rows: decoded.scan.facts.rows };
        let source = SourceInventory { segments: vec![segment], ..SourceInventory::default() };
        inventory.sources.insert(decoded.source, Arc::new(source));
        inventory
    }

    fn datasets(&self, decoded: &Decoded<'_>, inventory: &Inventory) -> Datasets {
        let mut datasets = Datasets::default();
        for &source in inventory.sources.keys() {
            if let Some(keys) = inventory.keys(Producer::Source { source }) {
                datasets.streams.insert(self.context.plan().sources[source].stream, keys);
            }
        }
        self.deriver.derive_stages(self.driven[decoded.source].iter().copied(), &mut datasets);
        datasets
    }
}
