//! Goes through all interleavings of two runs and a collection, each of which may be killed between any two steps. What is decided is
//! decided by the functions that the collection calls.

use std::collections::HashSet;

use flowc_planner::key::{ColumnKey, ContentDigest};

use super::{LeaseId, Leased, Need};
use crate::verdict::{Fate, Verdict};
use crate::{Location, ObjectId, StoredColumn};

/// The result that both runs want.
const WANTED: u8 = 1;
/// A result beside it in an earlier run's object, most of that, which nobody wants.
const UNWANTED: u8 = 2;
/// The object of an earlier run, the copy of what is kept of it, and the objects that the runs write.
const OLD: u8 = 1;
const COPY: u8 = 2;
const OWN: [u8; 2] = [3, 4];

/// A step that is left out, or done at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Runs look things up while the collection decides.
    OpenGate,
    /// Runs write into their leases after they have left the gate.
    LateLease,
    /// The collection reads the records before the leases.
    RecordsFirst,
    /// The collection lists the objects after the gate is open again.
    LateList,
    /// What earlier runs found is not forgotten.
    FoundStays,
    /// The names of new objects do not tell their writers.
    NamelessObjects,
    /// What is copied is let go of without another look at the leases.
    BlindCopy,
    /// A run does not rely on what another one has committed before it.
    OwnCommit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum RunStep {
    Open,
    MakeLease,
    Enter,
    LookUp,
    WriteLease,
    Leave,
    Work,
    Read,
    Commit,
    SaveFound,
    Record,
    Close,
    Ended,
    Killed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum GcStep {
    Seize,
    List,
    Leases,
    Records,
    ForgetFound,
    Evict,
    Release,
    Remove,
    Copy,
    SeizeAgain,
    LeasesAgain,
    Relocate,
    ReleaseAgain,
    RemoveCopied,
    Ended,
    Killed,
}

/// A set of small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Set(u8);

impl Set {
    fn of(numbers: &[u8]) -> Self {
        numbers.iter().fold(Self::default(), |set, &number| set.with(number))
    }

    fn with(self, number: u8) -> Self {
        Self(self.0 | 1 << number)
    }

    fn without(self, number: u8) -> Self {
        Self(self.0 & !(1 << number))
    }

    fn has(self, number: u8) -> bool {
        self.0 & 1 << number != 0
    }

    fn numbers(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |&number| self.has(number))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    step: RunStep,
    found: Option<u8>,
    lease: Option<Set>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Gc {
    step: GcStep,
    listed: Set,
    /// The needs of living leases.
    needs: Set,
    /// The runs that have them.
    living: Set,
    records: Set,
    kept: Rows,
}

/// The index: by result, the object that holds it.
type Rows = [Option<u8>; 3];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    /// Who holds the gate.
    gate: Set,
    rows: Rows,
    files: Set,
    /// What an earlier run found.
    found: Option<u8>,
    records: Set,
    runs: [Run; 2],
    gc: Gc,
}

/// The number of the collection among those who take steps; the runs are 0 and 1.
const COLLECTION: u8 = 2;

impl World {
    fn new(rows: Rows, files: &[u8], found: Option<u8>, records: &[u8]) -> Self {
        let run = Run { step: RunStep::Open, found: None, lease: None };
        let none = Set::default();
        let gc =
            Gc { step: GcStep::Seize, listed: none, needs: none, living: none, records: none, kept: Rows::default() };
        Self { gate: none, rows, files: Set::of(files), found, records: Set::of(records), runs: [run, run], gc }
    }

    /// The worlds after one more step of anybody, or what is wrong with one.
    fn next(&self, flaw: Flaw) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        for run in 0..COLLECTION {
            next.extend(self.after_run(run, flaw)?);
            next.extend(self.after_kill(run));
        }
        next.extend(self.after_gc(flaw));
        next.extend(self.after_kill(COLLECTION));
        Ok(next)
    }

    fn after_kill(mut self, who: u8) -> Option<Self> {
        self.gate = self.gate.without(who);
        if who == COLLECTION {
            let is_there = self.gc.step < GcStep::Ended;
            self.gc.step = GcStep::Killed;
            return is_there.then_some(self);
        }
        let run = &mut self.runs[usize::from(who)];
        let is_there = run.step < RunStep::Ended;
        *run = Run { step: RunStep::Killed, found: None, lease: None };
        is_there.then_some(self)
    }

    fn after_run(mut self, who: u8, flaw: Flaw) -> Result<Option<Self>, String> {
        let before = self;
        let Self { gate, rows, files, found, records, runs, .. } = &mut self;
        let run = &mut runs[usize::from(who)];
        let own = OWN[usize::from(who)];
        let object = run.found.unwrap_or(own);
        let may_enter = flaw == Flaw::OpenGate || !gate.has(COLLECTION);
        match run.step {
            RunStep::Open | RunStep::Enter | RunStep::Commit if !may_enter => return Ok(None),
            RunStep::Open | RunStep::Enter if flaw == Flaw::OpenGate => {}
            RunStep::Open | RunStep::Enter => *gate = gate.with(who),
            RunStep::MakeLease => {
                run.lease = Some(Set::default());
                *gate = gate.without(who);
            }
            RunStep::LookUp => {
                run.found = found.or(rows[usize::from(WANTED)]);
                if flaw == Flaw::LateLease {
                    *gate = gate.without(who);
                }
            }
            RunStep::WriteLease => {
                run.lease = run.lease.map(|lease| run.found.map_or(lease, |found| lease.with(found)))
            }
            RunStep::Leave => *gate = gate.without(who),
            RunStep::Work if run.found.is_none() => *files = files.with(own),
            RunStep::Work => {}
            RunStep::Read if files.has(object) => {}
            RunStep::Read => return Err(format!("run {who} reads object {object}, which is gone: {before:?}")),
            RunStep::Commit => {
                // Who comes first with a key wins.
                let holder = *rows[usize::from(WANTED)].get_or_insert(object);
                if flaw != Flaw::OwnCommit {
                    run.lease = run.lease.map(|lease| lease.with(holder));
                }
            }
            RunStep::SaveFound => *found = Some(object),
            RunStep::Record => *records = records.with(WANTED),
            RunStep::Close => run.lease = None,
            RunStep::Ended | RunStep::Killed => return Ok(None),
        }
        let place = RUN_STEPS.iter().position(|step| *step == run.step).ok_or("no step")?;
        run.step = RUN_STEPS[place + 1];
        Ok(Some(self))
    }

    fn after_gc(mut self, flaw: Flaw) -> Option<Self> {
        let fate = |object| self.fate(object, flaw);
        let shrinks = self.gc.listed.has(OLD) && fate(OLD) == Fate::Shrinks;
        let goes = self.gc.listed.numbers().find(|&object| fate(object) == Fate::Goes);
        match (self.gc.step, goes) {
            (GcStep::Seize | GcStep::SeizeAgain, _) if self.gate != Set::default() => return None,
            (GcStep::Seize | GcStep::SeizeAgain, _) => self.gate = self.gate.with(COLLECTION),
            (GcStep::Release | GcStep::ReleaseAgain, _) => self.gate = self.gate.without(COLLECTION),
            (GcStep::List, _) => self.gc.listed = self.files,
            (GcStep::LeasesAgain, _) if flaw == Flaw::BlindCopy => {}
            (GcStep::Leases | GcStep::LeasesAgain, _) => self.read_leases(),
            (GcStep::Records, _) => self.gc.records = self.records,
            (GcStep::ForgetFound, _) if flaw == Flaw::FoundStays => {}
            (GcStep::ForgetFound, _) => self.found = None,
            (GcStep::Evict, _) => self.evict(flaw),
            (GcStep::Remove, Some(object)) => {
                self.gc.listed = self.gc.listed.without(object);
                self.files = self.files.without(object);
                return Some(self);
            }
            (GcStep::Remove, None) => {}
            (GcStep::Copy, _) if shrinks => self.files = self.files.with(COPY),
            (GcStep::Copy, _) => {
                self.gc.step = GcStep::Ended;
                return Some(self);
            }
            (GcStep::Relocate, _) if self.leased(flaw).holds(name(OLD)) => {
                (self.files, self.gate) = (self.files.without(COPY), self.gate.without(COLLECTION));
                self.gc.step = GcStep::Ended;
                return Some(self);
            }
            (GcStep::Relocate, _) => {
                self.found = self.found.filter(|_| flaw == Flaw::FoundStays);
                self.rows = self.rows.map(|object| if object == Some(OLD) { Some(COPY) } else { object });
            }
            (GcStep::RemoveCopied, _) => self.files = self.files.without(OLD),
            (GcStep::Ended | GcStep::Killed, _) => return None,
        }
        let steps = gc_steps(flaw);
        let place = steps.iter().position(|step| *step == self.gc.step)?;
        self.gc.step = steps[place + 1];
        Some(self)
    }

    fn read_leases(&mut self) {
        let living = (0..COLLECTION).filter(|&run| self.runs[usize::from(run)].lease.is_some());
        self.gc.living = living.fold(Set::default(), Set::with);
        self.gc.needs = Set(self.runs.iter().filter_map(|run| run.lease).fold(0, |all, Set(one)| all | one));
    }

    fn evict(&mut self, flaw: Flaw) {
        let keep = self.gc.records.numbers().map(key).collect();
        let all = results(&self.rows).map(|(result, object)| (key(result), column(result, object)));
        let verdict = Verdict::of(all.collect(), &keep, &self.leased(flaw));
        for (result, object) in results(&{ self.rows }) {
            let is_kept = verdict.kept.iter().any(|(kept, _)| *kept == key(result));
            self.rows[usize::from(result)] = is_kept.then_some(object);
        }
        self.gc.kept = self.rows;
    }

    /// The leases as the collection has read them.
    fn leased(&self, flaw: Flaw) -> Leased {
        let living = self.gc.living.numbers().filter(|_| flaw != Flaw::NamelessObjects);
        Leased {
            living: living.map(|run| LeaseId(lease(run + 1))).collect(),
            needs: self.gc.needs.numbers().map(|object| Need::Object(name(object))).collect(),
        }
    }

    fn fate(&self, object: u8, flaw: Flaw) -> Fate {
        let kept = results(&self.gc.kept).filter(|(_, of)| *of == object);
        Fate::of(
            name(object),
            10,
            kept.map(|(result, of)| column(result, of).location.length).sum(),
            &self.leased(flaw),
        )
    }

    fn is_over(&self) -> bool {
        self.gc.step >= GcStep::Ended && self.runs.iter().all(|run| run.step >= RunStep::Ended)
    }

    /// When all have ended, the next run finds what the records name, and the next collection removes the rest.
    fn check_end(&self, flaw: Flaw) -> Result<(), String> {
        let has_ended = self.runs.iter().any(|run| run.step == RunStep::Ended);
        if has_ended && self.rows[usize::from(WANTED)].is_none_or(|object| !self.files.has(object)) {
            return Err(format!("the result of a run is gone: {self:?}"));
        }
        let mut world = *self;
        world.gc.step = GcStep::Seize;
        while let Some(next) = world.after_gc(flaw) {
            world = next;
        }
        let named = results(&world.rows).fold(Set::default(), |all, (_, object)| all.with(object));
        match world.files == named && results(&world.rows).all(|(result, _)| self.records.has(result)) {
            true => Ok(()),
            false => Err(format!("something dead is left: {world:?}")),
        }
    }
}

