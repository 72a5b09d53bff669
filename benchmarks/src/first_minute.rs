//! A new project, and its first run in a store that does not exist yet.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::measure::{Usage, by_turns, cpu, measure};
use super::project;
use super::report::{Finding, Section, row};

const ROUNDS: usize = 9;

/// `flowc init` and the first `flowc run`, with and without compiled components.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let against = bench.against.as_deref();
    let ours = FirstMinute::new(bench, &bench.flowc, "ours");
    let theirs = FirstMinute::new(bench, against.unwrap_or(&bench.flowc), "theirs");
    ours.empty_store()?;
    let [cold, warm, other] =
        by_turns(ROUNDS, [&mut || ours.empty_store(), &mut || ours.same_store(), &mut || theirs.empty_store()])?;
    let [cold, warm, other] = [cold, warm, other].map(|usages| cpu(&usages));
    let seconds = |seconds: f64| format!("{seconds:.2} s");
    let mut rows = vec![
        row(["in a store that does not exist yet".to_owned(), seconds(cold)]),
        row(["in a store that has the compiled components".to_owned(), seconds(warm)]),
    ];
    let mut findings = vec![Finding::figure("compiling components, of the whole", format!("{:.2}", 1.0 - warm / cold))];
    if against.is_some() {
        rows.push(row(["the other binary, in a store that does not exist yet".to_owned(), seconds(other)]));
        findings.push(Finding::at_most("at most a quarter of the other binary's", cold / other, 0.25, "x"));
    }
    Ok(Section {
        title: "The first minute".to_owned(),
        text: "Processor time of `flowc init x`, `cd x` and `flowc run`: two text files, `tokenize@1` and `count@1`."
            .to_owned(),
        head: row(["run", "processor time"]),
        rows,
        findings,
    })
}

/// A binary, and the folder in which it makes a project.
struct FirstMinute<'a> {
    flowc: &'a Path,
    folder: PathBuf,
}

impl<'a> FirstMinute<'a> {
    fn new(bench: &Bench<'_>, flowc: &'a Path, name: &str) -> Self {
        Self { flowc, folder: bench.folder.join(name) }
    }

    fn empty_store(&self) -> Result<Usage> {
        project::empty(&self.folder)?;
        self.init_and_run()
    }

    /// Forgets the project and its results, but not what was compiled for them.
    fn same_store(&self) -> Result<Usage> {
        let compiled = self.folder.join("store/cwasm");
        let kept = self.folder.with_extension("cwasm");
        project::empty(&kept)?;
        std::fs::rename(&compiled, kept.join("cwasm"))?;
        project::empty(&self.folder.join("store"))?;
        std::fs::rename(kept.join("cwasm"), &compiled)?;
        project::empty(&self.folder.join("x"))?;
        std::fs::remove_dir(self.folder.join("x"))?;
        self.init_and_run()
    }

    fn init_and_run(&self) -> Result<Usage> {
        let command = |folder: &Path, arguments: &[&str]| {
            let mut command = Command::new(self.flowc);
            command.current_dir(folder).args(arguments).env("HOME", &self.folder);
            measure(&mut command)
        };
        let init = command(&self.folder, &["init", "x"])?;
        let run = command(&self.folder.join("x"), &["run", "--store", "../store"])?;
        Ok(Usage { wall: init.wall + run.wall, cpu: init.cpu + run.cpu, peak: init.peak.max(run.peak) })
    }
}
