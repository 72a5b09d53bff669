//! Why stages run: what differs from the pipeline's last good run.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use flowc_demand::{Lineage, Node, Segments};
use flowc_planner::Unit;
use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::{DEVICE, Input, Plan, Producer, Stage, StreamId};
use flowc_planner::quantity;
use flowc_store::Store;
use serde_json::Value;

use crate::inputs::lookup::Locator;
use crate::plan::Planned;
use crate::plan::code::changed_parts;
use crate::plan::freshness::Marks;
use crate::record::pages::Recorded;
use crate::record::run::RunRecord;
use crate::{Error, Reason};

/// The last good run, with its plan.
pub(crate) struct LastRun<'s> {
    store: &'s Store,
    pipeline: PathBuf,
    plan: std::sync::Arc<Plan>,
    lineage: Lineage,
    record: RunRecord,
    /// Indices of the plan's stages by name.
    stages: HashMap<String, usize>,
}

impl<'s> LastRun<'s> {
    /// The last good run of a pipeline, unless its record is of another version's form.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn load(store: &'s Store, planned: &Planned) -> Result<Option<Self>, Error> {
        let pipeline = planned.texts[0].clone();
        let Some(record) = RunRecord::load(store, &pipeline)? else { return Ok(None) };
        let plan = match record.plan_hash == Some(planned.hash) {
            true => Some(planned.plan.clone()),
            false => record.plan().map(std::sync::Arc::new),
        };
        Ok(plan.map(|plan| {
            let stages = plan.stages.iter().enumerate().map(|(index, stage)| (stage.name.clone(), index)).collect();
            Self { store, pipeline, lineage: Lineage::of(&plan), plan, record, stages }
        }))
    }

    fn segments(&self, stream: StreamId) -> Recorded<'s> {
        self.record.stream(self.store, &self.pipeline, stream)
    }

    /// The files of a stream's segments, if each comes from one.
    fn files(&self, stream: StreamId) -> Option<Recorded<'s>> {
        Some(self.record.files(self.store, &self.pipeline, self.lineage.file(stream)?))
    }
}

/// A segment of an input: its name, and its keys.
struct Segment {
    name: String,
    keys: SegmentKeys,
}

/// Per stage, those of its unit that it hands its batches to.
fn handed_on(plan: &Plan, units: &[Unit]) -> Vec<Vec<usize>> {
    let mut unit_of = vec![0; plan.stages.len()];
    let members = units.iter().enumerate().flat_map(|(unit, of)| of.stages.iter().map(move |&stage| (stage, unit)));
    members.for_each(|(stage, unit)| unit_of[stage] = unit);
    let mut next = vec![Vec::new(); plan.stages.len()];
    for (stage, of) in plan.stages.iter().enumerate() {
        let above = of.driving().and_then(|(_, input)| plan.producing_stage(input.stream)).map(|(above, _)| above);
        above.filter(|&above| unit_of[above] == unit_of[stage]).into_iter().for_each(|above| next[above].push(stage));
    }
    next
}

/// Finds the reasons of one plan's stages.
pub(crate) struct Reasons<'a> {
    locator: Locator<'a>,
    last: Option<&'a LastRun<'a>>,
    marks: &'a Marks,
    /// Stages that run, or will.
    working: &'a BTreeSet<usize>,
    /// Per stage, those of its unit that take its rows at once: they are not kept.
    next: Vec<Vec<usize>>,
    unknown: Vec<bool>,
}

/// What of isolation is missing, in the runner of an open stage.
const WITHOUT: &str = "without";

