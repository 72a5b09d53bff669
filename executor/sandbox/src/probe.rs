//! Finds out by trying how far this machine lets programs be isolated: a helper isolates itself as it would for a program, and
//! says what it could not do.

use std::path::Path;

use crate::isolation::{Isolation, Mechanism};
use crate::spawn::{Order, spawn};
use crate::{Sandbox, SandboxError};

/// A number of processes that no machine has as its limit by itself.
const PROBED: u64 = 307;

/// Finds out, with a helper as for [`Sandbox::spawn`].
pub fn isolation(helper: &Path) -> Isolation {
    let sandbox = Sandbox {
        program: "/".into(),
        args: Vec::new(),
        env: [].into(),
        folder: "/".into(),
        readable: Vec::new(),
        writable: Vec::new(),
        memory: None,
        processors: Vec::new(),
        processes: PROBED,
        network: false,
    };
    let probe = || {
        let mut child = spawn(helper, &Order { sandbox, required: None })?;
        let _held = child.stdin.take();
        child.wait_with_output()
    };
    match probe() {
        Ok(output) if output.status.success() => {
            let missing = serde_json::from_slice(&output.stdout);
            missing.map_or_else(|error| failed(&error), |missing| Isolation { missing, failure: None })
        }
        Ok(output) => failed(&String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => failed(&error),
    }
}

fn failed(failure: &dyn std::fmt::Display) -> Isolation {
    Isolation { missing: Vec::new(), failure: Some(failure.to_string()) }
}

/// The helper's side.
pub(crate) fn report(missing: &[Mechanism]) -> Result<i32, SandboxError> {
    let text = serde_json::to_string(missing).map_err(SandboxError::at("what is missing"))?;
    print!("{text}");
    Ok(0)
}
