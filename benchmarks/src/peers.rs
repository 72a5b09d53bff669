//! Programs that flowc is measured against.

pub(super) mod flink;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Bench;
use xtask::process;

/// Fails with what to do if ninja is not there.
pub(super) fn need_ninja() -> Result<()> {
    if !process::succeeds(Command::new("ninja").arg("--version")) {
        bail!("there is no `ninja` to measure against; Debian has it: `apt-get install ninja-build`");
    }
    Ok(())
}

/// What a program says of its version.
pub(super) fn version(program: &str) -> Result<String> {
    Ok(process::output(Command::new(program).arg("--version"))?.trim().to_owned())
}

/// A Python with DuckDB and Polars, in a folder that is kept.
pub(super) struct Python {
    python: PathBuf,
    folder: PathBuf,
}

/// Counts words by SQL: files, output.
const DUCKDB: &str = include_str!("peers/duckdb_words.py");
/// Counts words by data frame: files, output.
const POLARS: &str = include_str!("peers/polars_words.py");
/// Counts and sums in windows by SQL: files, output, a file to compare.
const WINDOWS: &str = include_str!("peers/duckdb_windows.py");
/// Aggregates of groups by SQL: file, output, a file to compare.
const GROUPS: &str = include_str!("peers/duckdb_groups.py");
/// Compares results of windows: flowc's file, the folder of Flink's.
const SAME_WINDOWS: &str = include_str!("peers/same_windows.py");

impl Python {
    /// Installs what is missing.
    pub(super) fn prepare(bench: &Bench<'_>) -> Result<Self> {
        let venv = bench.workspace.root.join("target/bench/venv");
        let python = venv.join("bin/python");
        if !process::succeeds(Command::new(&python).args(["-c", "import duckdb, polars"])) {
            eprintln!("setup: installing DuckDB and Polars below target/bench");
            process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
                .context("python3 with its venv module is needed (Debian: `apt-get install python3-venv`)")?;
            process::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "duckdb", "polars"]))?;
        }
        let python = Self { python, folder: bench.folder.clone() };
        std::fs::write(python.folder.join("duckdb_words.py"), DUCKDB)?;
        std::fs::write(python.folder.join("polars_words.py"), POLARS)?;
        std::fs::write(python.folder.join("duckdb_windows.py"), WINDOWS)?;
        std::fs::write(python.folder.join("same_windows.py"), SAME_WINDOWS)?;
        std::fs::write(python.folder.join("duckdb_groups.py"), GROUPS)?;
        Ok(python)
    }

    /// Versions of both.
    pub(super) fn versions(&self) -> Result<String> {
        let code = "import duckdb, polars; print(f'DuckDB {duckdb.__version__}, Polars {polars.__version__}')";
        Ok(process::output(Command::new(&self.python).args(["-c", code]))?.trim().to_owned())
    }

    /// Counts and sums events by minute and key: files, output.
    pub(super) fn windows(&self, pattern: &str, output: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join("duckdb_windows.py")).arg(pattern).arg(output);
        command
    }

    /// Aggregates groups of rows: file, output.
    pub(super) fn groups(&self, file: &Path, output: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join("duckdb_groups.py")).arg(file).arg(output);
        command
    }

    /// Fails unless a file of flowc's windows and a folder of Flink's have the same rows.
    pub(super) fn compare_windows(&self, ours: &Path, theirs: &Path) -> Result<()> {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join("same_windows.py")).arg(ours).arg(theirs);
        process::output(&mut command).map(drop)
    }

    /// One of the scripts with the text's pattern and the output.
    pub(super) fn words(&self, script: &str, pattern: &str, output: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join(format!("{script}_words.py"))).args([pattern, output]).current_dir(&self.folder);
        command
    }
}
