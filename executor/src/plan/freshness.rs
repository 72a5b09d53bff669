//! Results that are `open`: they may depend on more than their keys say, so a later run takes them only where the pipeline says
//! so (`cache`), and as long. Else they get new keys: a mark in them that no earlier run had.
//!
//! A stage that is forced gets a new mark too, unless its code can depend on nothing but its inputs. So what it gives now takes the place of what it
//! gave before, and what follows from other rows is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{Plan, Purity, Stage};
use flowc_store::Store;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::remembered::{FORCED, MARK};

/// What the marks are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A run: what may not be taken is made again.
    Run,
    /// To say what a run would do.
    Look,
    /// To show what the last run made.
    Show,
}

/// What tells the results of an open stage from those of its other runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// In the keys.
    pub value: [u8; 32],
    /// When the run began that made it, in milliseconds since 1970.
    made_ms: u64,
    /// Whether it is new: no results have it yet.
    #[serde(skip)]
    pub is_new: bool,
}

/// The marks of a plan's stages that are open or were forced, by stage. Of an open one whose results the pipeline pins, the keys are as
/// any other's until it is forced.
pub(crate) type Marks = BTreeMap<usize, Mark>;

/// Whether results of a stage may not be what a run would give again.
pub(crate) fn is_uncertain(stage: &Stage) -> bool {
    stage.purity == Purity::Open && !stage.limits.cache.is_pinned()
}

/// The marks that stages of a pipeline were forced to have, by the stages' names.
type Forced = BTreeMap<String, Mark>;

/// Whether a stage may give something else of the same inputs.
fn may_differ(stage: &Stage) -> bool {
    stage.purity != Purity::Proven
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Gives stages that are forced new marks, and remembers them.
///
/// # Errors
/// If the store can't be read.
pub(crate) fn force(
    marks: &mut Marks,
    plan: &Plan,
    store: &Store,
    pipeline: &Path,
    stages: &BTreeSet<usize>,
) -> Result<(), Error> {
    let key = key_of_forced(pipeline);
    let mut forced: Forced = store.memo(FORCED, &key)?.unwrap_or_default();
    for &index in stages.iter().filter(|&&index| may_differ(&plan.stages[index])) {
        let mark = Mark { value: random(), made_ms: now(), is_new: false };
        let stage = &plan.stages[index];
        match is_uncertain(stage) {
            true => store.remember(MARK, &key_of(pipeline, &stage.name), &mark)?,
            false => drop(forced.insert(stage.name.clone(), mark)),
        }
        marks.insert(index, mark);
    }
    Ok(store.remember(FORCED, &key, &forced)?)
}

/// The marks of all stages that have one. A run remembers new ones.
pub(crate) fn marks(plan: &Plan, store: &Store, pipeline: &Path, purpose: Purpose) -> Result<Marks, Error> {
    let now = now();
    let forced: Forced = store.memo(FORCED, &key_of_forced(pipeline))?.unwrap_or_default();
    let of_forced = plan.stages.iter().enumerate().filter(|(_, stage)| may_differ(stage));
    let mut marks: Marks = of_forced.filter_map(|(index, stage)| Some((index, *forced.get(&stage.name)?))).collect();
    for (index, stage) in plan.stages.iter().enumerate().filter(|(_, stage)| is_uncertain(stage)) {
        let key = key_of(pipeline, &stage.name);
        let last: Option<Mark> = store.memo(MARK, &key)?;
        // One of the future says nothing of its age.
        let age = |mark: &Mark| now.checked_sub(mark.made_ms);
        let is_taken = |mark: &Mark| age(mark).is_some_and(|age| stage.limits.cache.takes(age));
        let mark = match last {
            Some(last) if purpose == Purpose::Show || is_taken(&last) => last,
            _ => Mark { value: random(), made_ms: now, is_new: true },
        };
        if purpose == Purpose::Run && mark.is_new {
            store.remember(MARK, &key, &mark)?;
        }
        marks.insert(index, mark);
    }
    Ok(marks)
}

fn key_of_forced(pipeline: &Path) -> [u8; 32] {
    KeyHasher::new("forced").bytes(pipeline.as_os_str().as_encoded_bytes()).finish()
}

fn key_of(pipeline: &Path, stage: &str) -> [u8; 32] {
    KeyHasher::new("mark").bytes(pipeline.as_os_str().as_encoded_bytes()).bytes(stage.as_bytes()).finish()
}

/// A value that nobody has had.
fn random() -> [u8; 32] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    let mut hasher = KeyHasher::new("mark value");
    hasher.number(now).number(std::process::id().into());
    // Seeded by the system.
    hasher.number(RandomState::new().hash_one(now)).number(RandomState::new().hash_one(now)).finish()
}

