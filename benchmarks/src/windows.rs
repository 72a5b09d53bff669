//! Windows of event time.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::measure::{Usage, by_turns, cpu, measure, peak, wall};
use super::peers::Python;
use super::project::{Cold, FEW, Project, settled};
use super::report::{Finding, Section, ms, row};
use xtask::process;

/// Events, where the command does not say.
const ROWS: u64 = 10_000_000;
/// Numbers of different keys. One that is as large as the number of events is left out.
const KEYS: [u64; 3] = [100, 100_000, 10_000_000];
const FILES: u64 = 8;
const ROUNDS: usize = 3;
/// Rounds of runs that take less than a second.
const MORE_ROUNDS: usize = 9;
const HOUR_MS: u64 = 3_600_000;
const MINUTES: u64 = 1440;

const TUMBLING_MINUTE: &str = "window \"tumbling\" size=\"1m\"";
const TUMBLING: &str = "window \"tumbling\" size=\"10s\"";
const SLIDING: &str = "window \"sliding\" size=\"1m\" slide=\"10s\"";
/// The columns of events.
const SCHEMA: &str = "schema { column \"at\" \"Timestamp(ms)\"; column \"key\" \"Int64\"; column \"n\" \"Int64\" }";

/// Against DuckDB, against each other, and one block of a day against its own work.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let python = Python::prepare(bench)?;
    let (mut table, mut findings) = (Vec::new(), Vec::new());
    for keys in KEYS.into_iter().filter(|keys| *keys < rows) {
        let contest = Contest::prepare(bench, &python, rows, keys)?;
        contest.check()?;
        contest.minutes.compile()?;
        let [flowc, duckdb] =
            by_turns(ROUNDS, [&mut || contest.minutes.cold(), &mut || measure(&mut contest.duckdb())])?;
        let rate = |usages: &[Usage]| rows as f64 / 1e6 / cpu(usages);
        for (name, usages) in [("flowc", &flowc), ("DuckDB", &duckdb)] {
            table.push(line(&format!("{name}, {keys} keys"), usages, rate(usages)));
        }
        if keys < KEYS[2] {
            let target = format!("tumbling, {keys} keys: at least 3 M events a core-second");
            findings.push(Finding::at_least(target, rate(&flowc), 3.0, " M"));
        }
        let ratio = format!("{:.2}x", rate(&flowc) / rate(&duckdb));
        findings.push(Finding::figure(format!("tumbling, {keys} keys: of DuckDB's rate"), ratio));
        if keys == KEYS[0] {
            let (tumbling, sliding) =
                (contest.with(bench, "tumbling", TUMBLING)?, contest.with(bench, "sliding", SLIDING)?);
            tumbling.compile()?;
            sliding.compile()?;
            let [one, six] = by_turns(ROUNDS, [&mut || tumbling.cold(), &mut || sliding.cold()])?;
            table.push(line("flowc, tumbling by 10 s", &one, rate(&one)));
            table.push(line("flowc, sliding 1 m by 10 s", &six, rate(&six)));
            findings.push(Finding::at_most("sliding 1 m by 10 s: of tumbling 10 s", cpu(&six) / cpu(&one), 1.5, "x"));
        }
    }
    let day = day(bench, rows.min(MINUTES * 1000))?;
    findings.push(Finding::at_most("one block more of a day: of its parts", day.ratio(), 1.2, "x"));
    Ok(Section {
        title: "Windows of event time".to_owned(),
        text: format!(
            "{rows} events of an hour in {FILES} Parquet files are counted and summed by key, in windows of a minute. flowc \
             runs cold, with hashing and storing, components compiled. {} groups by key and the minute's begin, which are the \
             same answers. Below that, windows of ten seconds, and of a minute that begin every ten seconds. A day of {MINUTES} \
             windows of a minute gains a row in the last one: the run took {}, one with nothing to do {}, the block's file with the \
             hour that it is in, alone, {} more than with nothing to do, and writing the day's output {}.",
            python.versions()?.split(',').next().unwrap_or("DuckDB"),
            ms(day.changed),
            ms(day.noop),
            ms(day.work),
            ms(day.write),
        ),
        head: row(["program", "wall time", "processor time", "M events a core-second", "peak memory"]),
        rows: table,
        findings,
    })
}

/// A program's line in the table.
pub(super) fn line(name: &str, usages: &[Usage], rate: f64) -> Vec<String> {
    let memory = format!("{:.0} MB", peak(usages) as f64 / 1e6);
    let (wall, cpu) = (format!("{:.1} s", wall(usages)), format!("{:.1} s", cpu(usages)));
    row([name.to_owned(), wall, cpu, format!("{rate:.2}"), memory])
}

/// A pipeline that counts and sums in windows.
fn pipeline(files: &str, window: &str) -> String {
    format!(
        "source \"events\" {{ files \"{files}\"; {SCHEMA}; event-time \"at\" delay=\"5s\" }}\n\
         stage \"sums\" {{\n    in \"events\" {{ {window} }}\n    std \"aggregate@1\"\n    \
         config {{ by \"key\"; compute op=\"count\" as=\"count\"; compute op=\"sum\" column=\"n\" as=\"sum\" }}\n}}\n\
         sink \"sums\" {{ in \"sums\"; file \"out/sums.parquet\" }}\n"
    )
}

