//! Starting it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::{Mechanism, OUTER, Sandbox};

/// What a helper is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) sandbox: Sandbox,
    /// The means that must be there, or the program is not started. None to start nothing, and to say what is missing.
    pub(crate) required: Option<Vec<Mechanism>>,
}

impl Sandbox {
    /// Starts the program in its sandbox. All three standard streams are pipes; the program lives as long as its standard
    /// input. `helper` is a program that calls [`crate::main`] first thing. Where one of the `required` means can't be had, the
    /// program is not started.
    ///
    /// # Errors
    /// If the helper can't be started. What goes wrong later is in its exit status and on its standard error.
    pub fn spawn(&self, helper: &Path, required: Vec<Mechanism>) -> std::io::Result<Child> {
        spawn(helper, &Order { sandbox: self.clone(), required: Some(required) })
    }
}

pub(crate) fn spawn(helper: &Path, order: &Order) -> std::io::Result<Child> {
    let mut command = Command::new(helper);
    // What a terminal sends to its foreground is for whoever started this, who decides what it means for the program.
    command.args([OUTER, &serde_json::to_string(order)?]).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}
