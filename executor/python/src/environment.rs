//! Environments: the packages of a project, installed once and kept.

use std::path::{Path, PathBuf};

use flowc_code::{Snapshots, Tools};
use flowc_platform::{lock_exclusive, rename_new, sync_filesystem};

use crate::built::{self, Notes};
use crate::removal::remove;
use crate::seal::Seal;
use crate::uv::{no_uv, uv};
use crate::{Project, PythonError, sdk};

/// A folder of environments, shared by several processes. Each is named after what is in it.
#[derive(Clone, Debug)]
pub struct Environments {
    /// The folder.
    pub home: PathBuf,
    /// Copies of projects as they were hashed.
    pub snapshots: Snapshots,
}

impl Environments {
    /// Where the environment of a project is, or would be.
    pub fn place(&self, project: &Project) -> PathBuf {
        self.home.join(project.environment())
    }

    /// The environment of a project, if it is there as it was installed.
    pub fn kept(&self, project: &Project) -> Option<PathBuf> {
        Some(self.place(project)).filter(|place| self.is_of(project) && Seal::stands(place))
    }

    /// Whether what is installed is what the project's stages take it for.
    fn is_of(&self, project: &Project) -> bool {
        self.notes(project).variant() == project.variant()
    }

    fn notes(&self, project: &Project) -> Notes {
        Notes::of(&self.home, &project.environment())
    }

    /// Whether a name in the folder is that of an environment with all its packages.
    pub fn is_whole(name: &str) -> bool {
        name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Whether a name in the folder is that of what this version of flowc needs for any project: its SDK.
    pub fn is_sdk(name: &str) -> bool {
        name == sdk::folder()
    }

    /// Environments, and folders of this flowc's SDK, that are not as they were made, by all of their bytes. Those without a seal are
    /// of an earlier form, and never used.
    pub fn damaged(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.home).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
        let is_damaged = |name: &str, path: &Path| match Self::is_sdk(name) {
            true => !sdk::is_whole(path),
            false => Self::is_whole(name) && Seal::is_broken(path),
        };
        named.filter(|(name, path)| is_damaged(name, path)).map(|(_, path)| path).collect()
    }

    /// Installs the packages of a project, from a copy of what was hashed. What uv says goes to `log`, line by line.
    ///
    /// # Errors
    /// If uv fails, the folder can't be written, or the packages became others than the project's stages take them for: these are
    /// noted, and belong to the project when it is read again.
    pub fn install(
        &self,
        project: &Project,
        tools: Tools<'_>,
        log: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, PythonError> {
        let name = project.environment();
        std::fs::create_dir_all(&self.home).map_err(PythonError::io(&self.home))?;
        let lock = self.home.join(format!("{name}.lock"));
        let _held = lock_exclusive(&lock, true).map_err(PythonError::io(&lock))?;
        if let Some(place) = self.kept(project) {
            return Ok(place);
        }
        let rebuilt = || PythonError::Rebuilt { dir: project.dir.clone() };
        if !self.is_of(project) {
            return Err(rebuilt());
        }
        // Under a name of its own until it is whole: what a kill leaves is made again. Packages know where they were built, so
        // that the copy has a name that depends on nothing but what is in it.
        let (building, place) = (self.home.join(format!("{name}.building")), self.place(project));
        let copy = self.home.join(format!("{name}.sources"));
        [&building, &copy, &place].into_iter().try_for_each(|folder| remove(folder))?;
        std::fs::create_dir_all(&copy).map_err(PythonError::io(&copy))?;
        self.snapshots.copy(project.tree(), |path| project.is_installed(path), &copy)?;
        let dir = project.within(&copy);
        std::fs::create_dir_all(&dir).map_err(PythonError::io(&dir))?;
        // People know the files by where they were copied from.
        let (copied, base) = (copy.to_string_lossy(), project.tree().base.to_string_lossy());
        let shown = |text: &str| text.replace(&*copied, &base);
        sync(project, tools, (&dir, &building), &mut |line| log(&shown(line))).map_err(|error| match error {
            PythonError::Install { dir, output } => PythonError::Install { dir, output: shown(&output) },
            other => other,
        })?;
        remove(&copy)?;
        // Before it has its name: under that it is what the notes say.
        let became = built::digest(&building).map_err(PythonError::io(&building))?;
        self.notes(project).note(became).map_err(PythonError::io(&self.home))?;
        Seal::write(&building).map_err(PythonError::io(&building))?;
        sync_filesystem(&building).map_err(PythonError::io(&building))?;
        rename_new(&building, &place).map_err(PythonError::io(&place))?;
        if self.is_of(project) { Ok(place) } else { Err(rebuilt()) }
    }
}

/// `uv sync` into a folder: what the lock file says, and nothing else. The project itself is not installed; its modules
/// are read from its snapshot. Packages that lie on this machine are built from their copies, never taken from uv's cache,
/// which goes by the times of few of their files.
fn sync(
    project: &Project,
    tools: Tools<'_>,
    (dir, place): (&Path, &Path),
    log: &mut dyn FnMut(&str),
) -> Result<(), PythonError> {
    let mut command = uv(dir);
    command.args(["sync", "--locked", "--no-dev", "--no-install-project", "--no-editable", "--compile-bytecode"]);
    command.args(project.packages().iter().flat_map(|package| ["--refresh-package", package]));
    command.arg("--python").arg(&project.interpreter.path).env("UV_PROJECT_ENVIRONMENT", place);
    let mut said = Said::default();
    let ran = tools.run(&mut command, &mut |line| said.hear(line, log)).map_err(no_uv)?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(PythonError::Install { dir: project.dir.clone(), output: said.output() }),
    }
}

/// What uv said. What it does is handed on at once; what it fails for is told once, in the error.
#[derive(Default)]
struct Said {
    done: String,
    failure: String,
}

impl Said {
    fn hear(&mut self, line: &str, log: &mut dyn FnMut(&str)) {
        let fails = !self.failure.is_empty() || line.starts_with("error") || line.trim_start().starts_with('\u{d7}');
        if !fails {
            log(line);
        }
        let output = if fails { &mut self.failure } else { &mut self.done };
        output.push_str(line);
        output.push('\n');
    }

    fn output(self) -> String {
        let output = if self.failure.is_empty() { self.done } else { self.failure };
        output.trim_end().to_owned()
    }
}
