//! Why stages run: what differs from the pipeline's last good run.

use std::collections::{BTreeSet, HashMap};

use flowc_demand::Lineage;
use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::{Input, Plan, Producer, Stage, StreamId};
use flowc_store::Store;
use serde_json::Value;

use crate::inputs::lookup::Locator;
use crate::plan::Planned;
use crate::plan::code::changed_parts;
use crate::plan::freshness::Marks;
use crate::record::history::RunRecord;
use crate::{Error, Reason};

/// The last good run, with its plan.
pub(crate) struct LastRun {
    plan: std::sync::Arc<Plan>,
    lineage: Lineage,
    record: RunRecord,
    /// Indices of the plan's stages by name.
    stages: HashMap<String, usize>,
}

impl LastRun {
    /// The last good run of a pipeline, unless its record is of another version's form.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn load(store: &Store, planned: &Planned) -> Result<Option<Self>, Error> {
        let Some(record) = RunRecord::load(store, &planned.texts[0])? else { return Ok(None) };
        let plan = match record.plan_hash == Some(planned.hash) {
            true => Some(planned.plan.clone()),
            false => record.plan().map(std::sync::Arc::new),
        };
        Ok(plan.map(|plan| {
            let stages = plan.stages.iter().enumerate().map(|(index, stage)| (stage.name.clone(), index)).collect();
            Self { lineage: Lineage::of(&plan), plan, record, stages }
        }))
    }

    fn segment_names(&self, stream: StreamId, segments: usize) -> Vec<String> {
        let files = self.lineage.file(stream).and_then(|source| self.record.files.get(source).cloned());
        numbered(files.unwrap_or_default(), segments)
    }
}

/// Finds the reasons of one plan's stages.
pub(crate) struct Reasons<'a> {
    locator: Locator<'a>,
    last: Option<&'a LastRun>,
    marks: &'a Marks,
    /// Stages that run, or will.
    working: &'a BTreeSet<usize>,
    /// Per stage, the next one of its unit: it takes the rows at once, and they are not kept.
    next: Vec<Option<usize>>,
    unknown: Vec<bool>,
}

impl<'a> Reasons<'a> {
    /// Against the last good run, if there was one.
    pub(crate) fn new(
        locator: Locator<'a>,
        planned: &'a Planned,
        last: Option<&'a LastRun>,
        working: &'a BTreeSet<usize>,
    ) -> Self {
        let mut next = vec![None; locator.plan.stages.len()];
        for pair in planned.units.iter().flat_map(|unit| unit.stages.windows(2)) {
            next[pair[0]] = Some(pair[1]);
        }
        let mut reasons = Self { locator, last, marks: &planned.marks, working, next, unknown: Vec::new() };
        reasons.unknown = (0..locator.plan.stages.len()).map(|stage| reasons.has_unread_inputs(stage)).collect();
        for stage in (0..locator.plan.stages.len()).rev() {
            reasons.unknown[stage] |= reasons.next[stage].is_some_and(|next| reasons.unknown[next]);
        }
        reasons
    }

    /// Whether it is not known yet if a stage runs: its own inputs, or those of a stage that it passes its rows on to, have not
    /// been read.
    pub(crate) fn is_unknown(&self, stage: usize) -> bool {
        self.unknown[stage]
    }

    fn has_unread_inputs(&self, stage: usize) -> bool {
        let outputs = &self.plan().stages[stage].outputs;
        outputs.iter().any(|output| !self.locator.datasets.streams.contains_key(&output.stream))
    }

