//! Chains of stages that pass batches on.

use anyhow::{Context, Result};

use super::Bench;
use super::measure::{by_turns, cpu};
use super::project::Project;
use super::report::{Finding, Section, row};

const ROWS: usize = 80_000_000;
const ROWS_OF_A_BATCH: usize = 8192;
const LENGTHS: [usize; 4] = [1, 8, 16, 32];
const ROUNDS: usize = 5;

/// What one more stage costs a batch.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let warm = chain(bench, "warm", 1, ROWS_OF_A_BATCH)?;
    warm.run()?;
    let projects = LENGTHS.map(|stages| chain(bench, &format!("chain-{stages}"), stages, ROWS));
    let [one, eight, sixteen, all] = projects;
    let (one, eight, sixteen, all) = (one?, eight?, sixteen?, all?);
    let fresh = |project: &Project| {
        project.take_store_of(&warm)?;
        project.run()
    };
    let usages =
        by_turns(ROUNDS, [&mut || fresh(&one), &mut || fresh(&eight), &mut || fresh(&sixteen), &mut || fresh(&all)])?;
    let seconds: Vec<f64> = usages.iter().map(|usages| cpu(usages)).collect();
    let batches = (ROWS / ROWS_OF_A_BATCH) as f64;
    let edge =
        |from: usize, to: usize| (seconds[to] - seconds[from]) / (LENGTHS[to] - LENGTHS[from]) as f64 / batches * 1e6;
    let line = |(i, stages): (usize, &usize)| {
        let each = if i == 0 { "-".to_owned() } else { format!("{:.2} us", edge(0, i)) };
        row([stages.to_string(), format!("{:.2} s", seconds[i]), each])
    };
    let last = LENGTHS.len() - 1;
    Ok(Section {
        title: "Passing batches on".to_owned(),
        text: format!(
            "Processor time of a first run, components already compiled: `generate@1` makes {ROWS} rows in batches of \
             {ROWS_OF_A_BATCH}, so many `select@1` pass them on, and `filter@1` drops them. What one more `select@1` costs a \
             batch is the difference from the shortest chain, by stages and batches."
        ),
        head: row(["stages", "processor time", "one more stage, a batch"]),
        rows: LENGTHS.iter().enumerate().map(line).collect(),
        findings: vec![Finding::at_most("at most 0.5 us an edge", edge(0, last), 0.5, " us")],
    })
}

fn chain(bench: &Bench<'_>, name: &str, stages: usize, rows: usize) -> Result<Project> {
    let project = Project::new(bench, name)?;
    let mut text = format!(
        "stage \"t0\" {{ std \"generate@1\"; config {{ rows {rows}; rows-per-part {}; column {{ name \"n\"; kind \
         \"sequence\" }} }} }}\n",
        rows.div_ceil(8)
    );
    for i in 1..=stages {
        text.push_str(&format!("stage \"t{i}\" {{ in \"t{}\"; std \"select@1\" }}\n", i - 1));
    }
    text.push_str(&format!(
        "stage \"none\" {{ in \"t{stages}\"; std \"filter@1\"; config {{ where {{ column \"n\"; op \"<\"; value 0 }} }} }}\n\
         sink \"out\" {{ in \"none\"; file \"out/none.csv\" }}\n"
    ));
    project.write("flow.kdl", text).context("the chain")?;
    Ok(project)
}
