//! Holds a plan against store and sources, and against the last good run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::{Input, Plan, Producer, Stage, StreamId};
use flowc_planner::stored_edges;
use flowc_sinks::Stagings;
use flowc_store::Store;
use serde_json::Value;

use crate::demand::{Demand, Demander};
use crate::files::OpenFiles;
use crate::history::RunRecord;
use crate::homes::Homes;
use crate::inventory::Inventory;
use crate::keys::{Datasets, Deriver};
use crate::known::Known;
use crate::output::Outputs;
use crate::planning::Planned;
use crate::reach::Goal;
use crate::read::{Reading, file_of};
use crate::run::invocations;
use crate::task;
use crate::{Cancel, Error, Options, Reason, RunRequest, SinkStatus, SourceStatus, StageOutlook, Status};

/// A plan beside the world.
pub(crate) struct Look<'a> {
    options: &'a Options,
    planned: &'a Planned,
    store: Known<'a>,
    inventory: Inventory,
    datasets: Datasets,
    last: Option<LastRun>,
}

/// What is to run, by stage.
type Work = BTreeMap<usize, StageWork>;

/// What is to run of one stage.
#[derive(Clone, Copy, Default)]
struct StageWork {
    segments: usize,
    /// Whether its partials are merged or finished.
    merges: bool,
}

fn work(demand: &Demand) -> Work {
    let mut work = Work::new();
    for task in &demand.tasks {
        for link in &task.chain {
            let of = work.entry(link.stage).or_default();
            match task.id.work {
                task::Work::Segment(_) => of.segments += 1,
                task::Work::Merge { .. } | task::Work::Finish => of.merges = true,
            }
        }
    }
    work
}

/// The last good run, with its plan.
struct LastRun {
    plan: Plan,
    record: RunRecord,
}

impl<'a> Look<'a> {
    /// Looks at the sources' files; reads none of them.
    pub(crate) fn new(options: &'a Options, planned: &'a Planned, store: &'a Store) -> Result<Self, Error> {
        let inventory = Inventory::survey(planned, store)?;
        let datasets = Deriver::new(&planned.plan).datasets(&|producer| inventory.keys(producer));
        let record = RunRecord::load(store, &planned.texts[0])?;
        let last = record.and_then(|record| Some(LastRun { plan: record.plan()?, record }));
        Ok(Self { options, planned, store: Known::new(store), inventory, datasets, last })
    }

    /// What a run would do.
    pub(crate) fn status(&self) -> Result<Status, Error> {
        let goal = Goal::new(self.plan(), &RunRequest::default())?;
        let work = work(&self.demand(&goal)?);
        let stages = (0..self.plan().stages.len()).map(|stage| match goal.stages.contains(&stage) {
            true => self.stage(stage, &work),
            false => Ok(self.unneeded(stage)),
        });
        Ok(Status { sources: self.sources(), stages: stages.collect::<Result<_, _>>()?, sinks: self.sinks()? })
    }

    fn plan(&self) -> &Plan {
        &self.planned.plan
    }