impl<'a> Reasons<'a> {
    /// Against the last good run, if there was one.
    pub(crate) fn new(
        locator: Locator<'a>,
        planned: &'a Planned,
        last: Option<&'a LastRun<'a>>,
        working: &'a BTreeSet<usize>,
    ) -> Self {
        let next = handed_on(locator.plan, &planned.units);
        let mut reasons = Self { locator, last, marks: &planned.marks, working, next, unknown: Vec::new() };
        reasons.unknown = (0..locator.plan.stages.len()).map(|stage| reasons.has_unread_inputs(stage)).collect();
        for stage in (0..locator.plan.stages.len()).rev() {
            reasons.unknown[stage] |= reasons.next[stage].iter().any(|&next| reasons.unknown[next]);
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
        if let (Some(before), Some(now)) = (before.runner.get(DEVICE), stage.runner.get(DEVICE))
            && before != now
        {
            reasons.push(Reason::Device { before: before.clone(), now: now.clone() });
        }
        // Other code may have another runner, too.
        if before.digest == stage.digest {
            reasons.extend(runner_changes(before, stage));
        }
        if self.marks.get(&index).is_some_and(|mark| mark.is_new) {
            reasons.push(Reason::Open { without: stage.runner.get(WITHOUT).cloned().unwrap_or_default() });
        }
        if stage.late_window().is_none() || before.late_window().is_none() {
            config_changes("", Some(&before.config), Some(&stage.config), &mut reasons);
        }
        self.window_changes(&last.plan, before, stage, &mut reasons);
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

    fn before(&self, stage: &Stage) -> Option<(&'a LastRun<'a>, &'a Stage)> {
        let last = self.last?;
        Some((last, &last.plan.stages[*last.stages.get(&stage.name)?]))
    }

    /// Nothing differs, and yet the results are not there.
    fn without_change(&self, index: usize) -> Result<Reason, Error> {
        let needs = |&&next: &&usize| self.working.contains(&next) || self.unknown[next];
        if let Some(&next) = self.next[index].iter().find(needs) {
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

    /// Of a stage that picks late rows, the windows are its config.
    fn window_changes(&self, last: &Plan, before: &Stage, now: &Stage, reasons: &mut Vec<Reason>) {
        let of = |plan: &Plan, stage: &Stage, input: &Input| {
            let window = input.window.clone().or_else(|| stage.late_window())?;
            let delay = window.time.map(|time| time.delay_ms).filter(|&delay| delay > 0);
            let delay = delay.map_or_else(String::new, |delay| format!(", delay {}", quantity::duration(delay)));
            Some(format!("{}{delay}", window.words(&plan.stream(input.stream).schema)))
        };
        for (input, input_before) in now.inputs.iter().zip(&before.inputs) {
            let (before, now) = (of(last, before, input_before), of(self.plan(), now, input));
            if before != now {
                reasons.push(Reason::Window { input: input.port.clone(), before, now });
            }
        }
    }

    fn input_changes(&self, last: &LastRun<'_>, now: &Input, before: &Input, reasons: &mut Vec<Reason>) {
        let Some(segments) = self.locator.datasets.streams.get(&now.stream) else {
            return self.unread_above(now.stream, reasons);
        };
        let (there, before_there) = self.differing(last, segments, now.stream, before.stream);
        let known: HashMap<&str, &Segment> = before_there.iter().map(|one| (one.name.as_str(), one)).collect();
        let names: BTreeSet<&str> = there.iter().map(|one| one.name.as_str()).collect();
        let new: Vec<String> =
            there.iter().map(|one| &one.name).filter(|name| !known.contains_key(name.as_str())).cloned().collect();
        let gone: Vec<String> =
            before_there.iter().map(|one| &one.name).filter(|name| !names.contains(name.as_str())).cloned().collect();
        if new.len() + gone.len() > 0 {
            let (added, removed) = (new.len(), gone.len());
            reasons.push(Reason::Segments { input: now.port.clone(), added, removed, new, gone });
        }
        let differing = |differs: &dyn Fn(&SegmentKeys, &SegmentKeys) -> bool| -> Vec<String> {
            let pairs = there.iter().filter_map(|one| Some((one, *known.get(one.name.as_str())?)));
            pairs.filter(|(one, before)| differs(&one.keys, &before.keys)).map(|(one, _)| one.name.clone()).collect()
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

    /// The segments of an input, now and in the last run, that are not the same in the same place. Only these can be reasons.
    fn differing(
        &self,
        last: &LastRun<'_>,
        segments: &Segments,
        now: StreamId,
        before: StreamId,
    ) -> (Vec<Segment>, Vec<Segment>) {
        let source = self.locator.lineage.file(now).map(|source| self.locator.lookup.inventory.source(source));
        let recorded = last.segments(before);
        let files = last.files(before);
        let mut places = recorded.differing(segments);
        match (source, &files) {
            (Some(source), Some(files)) => places.extend(files.differing(source.names())),
            (None, None) => {}
            _ => places.extend(0..segments.len().max(recorded.shape().len())),
        }
        let file = |place: usize| Some(source?.files[source?.segments.get(place)?.file].name().to_owned());
        let file_before = |place: usize| files.as_ref()?.name(place);
        let of = |place: usize, keys: Option<SegmentKeys>, file: &dyn Fn(usize) -> Option<String>| {
            Some(Segment { name: name_of(place, file), keys: keys? })
        };
        let there = places.iter().filter_map(|&place| of(place, segments.segment(place), &file));
        let segment = |index: usize| recorded.keys(Node { level: 0, index });
        let before = places.iter().filter_map(|&place| of(place, segment(place), &file_before));
        (there.collect(), before.collect())
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

/// The name of a segment: its file's, with a number where that has several before it. They are neighbours.
fn name_of(place: usize, file: &dyn Fn(usize) -> Option<String>) -> String {
    let name = file(place);
    let before = match &name {
        Some(_) => (0..place).rev().take_while(|&place| file(place) == name).count(),
        None => place,
    };
    let name = name.unwrap_or_else(|| "segment".to_owned());
    if before == 0 { name } else { format!("{name} #{}", before + 1) }
}

/// The secrets of a stage, as in the text.
fn secrets(stage: &Stage) -> Vec<String> {
    stage.secrets.iter().map(|(name, source)| format!("{name} {source}")).collect()
}

/// What differs of what the runner of a stage adds to its keys, but for what has reasons of its own.
fn runner_changes(before: &Stage, now: &Stage) -> Vec<Reason> {
    let names: BTreeSet<&String> = before.runner.keys().chain(now.runner.keys()).collect();
    let others = names.into_iter().filter(|name| ![DEVICE, WITHOUT].contains(&name.as_str()));
    let changed = others.filter(|name| before.runner.get(*name) != now.runner.get(*name));
    let reason = |name: &String| Reason::Runner {
        name: name.clone(),
        before: before.runner.get(name).cloned(),
        now: now.runner.get(name).cloned(),
    };
    changed.map(reason).collect()
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
