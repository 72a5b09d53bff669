//! Chains of stages that pass batches on.

use anyhow::{Context, Result};

use super::Bench;
use super::measure::{by_turns, cpu};
use super::project::Project;
use super::report::{Finding, Section, row};

const ROWS: usize = 160_000_000;
const ROWS_OF_A_BATCH: usize = 8192;
const LENGTHS: [usize; 4] = [1, 8, 16, 32];
const ROUNDS: usize = 5;

/// What one more stage costs a batch: of a standard stage, which flowc need not call, and of a stage of one's own.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let own = format!("rust {:?}", bench.workspace.root.join("stdlib-stages/select").display());
    let own = Chains::measure(bench, "own", &own)?;
    let standard = Chains::measure(bench, "standard", "std \"select@1\"")?;
    Ok(Section {
        title: "Passing batches on".to_owned(),
        text: format!(
            "Processor time of a first run, components already compiled: `generate@1` makes {ROWS} rows in one part, in \
             batches of {ROWS_OF_A_BATCH}, so many stages pass them on, and `filter@1` drops them. What one more stage costs a batch is \
             the difference from the shortest chain, by stages and batches. The stage is `select`: as one built from its \
             folder it is called for every batch; of the standard stage the description says all, and flowc does not call it."
        ),
        head: row(["stages", "processor time, called", "one more, a batch", "not called", "one more, a batch"]),
        rows: (0..LENGTHS.len())
            .map(|i| [vec![LENGTHS[i].to_string()], own.cells(i), standard.cells(i)].concat())
            .collect(),
        findings: vec![
            Finding::at_most("at most 0.5 us an edge, stages called", own.edge(LENGTHS.len() - 1), 0.5, " us"),
            Finding::at_most("at most 0.5 us an edge, standard stages", standard.edge(LENGTHS.len() - 1), 0.5, " us"),
        ],
    })
}

/// Seconds of processor time for the chains of one stage.
struct Chains(Vec<f64>);

impl Chains {
    fn measure(bench: &Bench<'_>, name: &str, stage: &str) -> Result<Self> {
        let warm = chain(bench, &format!("{name}-warm"), stage, 1, ROWS_OF_A_BATCH)?;
        warm.run()?;
        let [one, eight, sixteen, all] =
            LENGTHS.map(|stages| chain(bench, &format!("{name}-{stages}"), stage, stages, ROWS));
        let (one, eight, sixteen, all) = (one?, eight?, sixteen?, all?);
        let fresh = |project: &Project| {
            project.take_store_of(&warm)?;
            project.run()
        };
        let usages = by_turns(
            ROUNDS,
            [&mut || fresh(&one), &mut || fresh(&eight), &mut || fresh(&sixteen), &mut || fresh(&all)],
        )?;
        Ok(Self(usages.iter().map(|usages| cpu(usages)).collect()))
    }

    /// Microseconds that one more stage takes for a batch.
    fn edge(&self, i: usize) -> f64 {
        let batches = (ROWS / ROWS_OF_A_BATCH) as f64;
        (self.0[i] - self.0[0]) / (LENGTHS[i] - LENGTHS[0]) as f64 / batches * 1e6
    }

    fn cells(&self, i: usize) -> Vec<String> {
        let each = if i == 0 { "-".to_owned() } else { format!("{:.2} us", self.edge(i)) };
        vec![format!("{:.2} s", self.0[i]), each]
    }
}

fn chain(bench: &Bench<'_>, name: &str, stage: &str, stages: usize, rows: usize) -> Result<Project> {
    let project = Project::new(bench, name)?;
    let mut text = format!(
        "stage \"t0\" {{ std \"generate@1\"; config {{ rows {rows}; rows-per-part {rows}; column {{ name \"n\"; kind \
         \"sequence\" }} }} }}\n"
    );
    for i in 1..=stages {
        text.push_str(&format!("stage \"t{i}\" {{ in \"t{}\"; {stage} }}\n", i - 1));
    }
    text.push_str(&format!(
        "stage \"none\" {{ in \"t{stages}\"; std \"filter@1\"; config {{ where {{ column \"n\"; op \"<\"; value 0 }} }} }}\n\
         sink \"out\" {{ in \"none\"; file \"out/none.csv\" }}\n"
    ));
    project.write("flow.kdl", text).context("the chain")?;
    Ok(project)
}