    fn homes(&self) -> Homes<'_> {
        Homes { plan: self.plan(), inventory: &self.inventory, datasets: &self.datasets, store: &self.store }
    }

    /// A stage that a run passes over.
    fn unneeded(&self, index: usize) -> StageOutlook {
        let name = self.plan().stages[index].name.clone();
        StageOutlook { name, to_run: 0, merges: false, cached: 0, unknown: false, reasons: vec![Reason::Unneeded] }
    }

    fn demand(&self, goal: &Goal) -> Result<Demand, Error> {
        let stored: Vec<bool> = stored_edges(self.plan()).iter().map(Option::is_some).collect();
        let mut demander = Demander::new(self.homes(), &stored, &goal.forced);
        for sink in &self.plan().sinks {
            let all: Vec<usize> = (0..self.plan().stream(sink.stream).schema.fields().len()).collect();
            demander.want_all(sink.stream, &all)?;
        }
        Ok(demander.resolve()?)
    }

    fn sources(&self) -> Vec<SourceStatus> {
        let status = |(index, source): (&usize, &std::sync::Arc<crate::inventory::SourceInventory>)| SourceStatus {
            name: self.plan().sources[*index].name.clone(),
            files: source.files.len(),
            to_read: source.unread().map(|file| source.files[file].name().to_owned()).collect(),
            segments: source.segments.len(),
        };
        self.inventory.sources.iter().map(status).collect()
    }

    fn sinks(&self) -> Result<Vec<SinkStatus>, Error> {
        let files = OpenFiles::new(&self.store.spool());
        let cancel = Cancel::new();
        let reading = Reading { homes: self.homes(), files: &files, fresh: None };
        let stagings = Stagings::default();
        let (base, threads) = (&self.planned.base, self.options.jobs);
        let outputs = Outputs { reading, base, stagings: &stagings, threads, cancel: &cancel };
        let status = |sink: &flowc_planner::plan::Sink| {
            Ok(SinkStatus { name: sink.name.clone(), outlook: outputs.outlook(sink)? })
        };
        self.plan().sinks.iter().map(status).collect()
    }

    fn stage(&self, index: usize, work: &Work) -> Result<StageOutlook, Error> {
        let stage = &self.plan().stages[index];
        let unknown = stage.outputs.iter().any(|output| !self.datasets.streams.contains_key(&output.stream));
        let StageWork { segments, merges } = work.get(&index).copied().unwrap_or_default();
        let total = invocations(self.homes(), index) as usize;
        let reasons = if work.contains_key(&index) || unknown { self.reasons(index, work)? } else { Vec::new() };
        Ok(StageOutlook {
            name: stage.name.clone(),
            to_run: segments,
            merges,
            cached: if unknown { 0 } else { total.saturating_sub(segments) },
            unknown,
            reasons,
        })
    }

    fn reasons(&self, index: usize, work: &Work) -> Result<Vec<Reason>, Error> {
        let stage = &self.plan().stages[index];
        let Some((last, before)) = self.before(stage) else { return Ok(vec![Reason::NeverRan]) };
        let mut reasons = Vec::new();
        if before.digest != stage.digest {
            reasons.push(Reason::Code { before: before.digest.short(), now: stage.digest.short() });
        }
        config_changes("", Some(&before.config), Some(&stage.config), &mut reasons);
        if before.secrets != stage.secrets {
            reasons.push(Reason::Secrets { before: secrets(before), now: secrets(stage) });
        }
        for (input, input_before) in stage.inputs.iter().zip(&before.inputs) {
            self.input_changes(last, input, input_before, &mut reasons);
        }
        for input in &stage.inputs {
            if let Some((above, _)) = self.plan().producing_stage(input.stream)
                && work.contains_key(&above)
            {
                reasons.push(Reason::Upstream { stage: self.plan().stages[above].name.clone() });
            }
        }
        if reasons.is_empty() {
            reasons.push(self.lost(stage)?);
        }
        reasons.sort();
        reasons.dedup();
        Ok(reasons)
    }

    fn before(&self, stage: &Stage) -> Option<(&LastRun, &Stage)> {
        let last = self.last.as_ref()?;
        Some((last, last.plan.stages.iter().find(|before| before.name == stage.name)?))
    }

    /// Nothing differs, and yet the results are not there.
    fn lost(&self, stage: &Stage) -> Result<Reason, Error> {
        for output in &stage.outputs {
            for keys in self.datasets.streams.get(&output.stream).into_iter().flatten() {
                for key in keys.columns.iter() {
                    if self.store.was_evicted(key)? {
                        return Ok(Reason::Evicted);
                    }
                }
            }
        }
        Ok(Reason::NeverRan)
    }

    fn input_changes(&self, last: &LastRun, now: &Input, before: &Input, reasons: &mut Vec<Reason>) {
        let Some(segments) = self.datasets.streams.get(&now.stream) else {
            return self.unread_above(now.stream, reasons);
        };
        let names = self.segment_names(now.stream, segments.len());
        let before_segments = last.record.streams.get(before.stream.0).map_or(&[][..], Vec::as_slice);
        let before_names = last.segment_names(before.stream, before_segments.len());
        let known: HashMap<&String, &SegmentKeys> = before_names.iter().zip(before_segments).collect();
        let there: BTreeSet<&String> = names.iter().collect();
        let added = names.iter().filter(|name| !known.contains_key(name)).count();
        let removed = before_names.iter().filter(|name| !there.contains(name)).count();
        if added + removed > 0 {
            reasons.push(Reason::Segments { input: now.port.clone(), added, removed });
        }
        for (&column, &column_before) in now.reads.iter().zip(&before.reads) {
            let differs = |(name, keys): &(&String, &SegmentKeys)| {
                known.get(name).is_some_and(|before| {
                    before.columns.get(column_before) != keys.columns.get(column) || before.rows != keys.rows
                })
            };
            let changed: Vec<String> =
                names.iter().zip(segments).filter(differs).map(|(name, _)| name.clone()).collect();
            if !changed.is_empty() {
                let name = self.plan().stream(now.stream).schema.field(column).name().clone();
                reasons.push(Reason::Column { input: now.port.clone(), column: name, segments: changed });
            }
        }
    }

    fn segment_names(&self, stream: StreamId, segments: usize) -> Vec<String> {
        let files = file_of(self.plan(), stream).map(|source| {
            let source = self.inventory.source(source);
            source.segments.iter().map(|segment| source.files[segment.file].name().to_owned()).collect::<Vec<_>>()
        });
        numbered(files.unwrap_or_default(), segments)
    }

    /// The files that must be read before anything can be said of a stream.
    fn unread_above(&self, stream: StreamId, reasons: &mut Vec<Reason>) {
        match self.plan().stream(stream).producer {
            Producer::Source { source } | Producer::Rejects { source } => {
                let of = self.inventory.source(source);
                let files: Vec<String> = of.unread().map(|file| of.files[file].name().to_owned()).collect();
                if !files.is_empty() {
                    reasons.push(Reason::UnreadFiles { source: self.plan().sources[source].name.clone(), files });
                }
            }
            Producer::Stage { stage, .. } => {
                self.plan().stages[stage].inputs.iter().for_each(|input| self.unread_above(input.stream, reasons));
            }
        }
    }
}

