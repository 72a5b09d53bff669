//! The program that plays the helper's part, and what it was found to be able to do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::{Isolation, isolation};

/// A program that calls [`main`](crate::main) first thing. What it can do on this machine is found out once, for all clones.
#[derive(Clone, Debug)]
pub struct Helper {
    program: PathBuf,
    starter: PathBuf,
    isolation: Arc<OnceLock<Isolation>>,
}

impl Helper {
    /// The program's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Has another program start the sandboxes, which calls [`main`](crate::main) first thing too. Each start has the system load it twice: a
    /// small one is loaded sooner.
    #[must_use]
    pub fn started_by(self, starter: PathBuf) -> Self {
        Self { starter, isolation: Arc::default(), ..self }
    }

    /// The file of the program that starts sandboxes.
    pub fn starter(&self) -> &Path {
        &self.starter
    }

    /// How far this machine lets programs be isolated. What it was found to allow, every program gets.
    pub fn isolation(&self) -> &Isolation {
        self.isolation.get_or_init(|| isolation(&self.starter))
    }
}

impl From<PathBuf> for Helper {
    fn from(program: PathBuf) -> Self {
        Self { starter: program.clone(), program, isolation: Arc::default() }
    }
}
