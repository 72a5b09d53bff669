//! Starting it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{OUTER, Sandbox};

impl Sandbox {
    /// Starts the program in its sandbox. All three standard streams are pipes; the program lives as long as its standard
    /// input. `helper` is a program that calls [`crate::main`] first thing.
    ///
    /// # Errors
    /// If the helper can't be started. What goes wrong later is in its exit status and on its standard error.
    pub fn spawn(&self, helper: &Path) -> std::io::Result<Child> {
        let sandbox = serde_json::to_string(self)?;
        let mut command = Command::new(helper);
        command.args([OUTER, &sandbox]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}