fn results(rows: &Rows) -> impl Iterator<Item = (u8, u8)> {
    (0..).zip(rows).filter_map(|(result, object)| Some((result, (*object)?)))
}

const RUN_STEPS: [RunStep; 13] = [
    RunStep::Open,
    RunStep::MakeLease,
    RunStep::Enter,
    RunStep::LookUp,
    RunStep::WriteLease,
    RunStep::Leave,
    RunStep::Work,
    RunStep::Read,
    RunStep::Commit,
    RunStep::SaveFound,
    RunStep::Record,
    RunStep::Close,
    RunStep::Ended,
];

fn gc_steps(flaw: Flaw) -> Vec<GcStep> {
    use GcStep::*;
    let decision = match flaw {
        Flaw::RecordsFirst => [Seize, List, Records, Leases, ForgetFound, Evict, Release],
        Flaw::LateList => [Seize, Leases, Records, ForgetFound, Evict, Release, List],
        _ => [Seize, List, Leases, Records, ForgetFound, Evict, Release],
    };
    let rest = [Remove, Copy, SeizeAgain, LeasesAgain, Relocate, ReleaseAgain, RemoveCopied, Ended];
    decision.into_iter().chain(rest).collect()
}

/// The lease of a run; 0 is the earlier run, which has ended.
fn lease(run: u8) -> [u8; 8] {
    [run; 8]
}