#[cfg(test)]
mod tests {
    use flowc_planner::plan::{Cache, PLAN_VERSION};

    use super::*;

    fn plan(cache: Cache, purity: Purity) -> Plan {
        let stage = serde_json::json!({
            "name": "s", "code": {"python": {"dir": "p", "entry": ""}}, "digest": "00".repeat(32), "config": {},
            "runner": {}, "chains": true, "purity": purity, "inputs": [], "outputs": [], "partial": null, "parts": 1,
            "limits": {"isolate": "no", "cache": cache, "timeout_ms": null, "memory": null}
        });
        let (pipeline, sources, sinks, streams) = Default::default();
        let stages = vec![serde_json::from_value(stage).unwrap()];
        Plan { version: PLAN_VERSION, pipeline, sources, stages, sinks, streams }
    }

    /// The marks of a look, of a run, of a look after it, of another run, and of who shows what that made.
    fn of_runs(cache: Cache, purity: Purity) -> Vec<Option<Mark>> {
        use Purpose::{Look, Run, Show};
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let plan = plan(cache, purity);
        let mark = |purpose| marks(&plan, &store, Path::new("flow.kdl"), purpose).unwrap().get(&0).copied();
        [Look, Run, Look, Run, Show].map(mark).to_vec()
    }

    fn value(mark: Option<Mark>) -> [u8; 32] {
        mark.unwrap().value
    }

    #[test]
    fn open_results_are_taken_again_as_the_pipeline_says() {
        for sure in [of_runs(Cache::Flag(false), Purity::Sandboxed), of_runs(Cache::Flag(true), Purity::Open)] {
            assert!(sure.iter().all(Option::is_none));
        }
        let never = of_runs(Cache::Flag(false), Purity::Open);
        assert!(never[..4].iter().all(|mark| mark.unwrap().is_new));
        assert_ne!(value(never[1]), value(never[3]), "each run makes them again");
        assert_eq!(value(never[4]), value(never[3]), "and shows what it made");
        let an_hour = of_runs(Cache::For { ttl_ms: 3_600_000 }, Purity::Open);
        assert!(an_hour[1].unwrap().is_new && !an_hour[2].unwrap().is_new);
        assert_eq!(value(an_hour[1]), value(an_hour[3]));
        let is_over = of_runs(Cache::For { ttl_ms: 0 }, Purity::Open);
        assert_ne!(value(is_over[1]), value(is_over[3]));
    }

    #[test]
    fn what_is_forced_has_new_keys_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let pipeline = Path::new("flow.kdl");
        for (cache, purity, is_marked) in [
            (Cache::Flag(false), Purity::Proven, false),
            (Cache::Flag(false), Purity::Sandboxed, true),
            (Cache::Flag(true), Purity::Open, true),
            (Cache::For { ttl_ms: 3_600_000 }, Purity::Open, true),
        ] {
            let plan = plan(cache, purity);
            let mut of_run = marks(&plan, &store, pipeline, Purpose::Run).unwrap();
            let before = of_run.get(&0).map(|mark| mark.value);
            force(&mut of_run, &plan, &store, pipeline, &BTreeSet::from([0])).unwrap();
            let forced = of_run.get(&0).map(|mark| mark.value);
            assert_eq!(forced != before, is_marked, "{cache:?} {purity:?}");
            for purpose in [Purpose::Show, Purpose::Look, Purpose::Run] {
                let later = marks(&plan, &store, pipeline, purpose).unwrap();
                assert_eq!(later.get(&0).map(|mark| mark.value), forced, "{cache:?} {purity:?} {purpose:?}");
            }
            assert_eq!(
                marks(&plan, &store, Path::new("other.kdl"), Purpose::Show).unwrap().get(&0).map(|m| m.value) == forced,
                !is_marked
            );
        }
    }
}