/// Lines of CSV: events from a time on, that many milliseconds apart times 1000.
fn events(numbers: std::ops::Range<u64>, step_us: u64, keys: u64) -> String {
    let mut text = String::from("at,key,n\n");
    for number in numbers {
        let at = number * step_us / 1000;
        // Any number that mixes its bits.
        let mixed = (number ^ (number >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let (second, hour) = (at / 1000, at / HOUR_MS);
        let _ = writeln!(
            text,
            "2024-03-01T{hour:02}:{:02}:{:02}.{:03},{},{}",
            second / 60 % 60,
            second % 60,
            at % 1000,
            mixed % keys,
            number % 1000
        );
    }
    text
}

/// Runs of such a pipeline over files.
fn cold(bench: &Bench<'_>, name: &str, files: &str, window: &str) -> Result<Cold> {
    Cold::new(bench, name, pipeline(files, window), (pipeline(FEW, window), events(0..2, 1, 1)))
}

/// Events by the same keys, and those who count them.
pub(super) struct Contest<'a> {
    python: &'a Python,
    files: String,
    keys: u64,
    /// flowc, in windows of a minute.
    pub(super) minutes: Cold,
    answer: PathBuf,
}

impl<'a> Contest<'a> {
    /// Makes this many events of this many keys.
    pub(super) fn prepare(bench: &Bench<'_>, python: &'a Python, rows: u64, keys: u64) -> Result<Self> {
        let data = Project::new(bench, &format!("data-{keys}"))?;
        let step_us = (HOUR_MS * 1000 / rows).max(1);
        let each = rows / FILES;
        for file in 0..FILES {
            data.write(&format!("csv/{file}.csv"), events(file * each..(file + 1) * each, step_us, keys))?;
        }
        let copy = format!(
            "source \"e\" {{ files \"csv/*.csv\"; {SCHEMA} }}\nsink \"e\" {{ in \"e\"; directory \"out\"; format \"parquet\" }}\n"
        );
        data.write("flow.kdl", copy)?;
        data.run()?;
        let files = format!("{}/out/**/*.parquet", data.folder().display());
        let minutes = cold(bench, &format!("minutes-{keys}"), &files, TUMBLING_MINUTE)?;
        let answer = bench.folder.join(format!("duckdb-{keys}.parquet"));
        Ok(Self { python, files, keys, minutes, answer })
    }

    fn with(&self, bench: &Bench<'_>, name: &str, window: &str) -> Result<Cold> {
        cold(bench, &format!("{name}-{}", self.keys), &self.files, window)
    }

    fn duckdb(&self) -> Command {
        self.python.windows(&self.files, &self.answer)
    }

    /// The file with flowc's answer.
    pub(super) fn sums(&self) -> PathBuf {
        self.minutes.folder().join("out/sums.parquet")
    }

    /// Fails unless both give the same rows.
    fn check(&self) -> Result<()> {
        self.minutes.cold()?;
        process::output(self.duckdb().arg(self.sums())).context("DuckDB has other sums")?;
        Ok(())
    }
}

/// What one block more of a day takes. Median seconds.
struct Day {
    changed: f64,
    noop: f64,
    /// The block's own work, and that of the window that it touches.
    work: f64,
    /// Writing the output anew, which has all windows.
    write: f64,
}

impl Day {
    fn ratio(&self) -> f64 {
        self.changed / (self.noop + self.work + self.write)
    }
}

fn day(bench: &Bench<'_>, rows: u64) -> Result<Day> {
    let (all, alone) = (Edited::new(bench, "day", rows, 0)?, Edited::new(bench, "hour", rows, 23)?);
    let of_all = by_turns(MORE_ROUNDS, [&mut || all.changed(), &mut || all.unchanged(), &mut || all.restored()])?;
    let of_alone =
        by_turns(MORE_ROUNDS, [&mut || alone.changed(), &mut || alone.unchanged(), &mut || alone.restored()])?;
    let [changed, noop, restored] = of_all.each_ref().map(|usages| wall(usages));
    let [alone_changed, alone_noop, alone_restored] = of_alone.each_ref().map(|usages| wall(usages));
    let write = (restored - noop) - (alone_restored - alone_noop);
    Ok(Day { changed, noop, work: alone_changed - alone_noop, write })
}

/// The hours of a day from one on, and a block of the last minute, which grows.
struct Edited {
    project: Project,
    block: PathBuf,
}

impl Edited {
    fn new(bench: &Bench<'_>, name: &str, rows: u64, from: u64) -> Result<Self> {
        let project = Project::new(bench, name)?;
        let (each, step_us) = (rows / 24, 24 * HOUR_MS * 1000 / rows);
        for hour in from..24 {
            project.write(&format!("in/{hour:02}.csv"), events(hour * each..(hour + 1) * each, step_us, 100))?;
        }
        project.write("in/block.csv", events(rows - rows / MINUTES..rows, step_us, 100))?;
        project.write("flow.kdl", pipeline("in/*.csv", TUMBLING_MINUTE))?;
        project.settle()?;
        let block = project.folder().join("in/block.csv");
        Ok(Self { project, block })
    }

    fn changed(&self) -> Result<Usage> {
        writeln!(OpenOptions::new().append(true).open(&self.block)?, "2024-03-01T23:59:59.999,1,1")?;
        settled();
        self.project.run()
    }

    fn unchanged(&self) -> Result<Usage> {
        self.project.settle()?;
        self.project.run()
    }

    /// A run that has nothing to do but to write its output.
    fn restored(&self) -> Result<Usage> {
        self.project.settle()?;
        self.project.forget_outputs()?;
        self.project.run()
    }
}
