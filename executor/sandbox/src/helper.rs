//! The program that plays the helper's part, and what it was found to be able to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::circumstances::circumstances;
use crate::{Isolation, Mechanism, isolation};

/// The file name of the program that people call. It hands what needs an engine to the one called [`ENGINE`], and starts sandboxes for it.
const LAUNCHER: &str = "flowc";
/// The file name of the program with the engine. It lies beside the one that people call, of the same build.
pub const ENGINE: &str = "flowc-engine";

/// Remembers from run to run under which circumstances all means of isolation were found to be there.
pub trait TrialMemory: Send + Sync {
    /// Whether they were all found under these.
    fn was_full(&self, circumstances: &str) -> bool;

    /// Keeps that they were. What can't be kept is tried again.
    fn keep(&self, circumstances: &str);

    /// Forgets it.
    fn forget(&self, circumstances: &str);
}

/// A program that calls [`main`](crate::main) first thing. What it can do on this machine is found out once, for all clones.
#[derive(Clone, Debug)]
pub struct Helper {
    program: PathBuf,
    starter: PathBuf,
    trial: Arc<Trial>,
}

/// What was found out, and where it is remembered.
#[derive(Default)]
struct Trial {
    found: OnceLock<Found>,
    memory: Option<Arc<dyn TrialMemory>>,
}

#[derive(Debug)]
struct Found {
    isolation: Isolation,
    /// The circumstances of an earlier trial, where there was none this time.
    remembered: Option<String>,
}

impl Helper {
    /// This program. The engine has the small program beside it start sandboxes, which plays the part of [`main`](crate::main) alone: the system
    /// takes milliseconds to load an engine, and each start loads its helper twice.
    ///
    /// # Errors
    /// If this program can't be found.
    pub fn of_this_program() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self { starter: starter(&program), ..Self::from(program) })
    }

    /// Tries nothing where an earlier trial found all means under the same circumstances. What is missing is looked for again each time, so
    /// nothing that is remembered lets a program have less: it is started with all means, or not at all.
    #[must_use]
    pub fn remembering(self, memory: Arc<dyn TrialMemory>) -> Self {
        Self { trial: Arc::new(Trial { memory: Some(memory), ..Trial::default() }), ..self }
    }

    /// The program's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The file of the program that starts sandboxes.
    pub fn starter(&self) -> &Path {
        &self.starter
    }

    /// How far this machine lets programs be isolated. What it was found to allow, every program gets.
    pub fn isolation(&self) -> &Isolation {
        &self.found().isolation
    }

    /// The means without which no program may be started. What a trial found just now to be missing of those that shield no results was told of;
    /// where there was no trial, all have to be there.
    pub fn required(&self) -> Vec<Mechanism> {
        let Found { isolation, remembered } = self.found();
        if remembered.is_some() { Mechanism::ALL.to_vec() } else { isolation.required() }
    }

    /// To be called where a program could not be started: if there was no trial, the next run makes one.
    pub fn doubt(&self) {
        if let (Some(memory), Some(Found { remembered: Some(circumstances), .. })) =
            (&self.trial.memory, self.trial.found.get())
        {
            memory.forget(circumstances);
        }
    }

    fn found(&self) -> &Found {
        self.trial.found.get_or_init(|| {
            let memory = self.trial.memory.as_ref();
            let known = memory.and_then(|memory| Some((memory, circumstances(&self.starter)?)));
            if let Some((memory, circumstances)) = &known
                && memory.was_full(circumstances)
            {
                return Found { isolation: Isolation::default(), remembered: Some(circumstances.clone()) };
            }
            let isolation = isolation(&self.starter);
            if let Some((memory, circumstances)) = known.filter(|_| isolation.is_full()) {
                memory.keep(&circumstances);
            }
            Found { isolation, remembered: None }
        })
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("found", &self.found).finish_non_exhaustive()
    }
}

/// The program that starts sandboxes for another.
fn starter(program: &Path) -> PathBuf {
    let launcher = program.with_file_name(LAUNCHER);
    let has_launcher = program.file_name() == Some(ENGINE.as_ref()) && launcher.is_file();
    if has_launcher { launcher } else { program.to_owned() }
}

impl From<PathBuf> for Helper {
    fn from(program: PathBuf) -> Self {
        Self { starter: program.clone(), program, trial: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Remembered(Mutex<BTreeSet<String>>);

    impl TrialMemory for Remembered {
        fn was_full(&self, circumstances: &str) -> bool {
            self.0.lock().unwrap().contains(circumstances)
        }

        fn keep(&self, circumstances: &str) {
            self.0.lock().unwrap().insert(circumstances.to_owned());
        }

        fn forget(&self, circumstances: &str) {
            self.0.lock().unwrap().remove(circumstances);
        }
    }

    #[test]
    fn an_engine_has_the_small_program_beside_it_start_sandboxes() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, launcher) = (folder.path().join(ENGINE), folder.path().join(LAUNCHER));
        assert_eq!(starter(&engine), engine, "there is no other");
        std::fs::write(&launcher, "").unwrap();
        assert_eq!(starter(&engine), launcher);
        let other = folder.path().join("flowc-sql");
        assert_eq!(starter(&other), other);
    }

    #[test]
    fn a_trial_is_spared_that_found_all_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        // It is no helper: whoever tries it finds that nothing can be isolated.
        let program = folder.path().join("program");
        std::fs::write(&program, "").unwrap();
        let remembered = Arc::new(Remembered::default());
        let memory: Arc<dyn TrialMemory> = remembered.clone();
        let helper = || Helper::from(program.clone()).remembering(memory.clone());
        let tried = helper();
        assert!(tried.isolation().failure.is_some());
        assert!(remembered.0.lock().unwrap().is_empty(), "what failed is not remembered");
        memory.keep(&circumstances(&program).unwrap());
        tried.doubt();
        assert_eq!(remembered.0.lock().unwrap().len(), 1, "what was tried is not in doubt");
        let spared = helper();
        assert!(spared.isolation().is_full());
        assert_eq!(spared.required(), Mechanism::ALL, "nobody has seen now that one is missing");
        std::fs::write(&program, "another").unwrap();
        assert!(helper().isolation().failure.is_some(), "of another program nothing is known");
        spared.doubt();
        assert!(remembered.0.lock().unwrap().is_empty());
    }
}
