//! Stages that are to be verified, against what else there is of the same rows: what the device of the last run gave, and what the stage
//! that the text calls their reference gives.

use std::collections::BTreeMap;

use flowc_demand::{Datasets, Segments};
use flowc_planner::key::SegmentKeys;
use flowc_planner::plan::{DEVICE, OutputColumn, Plan, Rows, Stage, StreamId};
use flowc_store::StoredColumn;

use crate::inputs::lookup_cache::LookupCache;
use crate::intake::clocks::SourceClocks;
use crate::record::run::RunRecord;
use crate::run::align::{self, Pairing};
use crate::run::context::Run;
use crate::run::distance::{Distance, Nearness, RowPlace, distance, distance_of_rows};
use crate::run::unlike::{picks, too_far, unlike};
use crate::run::world::World;
use crate::{Error, Event, Largest, Other};

/// Results of the same rows, made otherwise.
struct Counterpart {
    other: Other,
    /// Per segment, its keys.
    segments: Segments,
    /// What of them is compared.
    measures: Vec<Measure>,
}

/// Columns of a stage that are compared together.
struct Measure {
    /// The column; none for those that show which rows the stage keeps.
    column: Option<String>,
    /// Of each, that of the counterpart.
    pairs: Vec<(usize, usize)>,
    nearness: Nearness,
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
        let kept = self.unaffected(now, &world.datasets, &datasets).map(|column| (column, column)).collect();
        let written = written(now).map(|column| (column, column));
        let measures = self.measures(now, written, kept, Nearness::Any);
        Ok(counterpart(Other::Device(device), &datasets, now, measures))
    }

    /// The columns that a stage passes on and that have the same keys on both devices before it picks rows.
    fn unaffected(&self, stage: &Stage, own: &Datasets, theirs: &Datasets) -> impl Iterator<Item = usize> {
        let input =
            stage.outputs.first().and_then(|output| output.rows.input()).map(|input| stage.inputs[input].stream);
        let keys = |datasets: &Datasets| -> Vec<SegmentKeys> {
            let segments = input.and_then(|input: StreamId| datasets.streams.get(&input));
            segments.into_iter().flat_map(Segments::iter).collect()
        };
        let (own, theirs) = (keys(own), keys(theirs));
        let same = move |column: &usize| {
            own.iter().zip(&theirs).all(|(own, theirs)| own.columns[*column] == theirs.columns[*column])
        };
        picked(stage).into_iter().filter(move |(_, of_input)| same(of_input)).map(|(column, _)| column)
    }

    /// What the stage gives that is the reference of another one.
    fn reference(&self, stage: usize, known: &Datasets) -> Option<Counterpart> {
        let (plan, stage) = (self.plan(), &self.plan().stages[stage]);
        let reference = stage.reference.as_ref()?;
        let other = plan.stages.iter().find(|other| other.name == *reference)?;
        let schema = |stage: &Stage| Some(&plan.stream(stage.outputs.first()?.stream).schema);
        let (own, theirs) = (schema(stage)?, schema(other)?);
        let alike = |column: usize| {
            let place = theirs.index_of(own.field(column).name()).ok()?;
            (theirs.field(place).data_type() == own.field(column).data_type()).then_some((column, place))
        };
        let kept = picked(stage).into_iter().filter_map(|(column, _)| alike(column)).collect();
        let measures = self.measures(stage, written(stage).filter_map(alike), kept, Nearness::Bits);
        counterpart(Other::Stage(reference.clone()), known, other, measures)
    }

    /// What shows the rows that are kept, and after it each written column by itself.
    fn measures(
        &self,
        stage: &Stage,
        written: impl Iterator<Item = (usize, usize)>,
        kept: Vec<(usize, usize)>,
        of_kept: Nearness,
    ) -> Vec<Measure> {
        let names = stage.outputs.first().map(|output| &self.plan().stream(output.stream).schema);
        let nearness = Nearness::of(stage);
        let name = |column: usize| names.map(|names| names.field(column).name().clone());
        let written = written.map(|pair| Measure { column: name(pair.0), pairs: vec![pair], nearness });
        let kept = (!kept.is_empty()).then_some(Measure { column: None, pairs: kept, nearness: of_kept });
        kept.into_iter().chain(written).collect()
    }

    fn compare_with(&self, stage: usize, counterpart: &Counterpart, world: &World<'_>) -> Result<(), Error> {
        let Counterpart { other, segments, measures } = counterpart;
        let declared = &self.plan().stages[stage];
        let Some(output) = declared.outputs.first() else { return Ok(()) };
        let Some(own) = world.datasets.streams.get(&output.stream) else { return Ok(()) };
        if own.len() != segments.len() {
            let counts = format!("it gives {} segments, and {other} {}", own.len(), segments.len());
            return Err(unlike(declared, other, &counts));
        }
        for (segment, (own, theirs)) in own.iter().zip(segments.iter()).enumerate() {
            let mut pairing = if picks(declared) { Pairing::Unknown } else { Pairing::ByPlace };
            for Measure { column, pairs, nearness } in measures {
                let pairs = found(&world.store, [&theirs, &own], pairs)?;
                let unlike_counts = pairs.iter().find(|[before, now]| before.rows != now.rows);
                if let Some([before, now]) = unlike_counts.filter(|_| !matches!(other, Other::Device(_))) {
                    let counts =
                        format!("of segment {segment} it gives {} rows, and {other} {}", now.rows, before.rows);
                    return Err(unlike(declared, other, &counts));
                }
                if pairs.is_empty() {
                    continue;
                }
                if column.is_none() {
                    pairing = align::pairing(self.store, &pairs)?;
                }
                let found = match &pairing {
                    Pairing::Aligned(aligned) if column.is_none() => distance_of_rows(aligned, *nearness, segment),
                    pairing => distance(self.store, &pairs, *nearness, segment, pairing)?,
                };
                self.note_distance(stage, other.clone(), column.clone(), found);
            }
        }
        Ok(())
    }

    /// Notes how far a column of a stage is from another one; without a column, the rows that it keeps.
    pub(crate) fn note_distance(&self, stage: usize, other: Other, column: Option<String>, distance: Distance) {
        let mut counted = self.underway.tally.lock();
        counted.compared.entry((stage, other, column)).or_default().merge(distance);
    }

    /// What of a stage is further from other results than it may be.
    fn broken(&self, stage: usize) -> Vec<Error> {
        let counted = self.underway.tally.lock();
        let of_stage = counted.compared.iter().filter(|((of, ..), _)| *of == stage);
        let mut by_other: BTreeMap<&Other, Vec<(Option<&str>, Distance)>> = BTreeMap::new();
        for ((_, other, column), distance) in of_stage {
            by_other.entry(other).or_default().push((column.as_deref(), *distance));
        }
        by_other.iter().filter_map(|(other, found)| too_far(&self.plan().stages[stage], other, found)).collect()
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
                unaligned: distance.unaligned,
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

/// The columns that a stage passes on of rows that it picks, each with that of the input: they show which rows these are.
fn picked(stage: &Stage) -> Vec<(usize, usize)> {
    let output = stage.outputs.first().filter(|output| matches!(output.rows, Rows::Subset { .. }));
    let columns = output.into_iter().flat_map(|output| output.columns.iter().enumerate());
    let passed = columns.filter_map(|(column, origin)| match origin {
        OutputColumn::Passed { column: of_input } => Some((column, *of_input)),
        OutputColumn::Written => None,
    });
    passed.collect()
}

fn counterpart(other: Other, known: &Datasets, stage: &Stage, measures: Vec<Measure>) -> Option<Counterpart> {
    let segments = known.streams.get(&stage.outputs.first()?.stream)?.clone();
    Some(Counterpart { other, segments, measures })
}

/// The pairs of columns of a segment that are stored.
fn found(
    store: &LookupCache<'_>,
    [before, now]: [&SegmentKeys; 2],
    pairs: &[(usize, usize)],
) -> Result<Vec<[StoredColumn; 2]>, Error> {
    let mut stored = Vec::new();
    for (column, other) in pairs {
        if let [Some(before), Some(now)] = store.find_columns(&[before.columns[*other], now.columns[*column]])?[..] {
            stored.push([before, now]);
        }
    }
    Ok(stored)
}