    /// Why a stage runs, or may have to; most telling first.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn of(&self, index: usize) -> Result<Vec<Reason>, Error> {
        let stage = &self.plan().stages[index];
        let Some((last, before)) = self.before(stage) else { return Ok(vec![Reason::NeverRan]) };
        let mut reasons = Vec::new();
        if before.digest != stage.digest {
            let parts = changed_parts(self.locator.lookup.store, &before.digest, &stage.digest);
            reasons.push(Reason::Code { before: before.digest.short(), now: stage.digest.short(), parts });
        }
        if self.marks.get(&index).is_some_and(|mark| mark.is_new) {
            reasons.push(Reason::Open { without: stage.runner.get("without").cloned().unwrap_or_default() });
        }
        config_changes("", Some(&before.config), Some(&stage.config), &mut reasons);
        if before.secrets != stage.secrets {
            reasons.push(Reason::Secrets { before: secrets(before), now: secrets(stage) });
        }
        for (input, input_before) in stage.inputs.iter().zip(&before.inputs) {
            let found = reasons.len();
            self.input_changes(last, input, input_before, &mut reasons);
            if reasons.len() > found
                && let Some((above, _)) = self.plan().producing_stage(input.stream)
                && self.working.contains(&above)
            {
                reasons.push(Reason::Upstream { stage: self.plan().stages[above].name.clone() });
            }
        }
        if reasons.is_empty() {
            reasons.push(self.without_change(index)?);
        }
        reasons.sort();
        reasons.dedup();
        Ok(reasons)
    }

    fn plan(&self) -> &'a Plan {
        self.locator.plan
    }

    fn before(&self, stage: &Stage) -> Option<(&'a LastRun, &'a Stage)> {
        let last = self.last?;
        Some((last, &last.plan.stages[*last.stages.get(&stage.name)?]))
    }

    /// Nothing differs, and yet the results are not there.
    fn without_change(&self, index: usize) -> Result<Reason, Error> {
        if let Some(next) = self.next[index]
            && (self.working.contains(&next) || self.unknown[next])
        {
            return Ok(Reason::NotKept { stage: self.plan().stages[next].name.clone() });
        }
        for output in &self.plan().stages[index].outputs {
            for keys in self.locator.datasets.streams.get(&output.stream).iter().flat_map(|segments| segments.iter()) {
                for key in keys.columns.iter() {
                    if self.locator.lookup.store.was_evicted(key)? {
                        return Ok(Reason::Evicted);
                    }
                }
            }
        }
        Ok(Reason::NeverRan)
    }

    fn input_changes(&self, last: &LastRun, now: &Input, before: &Input, reasons: &mut Vec<Reason>) {
        let Some(segments) = self.locator.datasets.streams.get(&now.stream) else {
            return self.unread_above(now.stream, reasons);
        };
        let names = self.segment_names(now.stream, segments.len());
        let segments: Vec<SegmentKeys> = segments.iter().collect();
        let before_segments = last.record.streams.get(before.stream.0).map_or(&[][..], Vec::as_slice);
        let before_names = last.segment_names(before.stream, before_segments.len());
        let known: HashMap<&String, &SegmentKeys> = before_names.iter().zip(before_segments).collect();
        let there: BTreeSet<&String> = names.iter().collect();
        let new: Vec<String> = names.iter().filter(|name| !known.contains_key(name)).cloned().collect();
        let gone: Vec<String> = before_names.iter().filter(|name| !there.contains(name)).cloned().collect();
        if new.len() + gone.len() > 0 {
            let (added, removed) = (new.len(), gone.len());
            reasons.push(Reason::Segments { input: now.port.clone(), added, removed, new, gone });
        }
        let differing = |differs: &dyn Fn(&SegmentKeys, &SegmentKeys) -> bool| -> Vec<String> {
            let pairs = names.iter().zip(&segments).filter_map(|(name, keys)| Some((name, keys, *known.get(name)?)));
            pairs.filter(|(_, keys, before)| differs(keys, before)).map(|(name, ..)| name.clone()).collect()
        };
        for (&column, &column_before) in now.reads.iter().zip(&before.reads) {
            let changed = differing(&|keys, before| {
                before.columns.get(column_before) != keys.columns.get(column) || before.rows != keys.rows
            });
            if !changed.is_empty() {
                let name = self.plan().stream(now.stream).schema.field(column).name().clone();
                reasons.push(Reason::Column { input: now.port.clone(), column: name, segments: changed });
            }
        }
        if now.reads.is_empty() {
            let changed = differing(&|keys, before| before.rows != keys.rows);
            if !changed.is_empty() {
                reasons.push(Reason::Rows { input: now.port.clone(), segments: changed });
            }
        }
    }

    fn segment_names(&self, stream: StreamId, segments: usize) -> Vec<String> {
        let files = self.locator.lineage.file(stream).map(|source| {
            let source = self.locator.lookup.inventory.source(source);
            source.segments.iter().map(|segment| source.files[segment.file].name().to_owned()).collect::<Vec<_>>()
        });
        numbered(files.unwrap_or_default(), segments)
    }

    /// The files that must be read before anything can be said of a stream.
    fn unread_above(&self, stream: StreamId, reasons: &mut Vec<Reason>) {
        let mut seen = BTreeSet::new();
        let mut open = vec![stream];
        while let Some(stream) = open.pop() {
            if !seen.insert(stream) {
                continue;
            }
            match self.plan().stream(stream).producer {
                Producer::Source { source } | Producer::Rejects { source } => {
                    // A source whose files could not be listed is not in the inventory.
                    let Some(of) = self.locator.lookup.inventory.sources.get(&source) else { continue };
                    let files: Vec<String> = of.unread().map(|file| of.files[file].name().to_owned()).collect();
                    if !files.is_empty() {
                        reasons.push(Reason::UnreadFiles { source: self.plan().sources[source].name.clone(), files });
                    }
                }
                Producer::Stage { stage, .. } => {
                    open.extend(self.plan().stages[stage].inputs.iter().map(|input| input.stream));
                }
            }
        }
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
