//! Wordcount over 1 GB of text.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::measure::{Usage, by_turns, cpu, measure, peak, wall};
use super::peers::Python;
use super::project::Project;
use super::report::{Finding, Section, row};
use super::{Bench, text};
use xtask::process;

const FILES: usize = 16;
const BYTES: usize = 62_500_000;
const ROUNDS: usize = 3;

const PIPELINE: &str = "source \"text\" { files \"in/*.txt\" }\n\
    stage \"words\" { in \"text\"; std \"tokenize@1\"; config { column \"line\" } }\n\
    stage \"counts\" { in \"words\"; std \"count@1\"; config { by \"word\" } }\n\
    sink \"counts\" { in \"counts\"; file \"out/counts.parquet\" }\n";

/// Against DuckDB, Polars and a native program.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let contest = Contest::prepare(bench)?;
    contest.check()?;
    let [flowc, fresh, native, duckdb, polars] = by_turns(
        ROUNDS,
        [
            &mut || contest.flowc(),
            &mut || contest.flowc_with_nothing(),
            &mut || measure(&mut contest.native()),
            &mut || measure(&mut contest.peer("duckdb")),
            &mut || measure(&mut contest.peer("polars")),
        ],
    )?;
    let rate = |usages: &[Usage]| (FILES * BYTES) as f64 / 1e6 / cpu(usages);
    let line = |name: &str, usages: &[Usage]| {
        let memory = format!("{:.0} MB", peak(usages) as f64 / 1e6);
        let rate = format!("{:.0} MB/s", rate(usages));
        row([name.to_owned(), format!("{:.1} s", wall(usages)), format!("{:.1} s", cpu(usages)), rate, memory])
    };
    let faster = rate(&duckdb).max(rate(&polars));
    Ok(Section {
        title: "Word count over 1 GB".to_owned(),
        text: format!(
            "{FILES} files of {} MB: the corpus again and again, with a line of its own in each piece. flowc runs cold, with \
             hashing and storing, components compiled; below that, in a store that does not exist yet, so that it \
             compiles them too. {} split by `[a-z0-9]+` alone, an easier rule than ours for text that is not ASCII. The \
             native program is `benchmarks/src/native.rs`: one thread, one map, the same rule; its counts and flowc's are \
             compared.",
            BYTES / 1_000_000,
            contest.python.versions()?
        ),
        head: row(["program", "wall time", "processor time", "a core-second", "peak memory"]),
        rows: vec![
            line("flowc", &flowc),
            line("flowc, with compiling", &fresh),
            line("native, one thread", &native),
            line("DuckDB", &duckdb),
            line("Polars", &polars),
        ],
        findings: vec![
            Finding::at_least("at least 2x the faster of DuckDB and Polars", rate(&flowc) / faster, 2.0, "x"),
            Finding::at_least("at least 0.6x of the native program", rate(&flowc) / rate(&native), 0.6, "x"),
            Finding::at_most("peak memory under 500 MB", peak(&flowc) as f64 / 1e6, 500.0, " MB"),
        ],
    })
}

struct Contest {
    project: Project,
    warm: Project,
    python: Python,
    texts: Vec<PathBuf>,
    folder: PathBuf,
}

impl Contest {
    fn prepare(bench: &Bench<'_>) -> Result<Self> {
        let (project, warm) = (Project::new(bench, "words")?, Project::new(bench, "warm")?);
        let texts = text::write(bench.workspace, &project.folder().join("in"), FILES, BYTES)?;
        project.write("flow.kdl", PIPELINE)?;
        warm.write("in/a.txt", "a line\n")?;
        warm.write("flow.kdl", PIPELINE)?;
        warm.run()?;
        let python = Python::prepare(bench)?;
        Ok(Self { project, warm, python, texts, folder: bench.folder.clone() })
    }

    fn flowc(&self) -> Result<Usage> {
        self.project.take_store_of(&self.warm)?;
        self.project.run()
    }

    fn flowc_with_nothing(&self) -> Result<Usage> {
        self.project.forget_all()?;
        self.project.run()
    }

    fn native(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "flowc-benchmarks".into()));
        command.arg("count-natively").arg(self.folder.join("native.csv")).args(&self.texts);
        command
    }

    fn peer(&self, script: &str) -> Command {
        let pattern = self.project.folder().join("in/*.txt");
        self.python.words(script, &pattern.to_string_lossy(), &format!("{script}.parquet"))
    }

    /// Whether flowc and the native program count the same.
    fn check(&self) -> Result<()> {
        self.flowc()?;
        measure(&mut self.native())?;
        let native = fs::read_to_string(self.folder.join("native.csv")).context("the native program's counts")?;
        let rows = native.lines().count().to_string();
        let mut show = self.project.command_for(&["show", "counts", "--csv", "--rows", &rows]);
        if process::output(&mut show)? != native {
            bail!("flowc and the native program count differently");
        }
        eprintln!("  flowc and the native program agree on the counts of {rows} words");
        Ok(())
    }
}
