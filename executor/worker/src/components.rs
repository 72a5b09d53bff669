//! The components that a worker holds, as stages that are served by their digests.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_schema::SchemaRef;
use flowc_flight::serve::{Served, ServedCode};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Limits};
use flowc_wasm::{CompiledCache, WasmError, WasmRunner};

/// Bytes of components that are held at once. What they are compiled to takes a few times that.
const MOST: usize = 256 << 20;

/// Components of clients.
pub(crate) struct Components {
    runner: WasmRunner,
    held: Mutex<Held>,
}

/// Digests and sizes; those that were asked for last stand last.
#[derive(Default)]
struct Held(Vec<(StageDigest, usize)>);

/// Compiled components are held in memory: a worker leaves nothing behind.
struct Memory;

impl CompiledCache for Memory {
    fn path(&self, _: &str) -> Option<PathBuf> {
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
        digest(stage).ok().filter(|digest| self.lock().size(digest).is_some()).ok_or_else(none)
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
        let gone = self.lock().add(digest, size);
        gone.iter().for_each(|digest| self.runner.remove(digest));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn size(&self, digest: &StageDigest) -> Option<usize> {
        self.0.iter().find(|(held, _)| held == digest).map(|(_, size)| *size)
    }

    /// Puts one last, and gives those that have to go for it.
    fn add(&mut self, digest: StageDigest, size: usize) -> Vec<StageDigest> {
        self.0.retain(|(held, _)| *held != digest);
        self.0.push((digest, size));
        let mut sum = 0;
        let fits = |(_, size): &&(StageDigest, usize)| {
            sum += size;
            sum <= MOST
        };
        let kept = self.0.iter().rev().take_while(fits).count();
        self.0.drain(..self.0.len() - kept).map(|(digest, _)| digest).collect()
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
        let Some(size) = self.lock().size(&digest) else { return Ok(false) };
        self.runner.prepare(&digest, limits)?;
        self.lock().add(digest, size);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let digest = |number| StageDigest::new([number; 32]);
        let mut held = Held::default();
        assert!(held.add(digest(1), MOST / 2).is_empty());
        assert!(held.add(digest(2), MOST / 2).is_empty());
        assert!(held.add(digest(1), MOST / 2).is_empty());
        assert_eq!(held.add(digest(3), MOST / 2), [digest(2)]);
        assert_eq!(held.add(digest(4), MOST), [digest(1), digest(3)]);
        assert_eq!(held.0, [(digest(4), MOST)]);
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