fn name(object: u8) -> ObjectId {
    let writer = (1..).zip(OWN).find(|(_, own)| *own == object).map_or(0, |(run, _)| run);
    let mut name = [object; 16];
    name[..8].copy_from_slice(&lease(writer));
    ObjectId(name)
}

fn key(result: u8) -> ColumnKey {
    ColumnKey::new([result; 32])
}

fn column(result: u8, object: u8) -> StoredColumn {
    let length = if result == WANTED && object == OLD { 1 } else { 9 };
    let location = Location { object: name(object), offset: u64::from(result) * 64, length, column: 0, check: 0 };
    StoredColumn { content: ContentDigest::new([result; 32]), rows: 1, location }
}

/// Follows every order of steps from some beginnings. Gives the number of worlds.
fn explore(flaw: Flaw) -> Result<usize, String> {
    let mut both = Rows::default();
    [WANTED, UNWANTED].iter().for_each(|&result| both[usize::from(result)] = Some(OLD));
    let mut due = vec![
        World::new(Rows::default(), &[], None, &[]),
        // Of a run that was killed.
        World::new(Rows::default(), &[OLD], None, &[]),
        World::new(both, &[OLD], None, &[]),
        World::new(both, &[OLD], Some(OLD), &[WANTED]),
        World::new(both, &[OLD], None, &[WANTED]),
    ];
    let mut seen: HashSet<World> = due.iter().copied().collect();
    while let Some(world) = due.pop() {
        if world.is_over() {
            world.check_end(flaw)?;
        }
        for next in world.next(flaw)? {
            if seen.insert(next) {
                due.push(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn in_any_order_runs_read_what_they_rely_on_and_the_dead_goes() {
    let worlds = explore(Flaw::None).unwrap();
    assert!(worlds > 10_000, "{worlds}");
}

#[test]
fn every_rule_is_needed() {
    let flaws = [
        Flaw::OpenGate,
        Flaw::LateLease,
        Flaw::RecordsFirst,
        Flaw::LateList,
        Flaw::FoundStays,
        Flaw::NamelessObjects,
        Flaw::BlindCopy,
        Flaw::OwnCommit,
    ];
    for flaw in flaws {
        assert!(explore(flaw).is_err(), "{flaw:?} does no harm");
    }
}
