//! The Python interpreter of a project, and what of it matters for results.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::PythonError;

/// Prints what identifies an interpreter. Its build is in `sys.version`.
const PROBE: &str = "import json, platform, sys; print(json.dumps({
    'version': platform.python_version(), 'build': sys.version, 'implementation': sys.implementation.cache_tag,
    'platform': f'{sys.platform}-{platform.machine()}', 'prefix': sys.base_prefix}))";

/// An interpreter.
#[derive(Clone, Debug, Deserialize)]
pub struct Interpreter {
    /// Its file.
    #[serde(skip)]
    pub path: PathBuf,
    /// `3.11.7`.
    pub version: String,
    /// Version, build date and compiler.
    pub build: String,
    /// `cpython-311`.
    pub implementation: String,
    /// `linux-x86_64`.
    pub platform: String,
    /// The folder of its library.
    pub prefix: PathBuf,
}

impl Interpreter {
    /// The interpreter that uv picks for a project: what `.python-version` and `requires-python` ask for.
    ///
    /// # Errors
    /// If there is no uv, no interpreter that fits, or it does not run.
    pub fn find(dir: &Path) -> Result<Self, PythonError> {
        let mut uv = uv();
        uv.args(["python", "find", "--system", "--no-progress", "--color", "never", "--project"]).arg(dir);
        let none = |reason: String| PythonError::NoInterpreter { dir: dir.to_owned(), reason };
        let path = PathBuf::from(said(&mut uv).map_err(no_uv)?.map_err(none)?.trim());
        let mut probe = Command::new(&path);
        probe.args(["-I", "-c", PROBE]);
        let answer = said(&mut probe).map_err(|error| none(format!("{}: {error}", path.display())))?.map_err(none)?;
        let found: Self = serde_json::from_str(&answer).map_err(|error| none(error.to_string()))?;
        Ok(Self { path, ..found })
    }
}

/// The command `uv`: the one that `FLOWC_UV` names, or the first on the `PATH`.
pub(crate) fn uv() -> Command {
    let mut command = Command::new(std::env::var_os("FLOWC_UV").unwrap_or_else(|| "uv".into()));
    // An environment that is active is not the stage's.
    command.env_remove("VIRTUAL_ENV").env_remove("UV_PROJECT_ENVIRONMENT").stdin(Stdio::null());
    command
}

/// That uv does not start.
pub(crate) fn no_uv(error: std::io::Error) -> PythonError {
    PythonError::NoUv { reason: error.to_string() }
}

/// What a command prints: on standard output if it succeeds, else what it complains of.
fn said(command: &mut Command) -> std::io::Result<Result<String, String>> {
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}
