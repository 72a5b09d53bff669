//! Secrets of a run: found when it begins, handed to stages, and kept out of all that is said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowc_demand::Task;
use flowc_planner::plan::{Plan, SecretSource};
use flowc_platform::{secret_of_file, secret_of_variable};
use flowc_runner::{Secrets, mask};

use crate::error::{Error, MissingSecret};

/// The secrets of stages, as far as they can be had. Whether all that are needed are there is known only when it is known
/// which stages have work.
#[derive(Debug, Default)]
pub(crate) struct Held {
    of_stage: BTreeMap<usize, Secrets>,
    missing: BTreeMap<usize, Vec<MissingSecret>>,
}

impl Held {
    /// Those of all stages. Paths of files start from `base`.
    pub(crate) fn find(plan: &Plan, base: &Path) -> Self {
        let mut held = Self::default();
        for (index, stage) in plan.stages.iter().enumerate() {
            let mut values = Vec::new();
            for (secret, source) in &stage.secrets {
                match value(secret, source, base) {
                    Ok(value) => values.push((secret.clone(), value)),
                    Err(reason) => {
                        let (stage, secret) = (stage.name.clone(), secret.clone());
                        held.missing.entry(index).or_default().push(MissingSecret { stage, secret, reason });
                    }
                }
            }
            if !values.is_empty() {
                held.of_stage.insert(index, values.into_iter().collect());
            }
        }
        held
    }

    /// Whether nothing is missing that any stage might need.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// Fails if something is missing that these tasks need.
    pub(crate) fn check(&self, tasks: &[Task]) -> Result<(), Error> {
        if self.is_whole() {
            return Ok(());
        }
        let working: BTreeSet<usize> = tasks.iter().flat_map(|task| &task.chain).map(|link| link.stage).collect();
        let missing = self.missing.iter().filter(|(stage, _)| working.contains(stage)).flat_map(|(_, all)| all);
        let missing: Vec<MissingSecret> = missing.cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Secrets(missing)) }
    }

    /// What a stage is given.
    pub(crate) fn of(&self, stage: usize) -> Secrets {
        self.of_stage.get(&stage).cloned().unwrap_or_default()
    }

    /// A text without any of the values: those of other stages too, since stages of one program may share a process.
    pub(crate) fn mask(&self, text: String) -> String {
        if self.of_stage.is_empty() { text } else { mask(&text, self.of_stage.values()) }
    }
}

/// The value of a secret, or why there is none.
fn value(secret: &str, source: &SecretSource, base: &Path) -> Result<String, String> {
    match source {
        SecretSource::Env(variable) => secret_of_variable(secret, variable),
        SecretSource::File(path) => secret_of_file(path, &base.join(path)),
    }
}
