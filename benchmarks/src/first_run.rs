//! First runs of many stages that do nothing.

use anyhow::Result;

use super::Bench;
use super::measure::{by_turns, wall};
use super::project::{self, Project};
use super::report::{Finding, Section, ms, row};

const ROUNDS: usize = 5;

/// What a stage costs when it runs for the first time and its component is compiled.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let warm = Project::new(bench, "warm")?;
    project::wide(&warm, 1)?;
    warm.run()?;
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    for stages in [100, 1000] {
        let (chain, wide) = (Project::new(bench, "chain")?, Project::new(bench, "wide")?);
        chain.write("in.txt", "a line\n")?;
        project::chain(&chain, stages, "in.txt")?;
        project::wide(&wide, stages)?;
        let fresh = |project: &Project| {
            project.take_store_of(&warm)?;
            project.run()
        };
        let [chain, wide] = by_turns(ROUNDS, [&mut || fresh(&chain), &mut || fresh(&wide)])?;
        for (name, seconds) in [("in a chain", wall(&chain)), ("each with a source and a sink file", wall(&wide))] {
            let each = seconds / stages as f64 * 1e3;
            rows.push(row([format!("{stages} stages {name}"), ms(seconds), format!("{each:.2} ms")]));
            findings.push(Finding::at_most(format!("{stages} stages {name}: under 1 ms a stage"), each, 1.0, " ms"));
        }
    }
    Ok(Section {
        title: "The first run of stages that do nothing".to_owned(),
        text: "Wall time of `flowc run` in a store that holds nothing but compiled components. The stages are `filter@1` that \
               keep every row; there is one row a source."
            .to_owned(),
        head: row(["shape", "wall time", "a stage"]),
        rows,
        findings,
    })
}
