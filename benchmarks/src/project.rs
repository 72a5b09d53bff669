//! Projects that are measured: a folder with a pipeline, and a store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Bench;
use super::measure::{Usage, measure};
use xtask::process;

/// A pipeline in a folder of its own.
pub(super) struct Project {
    flowc: PathBuf,
    folder: PathBuf,
    store: PathBuf,
}

impl Project {
    /// An empty project with a store of its own.
    pub(super) fn new(bench: &Bench<'_>, name: &str) -> Result<Self> {
        let folder = bench.folder.join(name);
        empty(&folder)?;
        Ok(Self { flowc: bench.flowc.clone(), store: bench.folder.join(format!("{name}.store")), folder })
    }

    /// The project's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The store's folder.
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// Writes a file, in folders that are made.
    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// flowc in the project, with none of the tester's settings.
    pub(super) fn command_for(&self, arguments: &[&str]) -> Command {
        self.command(&self.flowc, arguments)
    }

    /// `flowc run` with another binary.
    pub(super) fn run_of(&self, flowc: &Path) -> Command {
        self.command(flowc, &["run", "--quiet"])
    }

    fn command(&self, flowc: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(flowc);
        command.current_dir(&self.folder).args(arguments).arg("--store").arg(&self.store);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["FLOWC_", "OTEL_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Runs it, and measures.
    pub(super) fn run(&self) -> Result<Usage> {
        measure(&mut self.run_of(&self.flowc))
    }

    /// Runs it till there is nothing more to do or to note.
    pub(super) fn settle(&self) -> Result<()> {
        for _ in 0..3 {
            settled();
            self.run()?;
        }
        Ok(())
    }

    /// Runs it; gives the events.
    pub(super) fn events(&self) -> Result<Vec<Value>> {
        let text = process::output(&mut self.command_for(&["run", "--json"]))?;
        text.lines().map(|line| serde_json::from_str(line).context("an event that is no JSON")).collect()
    }

    /// Deletes what sinks wrote.
    pub(super) fn forget_outputs(&self) -> Result<()> {
        remove(&self.folder.join("out"))
    }

    /// Forgets all results and outputs.
    pub(super) fn forget_all(&self) -> Result<()> {
        self.forget_outputs()?;
        remove(&self.store)
    }

    /// Forgets all results and outputs, and takes what another project's store holds: compiled components.
    pub(super) fn take_store_of(&self, other: &Project) -> Result<()> {
        self.forget_all()?;
        measure(Command::new("cp").arg("-a").arg(&other.store).arg(&self.store)).map(drop)
    }
}

/// The file that is read by runs that only have components compiled.
pub(super) const FEW: &str = "few.csv";

/// A pipeline that runs with its results and outputs forgotten, and its components compiled.
pub(super) struct Cold {
    project: Project,
    warm: Project,
}

impl Cold {
    /// A pipeline. `few`: one with the same components over [`FEW`], and what that file holds.
    pub(super) fn new(bench: &Bench<'_>, name: &str, pipeline: String, few: (String, String)) -> Result<Self> {
        let (project, warm) = (Project::new(bench, name)?, Project::new(bench, &format!("{name}-warm"))?);
        project.write("flow.kdl", pipeline)?;
        warm.write("flow.kdl", few.0)?;
        warm.write(FEW, few.1)?;
        warm.run()?;
        Ok(Self { project, warm })
    }

    /// The project's folder.
    pub(super) fn folder(&self) -> &Path {
        self.project.folder()
    }

    /// Has components compiled as they are for long runs, which a short one does not wait for.
    pub(super) fn compile(&self) -> Result<()> {
        self.cold()?;
        process::run(Command::new("cp").arg("-a").arg(self.project.store().join("cwasm")).arg(self.warm.store()))
    }

    /// A run in a store without results.
    pub(super) fn cold(&self) -> Result<Usage> {
        self.project.take_store_of(&self.warm)?;
        self.project.run()
    }
}

/// Waits till stamps of files written before can be trusted.
pub(super) fn settled() {
    thread::sleep(Duration::from_millis(50));
}

/// An empty folder.
pub(super) fn empty(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(folder.display().to_string()),
        _ => Ok(()),
    }
}

/// Rows of two numbers and a text, as CSV.
pub(super) fn rows_of_three(count: u64) -> String {
    let row = |n: u64| {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        format!("{n},{mixed},word {}\n", mixed % 100_003)
    };
    format!("n,m,t\n{}", (0..count).map(row).collect::<String>())
}

/// A condition that every line meets.
const KEEP_ALL: &str = "config { where { column \"line\"; op \"not-null\" } }";

/// Stages that do nothing, each with a source and a sink file of its own.
pub(super) fn wide(project: &Project, stages: usize) -> Result<()> {
    let mut text = String::new();
    for i in 0..stages {
        project.write(&format!("in/{i}.txt"), format!("line {i}\n"))?;
        text.push_str(&format!(
            "source \"s{i}\" {{ files \"in/{i}.txt\" }}\n\
             stage \"t{i}\" {{ in \"s{i}\"; std \"filter@1\"; {KEEP_ALL} }}\n\
             sink \"o{i}\" {{ in \"t{i}\"; file \"out/{i}.txt\"; format \"lines\" }}\n"
        ));
    }
    project.write("flow.kdl", text)
}

/// A chain of stages that do nothing, from one source file to one sink file.
pub(super) fn chain(project: &Project, stages: usize, source: &str) -> Result<()> {
    let mut text = format!("source \"t0\" {{ files \"{source}\" }}\n");
    for i in 1..=stages {
        let above = i - 1;
        text.push_str(&format!("stage \"t{i}\" {{ in \"t{above}\"; std \"filter@1\"; {KEEP_ALL} }}\n"));
    }
    text.push_str(&format!("sink \"out\" {{ in \"t{stages}\"; file \"out/out.arrow\" }}\n"));
    project.write("flow.kdl", text)
}
