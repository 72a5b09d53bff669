//! One changed file of a thousand.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::measure::{Usage, by_turns, median, wall};
use super::project::{Project, settled};
use super::report::{Finding, Section, ms, row};
use super::{Bench, text};

const FILES: usize = 1000;
const BYTES: usize = 64 << 10;
const ROUNDS: usize = 9;

/// Row by row with a file per input; words in a single file; counts in a single file.
const SHAPES: [(&str, &str); 3] = [
    ("row by row, one output file per input", "sink \"out\" { in \"kept\"; directory \"out\"; format \"parquet\" }\n"),
    ("row by row, one output file", "sink \"out\" { in \"kept\"; file \"out/all.parquet\" }\n"),
    (
        "counted, one output file",
        "stage \"counts\" { in \"kept\"; std \"count@1\"; config { by \"word\" } }\n\
         sink \"out\" { in \"counts\"; file \"out/counts.parquet\" }\n",
    ),
];

const CHAIN: &str = "source \"text\" { files \"in/*.txt\" }\n\
    stage \"words\" { in \"text\"; std \"tokenize@1\"; config { column \"line\" } }\n\
    stage \"kept\" { in \"words\"; std \"filter@1\"; config { where { column \"word\"; op \"!=\"; value \"the\" } } }\n";

/// Against that one file's work alone.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    for (number, (name, sink)) in SHAPES.into_iter().enumerate() {
        let found = measure_shape(bench, number, sink)?;
        let parts = found.noop + found.work + found.rest;
        let cells = [found.changed, found.noop, found.work, found.rest].map(ms);
        let [changed, noop, work, rest] = cells;
        rows.push(row([name.to_owned(), changed, noop, work, rest, format!("{:.2}x", found.changed / parts)]));
        findings.push(Finding::at_most(format!("{name}: at most 1.2x its parts"), found.changed / parts, 1.2, "x"));
    }
    Ok(Section {
        title: "One changed file of 1000".to_owned(),
        text: format!(
            "{FILES} files of {} KB are tokenised and filtered. A line is added to one of them, and `flowc run` is timed. Its \
             parts, each measured alone: a run with nothing to do; the work for that one file (the same change in a \
             project of that file alone, less its run with nothing to do); and, where there is a single output file, the \
             merges (the tasks' own times in the run's events, less those of the changed segment) and writing and \
             syncing the file (a run after it was deleted, less a run with nothing to do; less the same for the one file, \
             where it is counted already).",
            BYTES >> 10
        ),
        head: row(["shape", "one changed", "nothing to do", "one file alone", "merge, write, sync", "ratio"]),
        rows,
        findings,
    })
}

/// Median seconds.
struct Found {
    changed: f64,
    noop: f64,
    work: f64,
    rest: f64,
}

fn measure_shape(bench: &Bench<'_>, number: usize, sink: &str) -> Result<Found> {
    let many = Edited::new(bench, &format!("many-{number}"), FILES, sink)?;
    let one = Edited::new(bench, &format!("one-{number}"), 1, sink)?;
    let of_many = by_turns(ROUNDS, [&mut || many.changed(), &mut || many.unchanged(), &mut || many.restored()])?;
    let of_one = by_turns(ROUNDS, [&mut || one.changed(), &mut || one.unchanged(), &mut || one.restored()])?;
    let ([changed, noop, many_restored], [one_changed, one_noop, one_restored]) =
        (of_many.map(|usages| wall(&usages)), of_one.map(|usages| wall(&usages)));
    let write = (many_restored - noop) - (one_restored - one_noop);
    let rest = if number == 0 { 0.0 } else { many.merges()? + write };
    Ok(Found { changed, noop, work: one_changed - one_noop, rest })
}

/// A project with a file that is edited again and again.
struct Edited {
    project: Project,
    file: PathBuf,
}

impl Edited {
    fn new(bench: &Bench<'_>, name: &str, files: usize, sink: &str) -> Result<Self> {
        let project = Project::new(bench, name)?;
        let paths = text::write(bench.workspace, &project.folder().join("in"), files, BYTES)?;
        project.write("flow.kdl", format!("{CHAIN}{sink}"))?;
        project.settle()?;
        let file = paths.into_iter().nth(files / 2).context("no files")?;
        Ok(Self { project, file })
    }

    fn edit(&self) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.file)?;
        writeln!(file, "one more line of {:?}", Instant::now())?;
        drop(file);
        settled();
        Ok(())
    }

    fn changed(&self) -> Result<Usage> {
        self.edit()?;
        self.project.run()
    }

    fn unchanged(&self) -> Result<Usage> {
        self.project.settle()?;
        self.project.run()
    }

    /// Seconds of the tasks that a change makes necessary, but for the changed segment's own.
    fn merges(&self) -> Result<f64> {
        let seconds = (0..ROUNDS).map(|_| {
            self.edit()?;
            let events = self.project.events()?;
            let ran: Vec<&Value> = events.iter().filter(|event| event["event"] == "segment-ran").collect();
            Ok(ran.iter().skip(1).filter_map(|event| event["seconds"].as_f64()).sum())
        });
        Ok(median(seconds.collect::<Result<Vec<f64>>>()?))
    }

    /// A run that has nothing to do but to write a sink that was deleted.
    fn restored(&self) -> Result<Usage> {
        self.project.settle()?;
        self.project.forget_outputs()?;
        self.project.run()
    }
}
