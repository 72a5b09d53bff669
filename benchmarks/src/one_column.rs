//! A stage that rewrites one column.

use std::process::Command;

use anyhow::{Context, Result};

use super::measure::{Usage, by_turns, cpu, measure};
use super::project::Project;
use super::report::{Finding, Section, ms, row};
use super::rewrite::Part;
use super::{Bench, text};

const BYTES: usize = 62_500_000;
/// Stages of the long chain, beside the one of the short chain; and how often the native program does each part.
const MORE: usize = 8;
const ROUNDS: usize = 5;
/// What a kernel may take in wasm, in native kernels.
const KERNELS: f64 = 1.6;

/// A stage against two copies of the column, its validation and the native kernel.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let contest = Contest::prepare(bench)?;
    let native = |part: Part| measure(&mut contest.native(part));
    let [short, long, nothing, copies, validation, kernel] = by_turns(
        ROUNDS,
        [
            &mut || contest.flowc(&contest.short),
            &mut || contest.flowc(&contest.long),
            &mut || native(Part::Nothing),
            &mut || native(Part::Copies),
            &mut || native(Part::Validation),
            &mut || native(Part::Kernel),
        ],
    )?;
    let each = |with: &[Usage], without: &[Usage]| (cpu(with) - cpu(without)) / MORE as f64;
    let stage = each(&long, &short);
    let [copies, validation, kernel] = [&copies, &validation, &kernel].map(|part| each(part, &nothing));
    let allowed = copies + validation + KERNELS * kernel;
    Ok(Section {
        title: "Rewriting one column".to_owned(),
        text: format!(
            "Processor time of one thread for {} MB of text in lines. The stage is `sdk-rust-wasm/examples/uppercase`, and what it takes \
             is the difference between a chain of {} of them and a chain of one, by stages. The rest is a native program \
             (`benchmarks/src/rewrite.rs`) that does one part at a time, {MORE} times over, to the same batches in memory: \
             copying the column out and back, validating its offsets and its text, and the stage's own expression. That is \
             `str::to_uppercase`, which the standard library for wasm32 has without SIMD.",
            BYTES / 1_000_000,
            MORE + 1
        ),
        head: row(["what", "processor time"]),
        rows: vec![
            row(["the stage".to_owned(), ms(stage)]),
            row(["two copies".to_owned(), ms(copies)]),
            row(["validation".to_owned(), ms(validation)]),
            row(["the native kernel".to_owned(), ms(kernel)]),
        ],
        findings: vec![Finding::at_most(
            format!("at most two copies, validation and {KERNELS} native kernels"),
            stage / allowed,
            1.0,
            "x of that",
        )],
    })
}

struct Contest {
    warm: Project,
    short: Project,
    long: Project,
    text: String,
}

impl Contest {
    fn prepare(bench: &Bench<'_>) -> Result<Self> {
        let folder = bench.folder.join("in");
        let text = text::write(bench.workspace, &folder, 1, BYTES)?.pop().context("a text")?;
        let text = text.to_string_lossy().into_owned();
        let warm = chain(bench, "warm", 1, "in/*.txt")?;
        warm.write("in/a.txt", "a line\n")?;
        warm.run()?;
        let (short, long) = (chain(bench, "short", 1, &text)?, chain(bench, "long", MORE + 1, &text)?);
        Ok(Self { warm, short, long, text })
    }

    fn flowc(&self, project: &Project) -> Result<Usage> {
        project.take_store_of(&self.warm)?;
        // The native program has one thread, too: two on one machine share caches and memory.
        measure(&mut project.command_for(&["run", "--quiet", "--jobs", "1"]))
    }

    fn native(&self, part: Part) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "flowc-benchmarks".into()));
        command.args(["rewrite-natively", part.name(), &MORE.to_string(), &self.text]);
        command
    }
}

/// So many stages that write the text in capitals, and one that drops all rows.
fn chain(bench: &Bench<'_>, name: &str, stages: usize, files: &str) -> Result<Project> {
    let project = Project::new(bench, name)?;
    let stage = bench.workspace.root.join("sdk-rust-wasm/examples/uppercase");
    let mut text = format!("source \"t0\" {{ files \"{files}\" }}\n");
    for i in 1..=stages {
        let above = i - 1;
        let config = "config { column \"line\" }";
        text.push_str(&format!("stage \"t{i}\" {{ in \"t{above}\"; rust {:?}; {config} }}\n", stage.display()));
    }
    text.push_str(&format!(
        "stage \"none\" {{ in \"t{stages}\"; std \"filter@1\"; config {{ where {{ column \"line\"; op \"=\"; value \"?\" }} \
         }} }}\nsink \"out\" {{ in \"none\"; file \"out/none.csv\" }}\n"
    ));
    project.write("flow.kdl", text)?;
    Ok(project)
}
