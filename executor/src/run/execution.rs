//! Executes tasks: looks for an equal earlier result, else runs the chain, and records what came of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Instant;

use flowc_demand::{ChainKeys, ContentKeys, Root, Task, Work, passthrough};
use flowc_planner::key::{ColumnKey, RowsKey};
use flowc_store::{Record, StoredColumn};

use crate::chain::messages::{logged, shown};
use crate::chain::output::Said;
use crate::chain::{Chains, Ran};
use crate::inputs::lookup::Lookups;
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::run::context::Run;
use crate::run::tally::Tally;
use crate::{Error, Event};

/// Executes tasks over what a run knows.
#[derive(Clone, Copy)]
pub(crate) struct Execution<'a> {
    /// The run.
    pub run: &'a Run<'a>,
    /// Runs chains.
    pub chains: Chains<'a>,
    /// Looks for equal inputs.
    pub contents: ContentKeys<'a, Lookups<'a>, Reading<'a>>,
    /// Added to a task's segment number, where one segment of many is known.
    pub first_segment: usize,
    /// Whether not all sources are known yet.
    pub is_early: bool,
}

impl Execution<'_> {
    /// What is done for a task, in words.
    pub(crate) fn described(&self, task: &Task) -> String {
        let stage = self.stage_name(task.id.stage);
        match task.id.work {
            Work::Segment(_) => format!("running stage `{stage}`, segment {}", self.segment(task)),
            Work::Merge { level, index } => format!("merging partials of stage `{stage}`, {index} of level {level}"),
            Work::Finish => format!("finishing stage `{stage}`"),
        }
    }

    /// Brings a task's results into the store.
    ///
    /// # Errors
    /// If a stage or what it needs fails. A panic of the engine or a runner is one too.
    pub(crate) fn execute(&self, task: &Task) -> Result<(), Error> {
        let is_started = Cell::new(false);
        let result = Error::catch(|| self.described(task), || self.perform(task, &is_started));
        if result.is_err() && is_started.get() {
            self.run.tell(Event::TaskFailed { stages: self.stage_names(task), segment: self.segment(task) });
        }
        result
    }

    /// `is_started` becomes true when it is told that the task has started. A task that failed before all sources were known was told
    /// of: of its second try nothing is told but a good end.
    fn perform(&self, task: &Task, is_started: &Cell<bool>) -> Result<(), Error> {
        let derived = self.contents.derived(task);
        let contents = self.contents.of_task(task)?.filter(|contents| *contents != derived);
        if let Some(contents) = &contents
            && !task.chain.iter().any(|link| self.run.selection.forced.contains(&link.stage))
            && self.reuse(task, &derived, contents)?
        {
            let stage = self.stage_name(task.id.stage);
            self.run.tell(Event::SegmentUnchanged { stage, segment: self.segment(task) });
            return Ok(());
        }
        let start = Instant::now();
        let stage = &self.contents.locator.plan.stages[task.id.stage].name;
        let _span = tracing::info_span!("unit", stage, segment = self.segment(task)).entered();
        let rows: Option<RowsKey> = derived.last().and_then(|ports| Some(ports.first()?.rows));
        let is_second = !self.is_early && rows.is_some_and(|rows| self.tally().lock().failed_early.contains(&rows));
        let tell_start = || {
            self.run.tell(Event::TaskStarted { stages: self.stage_names(task), segment: self.segment(task) });
            is_started.set(true);
        };
        if !is_second {
            tell_start();
        }
        let mut said = Vec::new();
        let result = self.chains.run(task, &mut said);
        if !is_second || result.is_ok() {
            self.report_log(task, said);
        }
        if self.is_early && result.is_err() {
            self.tally().lock().failed_early.extend(rows);
        }
        let ran = result.map_err(|error| self.keep_failure(task, error, is_second))?;
        if is_second {
            tell_start();
        }
        self.verify_sources(task)?;
        self.verify_results(task, &derived, &ran)?;
        let seconds = start.elapsed().as_secs_f64();
        self.record(task, &derived, contents.as_ref(), &ran);
        self.report(task, seconds, &ran);
        Ok(self.store().flush_if_due()?)
    }

    /// Records the results of equal inputs under the task's own keys, if they are all there.
    fn reuse(&self, task: &Task, derived: &ChainKeys, contents: &ChainKeys) -> Result<bool, Error> {
        let (mut record, mut counted) = (Record { rows: Vec::new(), columns: Vec::new() }, HashMap::new());
        let (Some(derived_last), Some(contents_last)) = (derived.last(), contents.last()) else { return Ok(false) };
        for ((kept, derived), content) in task.outputs.iter().zip(derived_last).zip(contents_last) {
            let keys: Vec<ColumnKey> = kept.columns.iter().map(|&column| content.columns[column]).collect();
            for (&column, found) in kept.columns.iter().zip(self.store().find_columns(&keys)?) {
                let Some(found) = found else { return Ok(false) };
                record.columns.push((derived.columns[column], found));
                // A column knows its rows; after a garbage collection nothing else may.
                counted.insert(content.rows, found.rows);
            }
        }
        for (derived, content) in derived.iter().flatten().zip(contents.iter().flatten()) {
            let known = || Ok::<_, Error>(self.store().find_rows(&[content.rows])?.into_iter().next().flatten());
            match counted.get(&content.rows).copied().map_or_else(known, |rows| Ok(Some(rows)))? {
                Some(rows) => record.rows.push((derived.rows, rows)),
                None => return Ok(false),
            }
        }
        self.store().record(record);
        Ok(true)
    }

    fn record(&self, task: &Task, derived: &ChainKeys, contents: Option<&ChainKeys>, ran: &Ran) {
        let mut record = Record { rows: Vec::new(), columns: Vec::new() };
        for keys in std::iter::once(derived).chain(contents) {
            for (ports, rows) in keys.iter().zip(&ran.rows) {
                record.rows.extend(ports.iter().zip(rows).map(|(port, rows)| (port.rows, *rows)));
            }
            let last = keys.last().map_or(&[][..], Vec::as_slice);
            for ((kept, staged), keys) in task.outputs.iter().zip(&ran.outputs).zip(last) {
                let stored = kept.columns.iter().zip(&staged.columns);
                record.columns.extend(stored.map(|(&column, s): (_, &StoredColumn)| (keys.columns[column], *s)));
            }
        }
        self.store().record(record);
    }

    /// What the stages said is told and kept also when they fail: then it is wanted most.
    fn report_log(&self, task: &Task, said: Vec<Said>) {
        for (stage, level, message) in said {
            let line = (self.segment(task), level.clone(), message.clone());
            self.tally().lock().logs.entry(stage).or_default().push(line);
            self.run.tell(Event::StageLog { stage: self.stage_name(stage), level, message });
        }
    }

    /// Puts all that is known of a stage's failure into its log, unless that was done before, and gives what is shown of it.
    fn keep_failure(&self, task: &Task, error: Error, is_second: bool) -> Error {
        let Error::Stage { stage, place, message } = error else { return error };
        let segment = self.segment(task);
        let failed = task.chain.iter().map(|link| link.stage).find(|&link| self.stage_name(link) == stage);
        if !is_second {
            let lines = logged(&message).map(|line| (segment, "error".to_owned(), line));
            self.tally().lock().logs.entry(failed.unwrap_or(task.id.stage)).or_default().extend(lines);
        }
        let message = shown(&message, &stage);
        Error::Stage { stage, place, message }
    }

    fn report(&self, task: &Task, seconds: f64, ran: &Ran) {
        let segment = self.segment(task);
        let is_called: Vec<bool> =
            task.chain.iter().map(|link| passthrough(self.contents.locator.plan, link).is_none()).collect();
        let is_combining = self.contents.locator.plan.stages[task.id.stage].is_combining();
        self.tally().add(task, &is_called, is_combining && task.id.work != Work::Finish, seconds, ran);
        let stages = self.stage_names(task);
        let rows = ran.rows.last().map_or(0, |ports| ports.iter().sum());
        self.run.tell(Event::SegmentRan { stages, segment, rows, seconds });
    }

    /// A source file that changed while it was read gave rows that belong to no key.
    fn verify_sources(&self, task: &Task) -> Result<(), Error> {
        match &task.root {
            Root::Segment { stream, segment, columns } => self.chains.reading.verify(*stream, *segment, columns),
            _ => Ok(()),
        }
    }

    /// What a stage gives that is to be verified must be what the store has for the same inputs, if it has anything.
    fn verify_results(&self, task: &Task, derived: &ChainKeys, ran: &Ran) -> Result<(), Error> {
        let Some(link) = task.chain.iter().find(|link| self.run.selection.verified.contains(&link.stage)) else {
            return Ok(());
        };
        let (mut compared, mut differing) = (false, Vec::new());
        let last = derived.last().map_or(&[][..], Vec::as_slice);
        for ((kept, staged), keys) in task.outputs.iter().zip(&ran.outputs).zip(last) {
            let due: Vec<ColumnKey> = kept.columns.iter().map(|&column| keys.columns[column]).collect();
            let known = self.store().find_columns(&due)?;
            for ((&column, now), before) in kept.columns.iter().zip(&staged.columns).zip(known) {
                compared |= before.is_some();
                if before.is_some_and(|before| before.content != now.content) {
                    differing.push(kept.schema.field(column).name().as_str());
                }
            }
        }
        if !differing.is_empty() {
            return Err(self.chains.unlike(task, link.stage, &differing));
        }
        if compared {
            *self.tally().lock().verified.entry(link.stage).or_default() += 1;
        }
        Ok(())
    }

    fn segment(&self, task: &Task) -> usize {
        match task.id.work {
            Work::Segment(segment) => self.first_segment + segment,
            Work::Merge { index, .. } => index,
            Work::Finish => 0,
        }
    }

    fn stage_names(&self, task: &Task) -> Vec<String> {
        task.chain.iter().map(|link| self.stage_name(link.stage)).collect()
    }

    fn stage_name(&self, stage: usize) -> String {
        self.contents.locator.plan.stages[stage].name.clone()
    }

    fn tally(&self) -> &Tally {
        &self.run.underway.tally
    }

    fn store(&self) -> &LookupCache<'_> {
        self.contents.locator.lookup.store
    }
}
