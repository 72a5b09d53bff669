//! Other readers and writers of files: pyarrow and DuckDB, in scripts of `tests/oracle`.

use std::path::{Path, PathBuf};

use super::project::Project;

/// A Python environment with what `tests/oracle/uv.lock` pins.
pub(crate) struct Oracle {
    folder: PathBuf,
}

impl Oracle {
    /// The environment is made by `uv`, the first time.
    pub(crate) fn new() -> Self {
        Self { folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle") }
    }

    /// Runs a part of a script in a project, which is told in words. A script that fails fails the test with what it said.
    pub(crate) fn run(&self, project: &Project, script: &str, part: &str) {
        let uv = std::env::var_os("FLOWC_UV").unwrap_or("uv".into());
        let mut command = project.program(uv);
        command.args(["run", "--quiet", "--locked", "--project"]).arg(&self.folder);
        command.arg("python").arg(self.folder.join(script)).args(part.split(' '));
        command.env("UV_PROJECT_ENVIRONMENT", Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle"));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{script} {part}: {said}");
    }
}