impl LastRun {
    fn segment_names(&self, stream: StreamId, segments: usize) -> Vec<String> {
        let files = file_of(&self.plan, stream).and_then(|source| self.record.files.get(source).cloned());
        numbered(files.unwrap_or_default(), segments)
    }
}

/// Names for segments: their files', with a number where a file has several.
fn numbered(files: Vec<String>, segments: usize) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let name = |index: usize| files.get(index).cloned().unwrap_or_else(|| "segment".to_owned());
    let numbered = (0..segments).map(|index| {
        let name = name(index);
        let number = seen.entry(name.clone()).or_default();
        *number += 1;
        if *number == 1 { name } else { format!("{name} #{number}") }
    });
    numbered.collect()
}

/// The secrets of a stage, as in the text.
fn secrets(stage: &Stage) -> Vec<String> {
    stage.secrets.iter().map(|(name, source)| format!("{name} {source}")).collect()
}

/// The values that differ between two configs, by JSON pointer.
fn config_changes(path: &str, before: Option<&Value>, now: Option<&Value>, reasons: &mut Vec<Reason>) {
    match (before, now) {
        (Some(Value::Object(before)), Some(Value::Object(now))) => {
            let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for name in names {
                config_changes(&format!("{path}/{name}"), before.get(name), now.get(name), reasons);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(now))) => {
            for index in 0..before.len().max(now.len()) {
                config_changes(&format!("{path}/{index}"), before.get(index), now.get(index), reasons);
            }
        }
        (before, now) if before == now => {}
        (before, now) => reasons.push(Reason::Config {
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            before: before.map(Value::to_string),
            now: now.map(Value::to_string),
        }),
    }
}
