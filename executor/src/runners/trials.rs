//! What trials of sandboxes found, as the store remembers it.

use flowc_planner::key::KeyHasher;
use flowc_sandbox::TrialMemory;
use flowc_store::Store;

use crate::remembered::TRIAL;

/// The last trial that found all means of isolation.
pub(super) struct Trials(pub(super) Store);

fn key() -> [u8; 32] {
    KeyHasher::new("sandbox trial").finish()
}

impl TrialMemory for Trials {
    fn was_full(&self, circumstances: &str) -> bool {
        self.0.memo::<String>(TRIAL, &key()).ok().flatten().is_some_and(|last| last == circumstances)
    }

    fn keep(&self, circumstances: &str) {
        // What is not remembered is tried again.
        let _ = self.0.remember(TRIAL, &key(), &circumstances.to_owned());
    }

    fn forget(&self, _: &str) {
        self.0.forget(TRIAL, &key());
        // Whatever becomes of this run, the next one is to try.
        let _ = self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_trial_is_remembered_under_its_circumstances_alone() {
        let folder = tempfile::tempdir().unwrap();
        let trials = Trials(Store::open(folder.path()).unwrap());
        assert!(!trials.was_full("here"));
        trials.keep("here");
        trials.0.flush().unwrap();
        assert!(trials.was_full("here") && !trials.was_full("there"));
        trials.keep("there");
        assert!(!trials.was_full("here") && trials.was_full("there"));
        trials.forget("there");
        assert!(!trials.was_full("there"));
    }
}
