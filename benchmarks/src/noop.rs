//! Runs with nothing to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::measure::{Usage, by_turns, drop_from_cache, measure, wall};
use super::project::{Project, settled, wide};
use super::report::{Finding, Section, ms, row};
use super::{Bench, peers};

const FILES: usize = 10_000;

/// Against ninja on the same shape.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    peers::need_ninja()?;
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    for stages in [1, 100, 1000, 10_000] {
        let shape = Shape::wide(bench, stages)?;
        let (flowc, ninja) = shape.compare()?;
        let cold = if stages <= 100 { ms(shape.cold(bench)?) } else { "-".to_owned() };
        rows.push(row([format!("{stages} stages"), ms(flowc), ms(ninja), ratio(flowc, ninja), cold.clone()]));
        findings.extend(match stages {
            ..=100 => vec![
                Finding::at_most(format!("{stages} stages under 20 ms"), flowc * 1e3, 20.0, " ms"),
                Finding::at_most(format!("{stages} stages, cold, under 20 ms"), milliseconds(&cold), 20.0, " ms"),
            ],
            _ => vec![Finding::at_most(format!("{stages} stages within 2x of ninja"), flowc / ninja, 2.0, "x")],
        });
    }
    let (flowc, ninja) = Shape::glob(bench)?.compare()?;
    rows.push(row([format!("one glob of {FILES} files"), ms(flowc), ms(ninja), ratio(flowc, ninja), "-".to_owned()]));
    findings.push(Finding::at_most(format!("a glob of {FILES} files within 2x of ninja"), flowc / ninja, 2.0, "x"));
    Ok(Section {
        title: "Nothing to do".to_owned(),
        text: format!(
            "Wall time of `flowc run` when everything is as the last run left it, against `ninja` (version {}) with a rule \
             per stage: each stage has a source and a sink file of its own. Cold: flowc's binary, the project's files and \
             the store are dropped from the page cache before each run.",
            peers::version("ninja")?
        ),
        head: row(["shape", "flowc", "ninja", "flowc / ninja", "flowc, cold"]),
        rows,
        findings,
    })
}

fn ratio(flowc: f64, ninja: f64) -> String {
    format!("{:.2}x", flowc / ninja)
}

fn milliseconds(text: &str) -> f64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::INFINITY)
}

/// The same work as a pipeline and as a `build.ninja`.
struct Shape {
    project: Project,
    rounds: usize,
}

impl Shape {
    fn wide(bench: &Bench<'_>, stages: usize) -> Result<Self> {
        let project = Project::new(bench, &format!("wide-{stages}"))?;
        wide(&project, stages)?;
        let builds: String = (0..stages).map(|i| format!("build ninja/{i}.txt: copy in/{i}.txt\n")).collect();
        project.write("build.ninja", format!("rule copy\n  command = cp $in $out\n{builds}"))?;
        Ok(Self { project, rounds: if stages > 1000 { 15 } else { 41 } })
    }

    fn glob(bench: &Bench<'_>) -> Result<Self> {
        let project = Project::new(bench, "glob")?;
        for i in 0..FILES {
            project.write(&format!("in/{i}.txt"), format!("line {i}\n"))?;
        }
        let text = "source \"lines\" { files \"in/*.txt\" }\n\
                    stage \"counts\" { in \"lines\"; std \"count@1\" }\n\
                    sink \"out\" { in \"counts\"; file \"out/counts.parquet\" }\n";
        project.write("flow.kdl", text)?;
        let names: String = (0..FILES).map(|i| format!(" in/{i}.txt")).collect();
        let rule = "rule count\n  command = cat $in > $out\n  rspfile = names\n  rspfile_content = $in\n";
        let rule = rule.replace("cat $in > $out", "xargs cat < names > $out");
        project.write("build.ninja", format!("{rule}build ninja/all.txt: count{names}\n"))?;
        Ok(Self { project, rounds: 15 })
    }

    /// Median seconds of flowc and of ninja with nothing to do.
    fn compare(&self) -> Result<(f64, f64)> {
        settled();
        let first = measure(&mut self.ninja())?;
        eprintln!("  ninja, first: {:.2} s", first.wall);
        let first = self.project.run()?;
        eprintln!("  flowc, first: {:.2} s", first.wall);
        self.project.settle()?;
        let mut flowc = || self.project.run();
        let mut ninja = || measure(&mut self.ninja());
        let [flowc, ninja] = by_turns(self.rounds, [&mut flowc, &mut ninja])?;
        Ok((wall(&flowc), wall(&ninja)))
    }

    fn ninja(&self) -> Command {
        let mut command = Command::new("ninja");
        command.current_dir(self.project.folder());
        command
    }

    /// Median seconds of flowc with nothing of it in memory.
    fn cold(&self, bench: &Bench<'_>) -> Result<f64> {
        let binary = bench.folder.join("flowc");
        fs::copy(&bench.flowc, &binary).context("the binary can't be copied")?;
        let mut run = || -> Result<Usage> {
            drop_from_cache(&binary)?;
            drop_folder(self.project.folder())?;
            drop_folder(self.project.store())?;
            measure(&mut self.project.run_of(&binary))
        };
        let [cold] = by_turns(5, [&mut run])?;
        Ok(wall(&cold))
    }
}

fn drop_folder(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { drop_folder(&path)? } else { drop_from_cache(&path)? }
    }
    Ok(())
}
