//! The Python interpreter of a project, and what of it matters for results.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_platform::{FileStamp, write_whole};
use serde::{Deserialize, Serialize};

use crate::PythonError;

/// Prints what identifies an interpreter. Its build is in `sys.version`.
const PROBE: &str = "import json, platform, sys; print(json.dumps({
    'version': platform.python_version(), 'build': sys.version, 'implementation': sys.implementation.cache_tag,
    'platform': f'{sys.platform}-{platform.machine()}', 'prefix': sys.base_prefix}))";

/// An interpreter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interpreter {
    /// Its file.
    #[serde(default)]
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
    /// The interpreter for a project: the one that was picked before, as long as nothing that decides it has changed. Picking
    /// takes a fifth of a second. What was picked is kept in a file.
    ///
    /// # Errors
    /// If there is no uv, no interpreter that fits, or it does not run.
    pub(crate) fn find(dir: &Path, kept: &Path) -> Result<Self, PythonError> {
        let known = std::fs::read(kept).ok().and_then(|bytes| serde_json::from_slice::<Picked>(&bytes).ok());
        if let Some(known) = known
            && FileStamp::of(&known.interpreter.path).is_ok_and(|stamp| stamp == known.stamp)
        {
            return Ok(known.interpreter);
        }
        let interpreter = Self::pick(dir)?;
        let stamp = FileStamp::of(&interpreter.path).map_err(PythonError::io(&interpreter.path))?;
        let picked = Picked { interpreter, stamp };
        // What can't be kept is picked again next time.
        let _ = serde_json::to_vec(&picked).map(|bytes| write_whole(kept, &bytes));
        Ok(picked.interpreter)
    }

    /// The interpreter that uv picks: what `.python-version` and `requires-python` ask for.
    fn pick(dir: &Path) -> Result<Self, PythonError> {
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

/// What was picked, and whether it is still the same.
#[derive(Serialize, Deserialize)]
struct Picked {
    interpreter: Interpreter,
    stamp: FileStamp,
}

/// The name of the file that keeps which interpreter was picked for a project: everything that decides it is in the name,
/// but for what is installed.
pub(crate) fn picked_name(dir: &Path) -> String {
    let mut hasher = KeyHasher::new("flowc python interpreter 1");
    for name in ["pyproject.toml", ".python-version"] {
        hasher.bytes(&std::fs::read(dir.join(name)).unwrap_or_default());
    }
    for name in ["PATH", "FLOWC_UV", "UV_PYTHON", "UV_PYTHON_PREFERENCE"] {
        hasher.bytes(std::env::var_os(name).unwrap_or_default().as_encoded_bytes());
    }
    format!("interpreter-{}.json", StageDigest::new(hasher.finish()).short())
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
