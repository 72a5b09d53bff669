//! Executes tasks: looks for an equal earlier result, else runs the chain, and records what came of it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use flowc_demand::{ChainKeys, ChainStage, ContentKeys, Root, Task, Work, gathers, is_unreduced, passthrough};
use flowc_planner::key::{ColumnKey, RowsKey, SegmentKeys};
use flowc_planner::plan::{OutputColumn, Stage};
use flowc_store::{Record, StoredColumn};

use crate::chain::messages::{logged, shown};
use crate::chain::output::Said;
use crate::chain::{Chains, Ran};
use crate::inputs::lookup::Lookups;
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::record::made_on;
use crate::run::align::{self, Pairing};
use crate::run::context::Run;
use crate::run::distance::{Nearness, distance, distance_of_rows};
use crate::run::tally::{Called, Tally};
use crate::run::unlike::{picks, too_far};
use crate::{Error, Event, Other, TimedBy};

/// The keys of what a task gives.
pub(crate) struct TaskKeys {
    /// From what it is.
    pub derived: ChainKeys,
    /// From the content of what it takes in, if they are others.
    pub contents: Option<ChainKeys>,
}

/// A task that has to run.
struct Due {
    /// Its place in the pass.
    place: usize,
    /// The keys of its results, from what it is.
    derived: ChainKeys,
    /// Those from the content of what it takes in, if they are others.
    contents: Option<ChainKeys>,
    /// The key of the rows that it gives first.
    rows: Option<RowsKey>,
    /// Whether it failed before all sources were known.
    is_second: bool,
}

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
            Work::Slices(segment) => format!("running stage `{stage}` over windows' parts of segment {segment}"),
            Work::Segment(_) => format!("running stage `{stage}`, segment {}", self.segment(task)),
            Work::Merge { level, index } => format!("merging partials of stage `{stage}`, {index} of level {level}"),
            Work::Finish => format!("finishing stage `{stage}`"),
        }
    }

    /// Brings the results of a pass's tasks into the store, which have these keys. A task may fail without the others.
    ///
    /// # Errors
    /// If what all of them share fails. A panic of the engine or a runner is one too.
    pub(crate) fn execute(
        &self,
        tasks: &[&Task],
        keys: Vec<Result<TaskKeys, Error>>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let started = RefCell::default();
        let results = Error::catch(|| self.described(tasks[0]), || self.perform(tasks, keys, &started));
        for place in started.into_inner() {
            if results.as_ref().map_or(true, |results| results[place].is_err()) {
                let (stages, segment) = (self.stage_names(tasks[place]), self.segment(tasks[place]));
                self.run.tell(Event::TaskFailed { stages, segment });
            }
        }
        results
    }

    /// `started` gets the places of the tasks of which is told that they have started. A task that failed before all sources were
    /// known was told of: of its second try nothing is told but a good end.
    fn perform(
        &self,
        tasks: &[&Task],
        keys: Vec<Result<TaskKeys, Error>>,
        started: &RefCell<BTreeSet<usize>>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let mut results: Vec<Result<(), Error>> = tasks.iter().map(|_| Ok(())).collect();
        let mut due = Vec::new();
        for (place, (task, keys)) in tasks.iter().zip(keys).enumerate() {
            due.extend(self.due(place, task, keys?)?);
        }
        if due.is_empty() {
            return Ok(results);
        }
        let pass: Vec<&Task> = due.iter().map(|due| tasks[due.place]).collect();
        let start = Instant::now();
        let stage = &self.contents.locator.plan.stages[pass[0].id.stage].name;
        let _span = tracing::info_span!("unit", stage, segment = self.segment(pass[0])).entered();
        let tell_start = |place: usize| {
            let (stages, segment) = (self.stage_names(tasks[place]), self.segment(tasks[place]));
            self.run.tell(Event::TaskStarted { stages, segment });
            started.borrow_mut().insert(place);
        };
        due.iter().filter(|due| !due.is_second).for_each(|due| tell_start(due.place));
        let mut said = Vec::new();
        let ran = self.chains.run(&pass, &mut said);
        let is_good = ran.as_ref().is_ok_and(|ran| ran.iter().all(Result::is_ok));
        if is_good || due.iter().any(|due| !due.is_second) {
            self.report_log(pass[0], said);
        }
        let ran = ran.map_err(|error| {
            due.iter().for_each(|due| self.note_failed(due));
            self.keep_failure(pass[0], error, due[0].is_second)
        })?;
        let share = start.elapsed().as_secs_f64() / pass.len() as f64;
        let mut counted = BTreeSet::new();
        for (due, ran) in due.iter().zip(ran) {
            let task = tasks[due.place];
            results[due.place] = match ran {
                Ok(ran) => {
                    if due.is_second {
                        tell_start(due.place);
                    }
                    self.keep(task, due, &ran, share, &mut counted)
                }
                Err(error) => {
                    self.note_failed(due);
                    Err(self.keep_failure(task, error, due.is_second))
                }
            };
        }
        Ok(results)
    }

    /// What is to be known of a task that has to run: results of equal inputs are recorded under the task's own keys instead.
    fn due(&self, place: usize, task: &Task, keys: TaskKeys) -> Result<Option<Due>, Error> {
        let TaskKeys { derived, contents } = keys;
        if let Some(contents) = &contents
            && !task.chain.iter().any(|link| self.run.selection.forced.contains(&link.stage))
            && self.reuse(task, &derived, contents)?
        {
            let stage = self.stage_name(task.id.stage);
            self.run.tell(Event::SegmentUnchanged { stage, segment: self.segment(task) });
            return Ok(None);
        }
        let rows = derived.last().and_then(|ports| Some(ports.first()?.rows));
        let is_second = !self.is_early && rows.is_some_and(|rows| self.tally().lock().failed_early.contains(&rows));
        Ok(Some(Due { place, derived, contents, rows, is_second }))
    }

    /// Remembers that a task failed before all sources were known.
    fn note_failed(&self, due: &Due) {
        if self.is_early {
            self.tally().lock().failed_early.extend(due.rows);
        }
    }

    /// Records what a task gave, unless it may not be kept. `counted` has the stages that other tasks of the pass have counted.
    fn keep(
        &self,
        task: &Task,
        due: &Due,
        ran: &Ran,
        seconds: f64,
        counted: &mut BTreeSet<usize>,
    ) -> Result<(), Error> {
        self.verify_sources(task)?;
        self.verify_results(task, &due.derived, ran)?;
        self.note_device(task, due)?;
        self.record(task, &due.derived, due.contents.as_ref(), ran);
        self.report(task, seconds, ran, counted);
        self.note_reduction(task, ran)?;
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
        if self.claimed(task).is_some() {
            for (derived, content) in derived_last.iter().zip(contents_last) {
                let device = made_on::device(self.run.store, content)?;
                device.map_or(Ok(()), |device| made_on::keep(self.run.store, derived, &device))?;
            }
        }
        Ok(true)
    }

    /// The stage of a task whose numbers the pipeline makes a claim of.
    fn claimed(&self, task: &Task) -> Option<&Stage> {
        let mut stages = task.chain.iter().map(|link| &self.contents.locator.plan.stages[link.stage]);
        stages.find(|stage| stage.claim.is_some())
    }

    /// Notes on which device results are made whose keys name none, unless they were there before.
    fn note_device(&self, task: &Task, due: &Due) -> Result<(), Error> {
        let Some(device) = self.claimed(task).and_then(|stage| self.chains.runners.device(&stage.code)) else {
            return Ok(());
        };
        for keys in std::iter::once(&due.derived).chain(&due.contents).filter_map(|keys| keys.last()) {
            for (kept, keys) in task.outputs.iter().zip(keys) {
                let columns: Vec<ColumnKey> = kept.columns.iter().map(|&column| keys.columns[column]).collect();
                if self.store().find_columns(&columns)?.iter().any(Option::is_none) {
                    made_on::keep(self.run.store, keys, &device.name)?;
                }
            }
        }
        Ok(())
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

    fn report(&self, task: &Task, seconds: f64, ran: &Ran, counted: &mut BTreeSet<usize>) {
        let segment = self.segment(task);
        let mut called = |link: &ChainStage| match passthrough(self.contents.locator.plan, link) {
            _ if !counted.insert(link.stage) => Called::WithAnother,
            Some(_) => Called::No,
            None => Called::Yes,
        };
        let called: Vec<Called> = task.chain.iter().map(&mut called).collect();
        let gives_partials = task.id.work.gives_partials(&self.contents.locator.plan.stages[task.id.stage]);
        self.tally().add(task, &called, gives_partials, seconds, ran);
        self.report_devices(segment, ran);
        let stages = self.stage_names(task);
        let rows = ran.rows.last().map_or(0, |ports| ports.iter().sum());
        self.run.tell(Event::SegmentRan { stages, segment, rows, seconds });
    }

    /// Notes of which stages merges are better given rows.
    fn note_reduction(&self, task: &Task, ran: &Ran) -> Result<(), Error> {
        let (Root::Segment { stream, segment, .. }, [link], [ports]) = (&task.root, &task.chain[..], &ran.rows[..])
        else {
            return Ok(());
        };
        if gathers(&self.contents.locator.plan.stages[link.stage]) {
            let taken = self.contents.locator.rows(*stream, *segment)?.unwrap_or_default();
            if is_unreduced(taken, ports.iter().sum()) {
                self.tally().lock().unreduced.insert(link.stage);
            }
        }
        Ok(())
    }

    fn report_devices(&self, segment: usize, ran: &Ran) {
        for (stage, used) in &ran.used {
            self.run.tell(Event::DeviceUsed {
                stage: self.stage_name(*stage),
                segment,
                device: self.device_of(*stage),
                nanoseconds: used.nanoseconds,
                timed_by: if used.is_waited { TimedBy::Host } else { TimedBy::Device },
                bytes_up: used.up,
                bytes_down: used.down,
            });
        }
    }

    fn device_of(&self, stage: usize) -> String {
        let code = &self.contents.locator.plan.stages[stage].code;
        self.chains.runners.device(code).map(|device| device.name).unwrap_or_default()
    }

    /// A source file that changed while it was read gave rows that belong to no key.
    fn verify_sources(&self, task: &Task) -> Result<(), Error> {
        match &task.root {
            Root::Segment { stream, segment, columns } => self.chains.reading.verify(*stream, *segment, columns),
            Root::Segments { stream, segments, columns, .. } => {
                segments.clone().try_for_each(|segment| self.chains.reading.verify(*stream, segment, columns))
            }
            _ => Ok(()),
        }
    }

    /// What a stage gives that is to be verified must be what the store has for the same inputs, if it has anything.
    fn verify_results(&self, task: &Task, derived: &ChainKeys, ran: &Ran) -> Result<(), Error> {
        let stages = task.chain.iter().map(|link| link.stage);
        let verified: Vec<usize> = stages.filter(|stage| self.run.selection.verified.contains(stage)).collect();
        // What was stored is of the last one.
        let Some(&stage) = verified.last() else { return Ok(()) };
        let (mut compared, mut differing, mut too_far) = (false, Vec::new(), None);
        let last = derived.last().map_or(&[][..], Vec::as_slice);
        for (port, ((kept, staged), keys)) in task.outputs.iter().zip(&ran.outputs).zip(last).enumerate() {
            let due: Vec<ColumnKey> = kept.columns.iter().map(|&column| keys.columns[column]).collect();
            let known = self.store().find_columns(&due)?;
            let stored = kept.columns.iter().zip(&staged.columns).zip(known);
            let both: Vec<(usize, [StoredColumn; 2])> =
                stored.filter_map(|((&column, now), before)| Some((column, [before?, *now]))).collect();
            compared |= !both.is_empty();
            let (near, exact): (Vec<_>, Vec<_>) =
                both.iter().partition(|(column, _)| self.has_distance(task, stage, (port, *column)));
            let name = |column: &usize| kept.schema.field(*column).name().as_str();
            let unlike = exact.iter().filter(|(_, [before, now])| before.content != now.content);
            differing.extend(unlike.map(|(column, _)| name(column)));
            if !near.is_empty() {
                let near: Vec<_> = near.iter().map(|(column, both)| (name(column), *both)).collect();
                let passed: Vec<_> = exact.iter().map(|(_, both)| *both).collect();
                too_far = too_far.or(self.too_far(task, stage, keys, &near, &passed)?);
            }
        }
        if too_far.is_some() || !differing.is_empty() {
            return Err(too_far.unwrap_or_else(|| self.chains.unlike(task, stage, &differing)));
        }
        if compared {
            let (mut counted, plan) = (self.tally().lock(), &self.contents.locator.plan);
            // Kernels before the last one are compared by tasks of their own.
            let told = verified.into_iter().filter(|other| *other == stage || !plan.stages[*other].code.is_kernel());
            told.for_each(|stage| *counted.verified.entry(stage).or_default() += 1);
        }
        Ok(())
    }

    /// Whether a column of a task's output may be near to what the stage gave before: it has numbers of the stage itself, which are portable.
    fn has_distance(&self, task: &Task, stage: usize, (port, column): (usize, usize)) -> bool {
        let declared = &self.contents.locator.plan.stages[stage];
        let origin = declared.outputs.get(port).and_then(|output| output.columns.get(column));
        task.id.stage == stage
            && matches!(Nearness::of(declared), Nearness::Within(_))
            && !matches!(origin, Some(OutputColumn::Passed { .. }))
    }

    /// What of portable columns that a stage gave again is too far from what it gave before, in the rows that both have as the columns that
    /// it passes on show. How far they are is told, and from which device's if that is known.
    fn too_far(
        &self,
        task: &Task,
        stage: usize,
        keys: &SegmentKeys,
        near: &[(&str, [StoredColumn; 2])],
        passed: &[[StoredColumn; 2]],
    ) -> Result<Option<Error>, Error> {
        let (store, segment) = (self.run.store, self.segment(task));
        let declared = &self.contents.locator.plan.stages[stage];
        let pairing = if picks(declared) { align::pairing(store, passed)? } else { Pairing::ByPlace };
        let mut found = Vec::new();
        if let Pairing::Aligned(aligned) = &pairing {
            found.push((None, distance_of_rows(aligned, Nearness::Bits, segment)));
        }
        for (column, both) in near {
            found.push((Some(*column), distance(store, &[*both], Nearness::of(declared), segment, &pairing)?));
        }
        let other = made_on::device(store, keys)?.map_or(Other::Stored, Other::Device);
        for (column, distance) in &found {
            self.run.note_distance(stage, other.clone(), column.map(str::to_owned), *distance);
        }
        Ok(too_far(declared, &other, &found))
    }

    fn segment(&self, task: &Task) -> usize {
        match task.id.work {
            Work::Segment(segment) | Work::Slices(segment) => self.first_segment + segment,
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
