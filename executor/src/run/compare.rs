//! Stages that are to be verified, against what else there is of the same rows: what the device of the last run gave, and what the stage
//! that the text calls their reference gives.

use flowc_demand::{Datasets, Segments};
use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::{DEVICE, NUMBERS, OutputColumn, Plan, Stage};
use flowc_store::StoredColumn;

use crate::inputs::lookup_cache::LookupCache;
use crate::intake::clocks::SourceClocks;
use crate::record::run::RunRecord;
use crate::run::context::Run;
use crate::run::distance::{Distance, Nearness, RowPlace, distance};
use crate::run::world::World;
use crate::{Error, Event, FailureSite, Largest, Other};

/// Results of the same rows, made otherwise.
struct Counterpart {
    other: Other,
    /// Per segment, its keys.
    segments: Segments,
    /// Per column of the stage's output that is compared, that of the counterpart.
    columns: Vec<(usize, usize)>,
}

impl Run<'_> {
    /// Compares what stages gave that are to be verified, and gives what breaks what is proven or claimed of them.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) fn compare(&self, world: &World<'_>) -> Result<Vec<Error>, Error> {
        let mut broken = Vec::new();
        for &stage in &self.selection.verified {
            let counterparts = self.elsewhere(stage, world)?.into_iter().chain(self.reference(stage, &world.datasets));
            for counterpart in counterparts {
                self.compare_with(stage, &counterpart, world)?;
            }
            broken.extend(self.broken(stage));
        }
        Ok(broken)
    }

    /// What there is of the device of the last run, if that was another one.
    fn elsewhere(&self, stage: usize, world: &World<'_>) -> Result<Option<Counterpart>, Error> {
        let (planned, now) = (self.planned, &self.plan().stages[stage]);
        let Some(record) = RunRecord::load(self.store, &planned.texts[0])? else { return Ok(None) };
        let before = record.plan().and_then(|last| last.stages.iter().find(|other| other.name == now.name).cloned());
        let device = before.and_then(|before| before.runner.get(DEVICE).cloned());
        let Some(device) = device.filter(|device| now.is_of_device() && now.runner.get(DEVICE) != Some(device)) else {
            return Ok(None);
        };
        let mut plan = Plan::clone(&planned.plan);
        for stage in plan.stages.iter_mut().filter(|stage| stage.is_of_device()) {
            stage.runner.insert(DEVICE.to_owned(), device.clone());
        }
        let clocks = SourceClocks::new(&plan, &world.inventory, self.store, Some(&self.files));
        let deriver = planned.deriver_of(&plan);
        let datasets =
            deriver.datasets(&|producer| world.inventory.keys(producer), &|column, kind| clocks.of(column, kind));
        clocks.finish()?;
        let columns = written(now).map(|column| (column, column)).collect();
        Ok(counterpart(Other::Device(device), &datasets, now, columns))
    }

    /// What the stage gives that is the reference of another one.
    fn reference(&self, stage: usize, known: &Datasets) -> Option<Counterpart> {
        let (plan, stage) = (self.plan(), &self.plan().stages[stage]);
        let reference = stage.reference.as_ref()?;
        let other = plan.stages.iter().find(|other| other.name == *reference)?;
        let schema = |stage: &Stage| Some(&plan.stream(stage.outputs.first()?.stream).schema);
        let (own, theirs) = (schema(stage)?, schema(other)?);
        let columns =
            written(stage).filter_map(|column| Some((column, theirs.index_of(own.field(column).name()).ok()?)));
        counterpart(Other::Stage(reference.clone()), known, other, columns.collect())
    }

    fn compare_with(&self, stage: usize, counterpart: &Counterpart, world: &World<'_>) -> Result<(), Error> {
        let Counterpart { other, segments, columns } = counterpart;
        let declared = &self.plan().stages[stage];
        let Some(output) = declared.outputs.first() else { return Ok(()) };
        let Some(own) = world.datasets.streams.get(&output.stream) else { return Ok(()) };
        let schema = &self.plan().stream(output.stream).schema;
        if own.len() != segments.len() {
            let counts = format!("it gives {} segments, and {other} {}", own.len(), segments.len());
            return Err(unlike(declared, other, &counts));
        }
        let nearness = Nearness::of(declared);
        for (segment, (own, theirs)) in own.iter().zip(segments.iter()).enumerate() {
            for &(column, their) in columns {
                let (now, before) = (found(&world.store, &own, column)?, found(&world.store, &theirs, their)?);
                let (Some(now), Some(before)) = (now, before) else { continue };
                if now.rows != before.rows {
                    let counts =
                        format!("of segment {segment} it gives {} rows, and {other} {}", now.rows, before.rows);
                    return Err(unlike(declared, other, &counts));
                }
                let found = distance(self.store, [before, now], nearness, segment)?;
                self.note_distance(stage, other.clone(), schema.field(column).name(), found);
            }
        }
        Ok(())
    }

    /// Notes how far a column of a stage is from another one.
    pub(crate) fn note_distance(&self, stage: usize, other: Other, column: &str, distance: Distance) {
        let mut counted = self.underway.tally.lock();
        counted.compared.entry((stage, other, column.to_owned())).or_default().merge(distance);
    }

    /// What of a stage is further from other results than it may be.
    fn broken(&self, stage: usize) -> Vec<Error> {
        let counted = self.underway.tally.lock();
        let of_stage = counted.compared.iter().filter(|((of, ..), distance)| *of == stage && distance.broken > 0);
        let error = |((_, other, column), distance): (&(usize, Other, String), &Distance)| {
            let RowPlace { segment, row } = distance.first.unwrap_or_default();
            let far = distance.largest.map_or_else(String::new, |(far, _)| format!(", by up to {far:e}"));
            let (broken, rows, row) = (distance.broken, distance.rows, row + 1);
            let what = format!(
                "`{column}` differs in {broken} of {rows} rows{far}; the first is row {row} of segment {segment}"
            );
            unlike(&self.plan().stages[stage], other, &what)
        };
        of_stage.map(error).collect()
    }

    /// Tells how far what was compared is from other results.
    pub(crate) fn tell_compared(&self, stage: usize) -> bool {
        let counted = self.underway.tally.lock();
        let of_stage = counted.compared.iter().filter(|((of, ..), _)| *of == stage);
        let mut is_any = false;
        for ((_, other, column), distance) in of_stage {
            is_any = true;
            let largest =
                distance.largest.map(|(difference, RowPlace { segment, row })| Largest { difference, segment, row });
            self.tell(Event::StageCompared {
                stage: self.plan().stages[stage].name.clone(),
                other: other.clone(),
                column: column.clone(),
                rows: distance.rows,
                differing: distance.differing,
                largest,
            });
        }
        is_any
    }
}

