//! Other programs that read and write what flowc does, in Python: pyarrow and DuckDB in scripts of `tests/oracle`, clients of servers in
//! `tests/clients`, delta-rs in `tests/delta`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::Project;

/// A Python environment with what the `uv.lock` of a folder of `tests` pins, and the scripts there.
pub(crate) struct Oracle {
    name: &'static str,
    folder: PathBuf,
}

impl Oracle {
    /// Readers and writers of files. The environment is made by `uv`, the first time.
    pub(crate) fn new() -> Self {
        Self::of("oracle")
    }

    /// Clients of servers.
    pub(crate) fn clients() -> Self {
        Self::of("clients")
    }

    /// delta-rs.
    pub(crate) fn delta() -> Self {
        Self::of("delta")
    }

    fn of(name: &'static str) -> Self {
        Self { name, folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name) }
    }

    /// A part of a script in a project, which is told in words.
    pub(crate) fn command(&self, project: &Project, script: &str, part: &str) -> Command {
        let uv = std::env::var_os("FLOWC_UV").unwrap_or("uv".into());
        let mut command = project.program(uv);
        command.args(["run", "--quiet", "--locked", "--project"]).arg(&self.folder);
        command.arg("python").arg(self.folder.join(script)).args(part.split(' '));
        command.env("UV_PROJECT_ENVIRONMENT", Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.name));
        command
    }

    /// Runs a part of a script. One that fails fails the test with what it said.
    pub(crate) fn run(&self, project: &Project, script: &str, part: &str) {
        let output = self.command(project, script, part).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{script} {part}: {said}");
    }
}
