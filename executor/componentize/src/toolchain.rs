//! Which toolchain a crate is built with, and how tools are asked.

use std::path::{Path, PathBuf};

use flowc_code::{ToolError, Tools};

use crate::BuildError;
use crate::environment::fetching;

/// A compiler with its libraries.
pub(crate) struct Toolchain {
    /// Its folder.
    pub(crate) sysroot: PathBuf,
    /// The compiler's version and host, in full.
    pub(crate) version: String,
}

impl Toolchain {
    /// The one that is picked in a folder.
    pub(crate) fn find(dir: &Path, tools: Tools<'_>) -> Result<Self, BuildError> {
        let sysroot = PathBuf::from(ask("rustc", &["--print", "sysroot"], dir, tools)?.trim());
        Ok(Self { sysroot, version: ask("rustc", &["-vV"], dir, tools)? })
    }
}

/// What a tool answers; an error if it fails.
fn ask(tool: &'static str, args: &[&str], dir: &Path, tools: Tools<'_>) -> Result<String, BuildError> {
    let ran = tools.run(fetching(tool, dir).args(args), &mut |_| ()).map_err(not_run(tool))?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err(BuildError::NoTool { tool, reason: ran.stderr.trim().to_owned() }),
    }
}

/// Why a tool did not come to its end.
pub(crate) fn not_run(tool: &'static str) -> impl FnOnce(ToolError) -> BuildError {
    move |error| match error {
        ToolError::NotStarted(reason) => BuildError::NoTool { tool, reason },
        ToolError::NotGuarded(_) => BuildError::NoTools(error),
        ToolError::Stopped => BuildError::Stopped,
    }
}
