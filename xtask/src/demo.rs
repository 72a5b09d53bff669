//! Wordcount over real text, twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{corpus, process, setup};

/// `cargo xtask demo --help`.
pub(crate) const HELP: &str = "\
Sets up what is missing, builds flowc without its Cargo features, gathers the text, and runs pipelines/wordcount
twice in a fresh store: the second run comes from the cache.

Usage: cargo xtask demo
";

/// Runs the demo.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::targets(workspace)?;
    let demo = Demo::prepare(workspace)?;
    corpus::run(workspace)?;
    println!("\nThe first run reads all of it, tokenises and counts:\n");
    let first = demo.flowc(&["run"])?;
    println!("\nThe second run has nothing to do:\n");
    let second = demo.flowc(&["run"])?;
    println!("\nThe words that are met most often:\n");
    demo.flowc(&["show", "frequent"])?;
    println!("\nfirst run {first:.3} s, second run {second:.3} s");
    println!("the result: {}", demo.pipeline.join("out/counts.parquet").display());
    println!("this flowc has stages in WebAssembly over files; `cargo xtask install` builds all of it");
    Ok(())
}

struct Demo {
    flowc: PathBuf,
    pipeline: PathBuf,
    store: PathBuf,
}

impl Demo {
    /// A fresh store, and no results of earlier runs.
    fn prepare(workspace: &Workspace) -> Result<Self> {
        let flowc = workspace.build_lean()?;
        let (pipeline, store) = (workspace.root.join("pipelines/wordcount"), workspace.root.join("target/demo/store"));
        remove(&store)?;
        remove(&pipeline.join("out"))?;
        Ok(Self { flowc, pipeline, store })
    }

    /// Runs flowc on the pipeline; gives the seconds that it took.
    fn flowc(&self, arguments: &[&str]) -> Result<f64> {
        let mut command = Command::new(&self.flowc);
        command.args(arguments).arg(self.pipeline.join("flow.kdl")).arg("--store").arg(&self.store);
        let start = Instant::now();
        process::run(&mut command)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
