//! The components that a worker holds, as stages that are served by their digests.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;
use flowc_flight::serve::{Served, ServedCode};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Limits};
use flowc_wasm::{CompiledCache, WasmError, WasmRunner};

/// Bytes of components that are held at once. What they are compiled to takes a few times that.
const MOST: usize = 256 << 20;
/// One that was asked for so recently stays, whatever else is brought: its invocation is about to begin, perhaps with
/// others that are still on their way.
const GRACE: Duration = Duration::from_secs(60);

/// Components of clients.
pub(crate) struct Components {
    runner: WasmRunner,
    held: Mutex<Held>,
}

/// Those that were asked for last stand last.
#[derive(Default)]
struct Held(Vec<One>);

/// A component that is held.
#[derive(Clone, Copy)]
struct One {
    digest: StageDigest,
    size: usize,
    asked: Instant,
}

/// Compiled components are held in memory: a worker leaves nothing behind.
struct Memory;

impl CompiledCache for Memory {
    fn find(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn put(&self, _: &str, _: &[u8]) -> Option<PathBuf> {
        None
    }
}

impl Components {
    pub(crate) fn new() -> Result<Self, WasmError> {
        Ok(Self { runner: WasmRunner::new(std::sync::Arc::new(Memory))?, held: Mutex::default() })
    }

    fn find(&self, stage: &str) -> Result<StageDigest, Problem> {
        let none = || Problem::new(format!("the worker does not hold the component {stage}"));
        digest(stage).ok().filter(|digest| self.lock().has(digest)).ok_or_else(none)
    }

    /// Takes a component, in the place of those that were not asked for longest.
    fn take(&self, digest: StageDigest, component: Vec<u8>, limits: &Limits) -> Result<(), Problem> {
        let size = component.len();
        if size > MOST {
            return Err(Problem::new(format!(
                "a worker holds components of {} MiB in all, and this is more",
                MOST >> 20
            )));
        }
        if WasmRunner::digest(&component) != digest {
            return Err(Problem::new("the component is not the one that its digest names"));
        }
        self.runner.add(component, digest);
        if let Err(problem) = self.runner.prepare(&digest, limits) {
            self.runner.remove(&digest);
            return Err(problem);
        }
        let gone = self.lock().add(One { digest, size, asked: Instant::now() });
        gone.iter().for_each(|digest| self.runner.remove(digest));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn has(&self, digest: &StageDigest) -> bool {
        self.0.iter().any(|held| held.digest == *digest)
    }

    /// Puts one last that is there, since it is asked for again; says whether it is.
    fn ask(&mut self, digest: &StageDigest, asked: Instant) -> bool {
        let Some(at) = self.0.iter().position(|held| held.digest == *digest) else { return false };
        let held = self.0.remove(at);
        self.0.push(One { asked, ..held });
        true
    }

    /// Puts one last, and gives those that have to go for it.
    fn add(&mut self, one: One) -> Vec<StageDigest> {
        self.0.retain(|held| held.digest != one.digest);
        self.0.push(one);
        let mut sum = 0;
        let stays = |held: &&One| {
            sum += held.size;
            sum <= MOST || one.asked.duration_since(held.asked) < GRACE
        };
        let kept = self.0.iter().rev().take_while(stays).count();
        self.0.drain(..self.0.len() - kept).map(|held| held.digest).collect()
    }
}

fn digest(stage: &str) -> Result<StageDigest, Problem> {
    stage.parse().map_err(|_| Problem::new(format!("`{stage}` is no digest of a component")))
}

impl Served for Components {
    fn signature(&self, stage: &str) -> Result<Signature, Problem> {
        self.runner.signature(&self.find(stage)?)
    }

    fn describe(&self, stage: &str, config: serde_json::Value, inputs: Vec<SchemaRef>) -> Result<Description, Problem> {
        let digest = self.find(stage)?;
        self.runner.describe(&Question { code: Code::Wasm(stage.to_owned()), digest, config, inputs })
    }

    fn code(&self, stage: &str, asked: &Limits) -> Result<ServedCode<'_>, Problem> {
        Ok(ServedCode { runner: &self.runner, digest: self.find(stage)?, limits: asked.clone() })
    }

    fn hold(&self, stage: &str, component: Option<Vec<u8>>, limits: &Limits) -> Result<bool, Problem> {
        let digest = digest(stage)?;
        if let Some(component) = component {
            self.take(digest, component, limits)?;
            return Ok(true);
        }
        if !self.lock().ask(&digest, Instant::now()) {
            return Ok(false);
        }
        self.runner.prepare(&digest, limits)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> StageDigest {
        StageDigest::new([number; 32])
    }

    /// Which have to go for a component that is brought after so many minutes.
    fn bring(held: &mut Held, start: Instant, minutes: u32, number: u8, size: usize) -> Vec<StageDigest> {
        held.add(One { digest: digest(number), size, asked: start + minutes * GRACE })
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let (mut held, start) = (Held::default(), Instant::now());
        assert!(bring(&mut held, start, 0, 1, MOST / 2).is_empty());
        assert!(bring(&mut held, start, 1, 2, MOST / 2).is_empty());
        assert!(held.ask(&digest(1), start + 2 * GRACE));
        assert_eq!(bring(&mut held, start, 3, 3, MOST / 2), [digest(2)]);
        assert_eq!(bring(&mut held, start, 9, 4, MOST), [digest(1), digest(3)]);
        assert!(held.has(&digest(4)) && !held.ask(&digest(3), start));
    }

    #[test]
    fn what_was_just_asked_for_stays() {
        let (mut held, start) = (Held::default(), Instant::now());
        bring(&mut held, start, 0, 1, MOST);
        bring(&mut held, start, 1, 2, MOST / 2);
        assert!(held.has(&digest(2)) && !held.has(&digest(1)));
        assert!(bring(&mut held, start, 1, 3, MOST).is_empty());
        assert!(bring(&mut held, start, 1, 4, MOST).is_empty());
        assert_eq!(bring(&mut held, start, 2, 5, MOST), [digest(2), digest(3), digest(4)]);
    }

    #[test]
    fn a_component_must_be_the_one_that_its_digest_names() {
        let components = Components::new().unwrap();
        let name = WasmRunner::digest(b"one").to_string();
        let hold = |component| components.hold(&name, component, &Limits::default());
        assert!(!hold(None).unwrap());
        let refused = hold(Some(b"other".to_vec())).unwrap_err().message;
        assert!(refused.contains("not the one that its digest names"), "{refused}");
        assert!(hold(Some(b"one".to_vec())).unwrap_err().message.contains("not a wasm component"));
        assert!(!hold(None).unwrap());
        assert!(components.code(&name, &Limits::default()).is_err());
    }
}