/// The columns that a stage writes on its first output.
fn written(stage: &Stage) -> impl Iterator<Item = usize> + '_ {
    let columns = stage.outputs.first().into_iter().flat_map(|output| output.columns.iter().enumerate());
    columns.filter(|(_, origin)| **origin == OutputColumn::Written).map(|(column, _)| column)
}

fn counterpart(other: Other, known: &Datasets, stage: &Stage, columns: Vec<(usize, usize)>) -> Option<Counterpart> {
    let segments = known.streams.get(&stage.outputs.first()?.stream)?.clone();
    Some(Counterpart { other, segments, columns })
}

fn found(store: &LookupCache<'_>, keys: &SegmentKeys, column: usize) -> Result<Option<StoredColumn>, Error> {
    Ok(store.find_columns(&[keys.columns[column]])?.into_iter().next().flatten())
}

fn unlike(stage: &Stage, other: &Other, what: &str) -> Error {
    let demanded = match Nearness::of(stage) {
        Nearness::Bits => "its numbers are the same everywhere".to_owned(),
        Nearness::Within(_) => format!("its numbers are {}", stage.runner.get(NUMBERS).map_or("", String::as_str)),
        Nearness::Any => "both have the same rows".to_owned(),
    };
    let place = Box::new(FailureSite { item: None, rows: None });
    let message = format!("compared with {other}, {what}, while {demanded}");
    Error::Stage { stage: stage.name.clone(), place, message }
}
