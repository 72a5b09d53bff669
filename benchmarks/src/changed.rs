//! One changed file of a thousand.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::measure::{Usage, by_turns, cpu, median, wall};
use super::project::{Project, settled};
use super::report::{Finding, Section, ms, row};
use super::{Bench, text};

const FILES: usize = 1000;
const BYTES: usize = 64 << 10;
const ROUNDS: usize = 9;

/// What is measured: a name, the text, the sink, and whether merges and a whole file are among its parts.
struct Shape {
    name: &'static str,
    text: Text,
    sink: &'static str,
    is_merged: bool,
}

/// What the files hold.
#[derive(Clone, Copy)]
enum Text {
    /// The corpus.
    Real,
    /// Words of a small vocabulary by chance, so that one file's results are about as large as another's.
    Random,
}

const FILE_PER_INPUT: &str = "sink \"out\" { in \"kept\"; directory \"out\"; format \"parquet\" }\n";
const ONE_FILE: &str = "sink \"out\" { in \"kept\"; file \"out/all.parquet\" }\n";
const COUNTS: &str = "stage \"counts\" { in \"kept\"; std \"count@1\"; config { by \"word\" } }\n\
    sink \"out\" { in \"counts\"; file \"out/counts.parquet\" }\n";

const SHAPES: [Shape; 4] = [
    Shape { name: "row by row, one output file per input", text: Text::Real, sink: FILE_PER_INPUT, is_merged: false },
    Shape { name: "the same, of random words", text: Text::Random, sink: FILE_PER_INPUT, is_merged: false },
    Shape { name: "row by row, one output file", text: Text::Real, sink: ONE_FILE, is_merged: true },
    Shape { name: "counted, one output file", text: Text::Real, sink: COUNTS, is_merged: true },
];

const CHAIN: &str = "source \"text\" { files \"in/*.txt\" }\n\
    stage \"words\" { in \"text\"; std \"tokenize@1\"; config { column \"line\" } }\n\
    stage \"kept\" { in \"words\"; std \"filter@1\"; config { where { column \"word\"; op \"!=\"; value \"the\" } } }\n";

/// Against that one file's work alone.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    for (number, shape) in SHAPES.iter().enumerate() {
        let Found { changed, noop, work, rest, processor } = measure_shape(bench, number, shape)?;
        let ratio = changed / (noop + work + rest);
        let of_processor = processor.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let [changed, noop, work, rest] = [changed, noop, work, rest].map(ms);
        let name = shape.name.to_owned();
        rows.push(row([name, changed, noop, work, rest, format!("{ratio:.2}x"), of_processor]));
        findings.push(Finding::at_most(format!("{}: at most 1.2x its parts", shape.name), ratio, 1.2, "x"));
    }
    Ok(Section {
        title: "One changed file of 1000".to_owned(),
        text: format!(
            "{FILES} files of {} KB are tokenised and filtered. A line is added to one of them, and `flowc run` is timed. Its \
             parts, each measured alone: a run with nothing to do; the work for that one file (the same change in a \
             project of that file alone, less its run with nothing to do); and, where there is a single output file, the \
             merges (the tasks' own times in the run's events, less those of the changed segment) and writing and \
             syncing the file (a run after it was deleted, less a run with nothing to do; less the same for the one file, \
             where it is counted already). The last column has the same ratio of processor time, which the disk does not \
             disturb.",
            BYTES >> 10
        ),
        head: row([
            "shape",
            "one changed",
            "nothing to do",
            "one file alone",
            "merge, write, sync",
            "ratio",
            "ratio, processor time",
        ]),
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
    /// The ratio of processor time, where the parts are runs alone.
    processor: Option<f64>,
}

fn measure_shape(bench: &Bench<'_>, number: usize, shape: &Shape) -> Result<Found> {
    let many = Edited::new(bench, &format!("many-{number}"), FILES, shape)?;
    let one = Edited::new(bench, &format!("one-{number}"), 1, shape)?;
    let of_many = by_turns(ROUNDS, [&mut || many.changed(), &mut || many.unchanged(), &mut || many.restored()])?;
    let of_one = by_turns(ROUNDS, [&mut || one.changed(), &mut || one.unchanged(), &mut || one.restored()])?;
    let [changed, noop, many_restored] = of_many.each_ref().map(|usages| wall(usages));
    let [one_changed, one_noop, one_restored] = of_one.each_ref().map(|usages| wall(usages));
    let write = (many_restored - noop) - (one_restored - one_noop);
    let rest = if shape.is_merged { many.merges()? + write } else { 0.0 };
    let [[many_changed, many_noop, _], [alone, alone_noop, _]] =
        [of_many, of_one].map(|of| of.map(|usages| cpu(&usages)));
    let processor = (!shape.is_merged).then(|| many_changed / (many_noop + alone - alone_noop));
    Ok(Found { changed, noop, work: one_changed - one_noop, rest, processor })
}

/// A project with a file that is edited again and again.
struct Edited {
    project: Project,
    file: PathBuf,
}

impl Edited {
    fn new(bench: &Bench<'_>, name: &str, files: usize, shape: &Shape) -> Result<Self> {
        let project = Project::new(bench, name)?;
        let folder = project.folder().join("in");
        let paths = match shape.text {
            Text::Real => text::write(bench.workspace, &folder, files, BYTES)?,
            Text::Random => text::write_random(&folder, files, BYTES)?,
        };
        project.write("flow.kdl", format!("{CHAIN}{}", shape.sink))?;
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
