//! The Python interpreter of a project, and what of it matters for results.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use flowc_code::{Evidence, ToolError, Tools};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_platform::{FileStamp, read_sealed, write_sealed};
use serde::{Deserialize, Serialize};

use crate::PythonError;
use crate::uv::{PICKING, no_uv, uv, within};

/// Prints what identifies an interpreter. Its build is in `sys.version`.
const PROBE: &str = "import json, platform, sys; print(json.dumps({
    'version': platform.python_version(), 'build': sys.version, 'implementation': sys.implementation.cache_tag,
    'platform': f'{sys.platform}-{platform.machine()}', 'prefix': sys.base_prefix}))";

/// Files that ask for a version, in the project's folder and those above it.
const ASKING: [&str; 2] = [".python-version", ".python-versions"];

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
    /// takes a fifth of a second. What was picked is kept in a file of `home`.
    ///
    /// # Errors
    /// If there is no uv, no interpreter that fits, or it does not run.
    pub(crate) fn find(search: &Search, home: &Path, tools: Tools<'_>) -> Result<Self, PythonError> {
        let kept = home.join(&search.name);
        let known = read_sealed(&kept).and_then(|bytes| serde_json::from_slice::<Picked>(&bytes).ok());
        if let Some(known) = known.filter(Picked::stands) {
            return Ok(known.interpreter);
        }
        let began = SystemTime::now();
        let interpreter = Self::pick(&search.dir, tools)?;
        let paths = search.places.iter().chain([&interpreter.path]);
        let stamps: Vec<_> = paths.map(|path| (path.clone(), FileStamp::of(path).ok())).collect();
        // What can't be kept, or may change unseen, is picked again next time.
        if !stamps.iter().any(|(_, stamp)| stamp.is_some_and(|stamp| stamp.is_racy(began))) {
            let picked = Picked { interpreter: interpreter.clone(), stamps };
            let _ = serde_json::to_vec(&picked).map(|bytes| write_sealed(&kept, &bytes));
        }
        Ok(interpreter)
    }

    /// The interpreter that uv picks: what `UV_PYTHON`, `.python-version` and `requires-python` ask for.
    fn pick(dir: &Path, tools: Tools<'_>) -> Result<Self, PythonError> {
        let mut uv = uv(dir);
        uv.args(["python", "find", "--system"]).args(std::env::var_os("UV_PYTHON").filter(|asked| !asked.is_empty()));
        let none = |reason: String| PythonError::NoInterpreter { dir: dir.to_owned(), reason };
        let path = PathBuf::from(said(&mut uv, tools).map_err(no_uv)?.map_err(none)?.trim());
        let mut probe = within(&path, dir);
        probe.args(["-I", "-c", PROBE]);
        let answer = said(&mut probe, tools).map_err(|error| match error {
            ToolError::NotStarted(reason) => none(format!("{}: {reason}", path.display())),
            other => no_uv(other),
        })?;
        let answer = answer.map_err(none)?;
        let found: Self = serde_json::from_str(&answer).map_err(|error| none(error.to_string()))?;
        Ok(Self { path, ..found })
    }
}

/// What was picked, and whether it would be picked again.
#[derive(Serialize, Deserialize)]
struct Picked {
    interpreter: Interpreter,
    stamps: Vec<(PathBuf, Option<FileStamp>)>,
}

impl Picked {
    fn stands(&self) -> bool {
        self.stamps.iter().all(|(path, stamp)| FileStamp::of(path).ok() == *stamp)
    }
}

/// All that decides which interpreter is picked for a project.
pub(crate) struct Search {
    dir: PathBuf,
    /// The file that keeps what was picked: it is named after variables and what files ask for.
    pub(crate) name: String,
    /// Folders in which interpreters are looked for.
    places: Vec<PathBuf>,
    /// By what a later run sees that the same one would be picked.
    pub(crate) evidence: Evidence,
}

impl Search {
    /// Looks at what a project asks for. `pinned` are files of it that name versions.
    pub(crate) fn new(dir: &Path, pinned: &[PathBuf]) -> Self {
        let mut evidence = Evidence::default();
        let mut hasher = KeyHasher::new("flowc python interpreter 2");
        for name in PICKING {
            let value = evidence.variable(name);
            hasher.number(u64::from(value.is_some())).bytes(value.unwrap_or_default().as_encoded_bytes());
        }
        let asking = dir.ancestors().flat_map(|above| ASKING.map(|name| above.join(name)));
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let home = std::env::home_dir().unwrap_or_default();
        let pyenv = variable("PYENV_ROOT").unwrap_or_else(|| home.join(".pyenv"));
        let config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let own = [pyenv.join("version"), config.join("uv/.python-version"), config.join("uv/uv.toml")];
        for path in asking.chain(own).chain(pinned.iter().cloned()) {
            evidence.look(&path);
            hasher.bytes(&std::fs::read(&path).unwrap_or_default());
        }
        let data = variable("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
        let managed = variable("UV_PYTHON_INSTALL_DIR").unwrap_or_else(|| data.join("uv/python"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let places: Vec<_> = places.chain([managed, pyenv.join("versions")]).collect();
        places.iter().for_each(|place| evidence.look(place));
        let name = format!("interpreter-{}.json", StageDigest::new(hasher.finish()).short());
        Self { dir: dir.to_owned(), name, places, evidence }
    }
}

/// What a command prints: on standard output if it succeeds, else what it complains of.
fn said(command: &mut Command, tools: Tools<'_>) -> Result<Result<String, String>, ToolError> {
    let ran = tools.run(command, &mut |_| ())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(ran.stderr.trim().to_owned()) })
}
