//! The folder of a Python stage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_platform::{SourceTree, TreeHasher};

use crate::interpreter::picked_name;
use crate::{Interpreter, PythonError, sdk};

/// Folders that hold no sources.
const IGNORED: &[&str] =
    &[".git", ".flowc", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".ipynb_checkpoints"];

/// A folder with a `pyproject.toml`, a `uv.lock` and modules, and the interpreter that runs them.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// What runs it.
    pub interpreter: Interpreter,
    /// The file that keeps which interpreter was picked.
    picked: String,
    tree: SourceTree,
    lock: [u8; 32],
}

impl Project {
    /// Reads the folder. Which interpreter was picked is kept in `home`.
    ///
    /// # Errors
    /// If it is no project, its packages are not pinned, or there is no interpreter for it.
    pub fn find(dir: &Path, home: &Path) -> Result<Self, PythonError> {
        let manifest = dir.join("pyproject.toml");
        if !manifest.is_file() {
            return Err(PythonError::NotAProject { dir: dir.to_owned() });
        }
        let dir = dir.canonicalize().map_err(PythonError::io(dir))?;
        let lock = dir.join("uv.lock");
        if !lock.is_file() {
            return Err(PythonError::NoLock { dir });
        }
        let mut tree = TreeHasher::new(IGNORED);
        tree.directory(&dir)?;
        let mut pins = TreeHasher::new(IGNORED);
        pins.file("uv.lock", &lock)?;
        pins.file("pyproject.toml", &manifest)?;
        let picked = picked_name(&dir);
        let interpreter = Interpreter::find(&dir, &home.join(&picked))?;
        Ok(Self { interpreter, picked, tree: tree.finish(), lock: pins.finish().digest, dir })
    }

    /// The name of its environment: equal for equal packages under an equal interpreter.
    pub fn environment(&self) -> String {
        let Interpreter { build, implementation, platform, prefix, .. } = &self.interpreter;
        let mut hasher = KeyHasher::new("flowc python environment 1");
        hasher.digest(&self.lock);
        for part in [build, implementation, platform] {
            hasher.bytes(part.as_bytes());
        }
        // Not in any key of results: it says only where this machine's interpreter lies.
        hasher.bytes(prefix.as_os_str().as_encoded_bytes());
        blake3_hex(hasher.finish())
    }

    /// The names of what is kept for it among environments.
    pub fn kept(&self) -> [String; 2] {
        [self.environment(), self.picked.clone()]
    }

    /// Identity of one of its stages: its sources, its packages, the interpreter, and the SDK that serves it.
    pub fn digest(&self, entry: &str) -> StageDigest {
        let Interpreter { build, implementation, platform, .. } = &self.interpreter;
        let mut hasher = KeyHasher::new("flowc python stage 1");
        hasher.digest(&self.tree.digest).bytes(entry.as_bytes()).digest(&sdk::digest());
        for part in [build, implementation, platform] {
            hasher.bytes(part.as_bytes());
        }
        StageDigest::new(hasher.finish())
    }

    /// What identifies its runner, for people; all of it is in the digest.
    pub fn runner(&self) -> BTreeMap<String, String> {
        let Interpreter { version, platform, .. } = &self.interpreter;
        let packages = blake3_hex(self.lock)[..12].to_owned();
        let parts = [("python", version.clone()), ("platform", platform.clone()), ("packages", packages)];
        parts.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Files and folders whose stamps say "unchanged".
    pub fn evidence(&self) -> Vec<PathBuf> {
        let SourceTree { files, directories, .. } = &self.tree;
        files.iter().chain(directories).cloned().chain([self.interpreter.path.clone()]).collect()
    }
}

fn blake3_hex(digest: [u8; 32]) -> String {
    StageDigest::new(digest).to_string()
}
