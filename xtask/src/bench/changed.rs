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
             syncing a file of that size.",
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
    let [changed, noop, one_changed, one_noop] = by_turns(
        ROUNDS,
        [&mut || many.changed(), &mut || many.unchanged(), &mut || one.changed(), &mut || one.unchanged()],
    )?;
    let rest = if number == 0 { 0.0 } else { many.merges()? + many.writes()? };
    Ok(Found { changed: wall(&changed), noop: wall(&noop), work: wall(&one_changed) - wall(&one_noop), rest })
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

    /// Seconds for writing and syncing what the sink holds.
    fn writes(&self) -> Result<f64> {
        let out = self.project.folder().join("out");
        let file = std::fs::read_dir(&out)?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.is_file());
        let bytes = std::fs::read(file.context("the sink wrote no file")?)?;
        let seconds = (0..ROUNDS).map(|round| {
            let path = out.with_file_name(format!("written-{round}"));
            let start = Instant::now();
            let mut file = std::fs::File::create(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            let seconds = start.elapsed().as_secs_f64();
            std::fs::remove_file(&path)?;
            Ok(seconds)
        });
        Ok(median(seconds.collect::<Result<Vec<f64>>>()?))
    }
}
