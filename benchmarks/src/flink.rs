//! Windows of event time, against Flink SQL: the same answers, and what they take.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Bench;
use super::measure::{Usage, by_turns, cpu, measure};
use super::peers::Python;
use super::peers::flink::{Flink, VERSION};
use super::project::{self, Project};
use super::report::{Finding, Section, row};
use super::windows::{Contest, line};
use xtask::process;

/// Events, where the command does not say.
const ROWS: u64 = 10_000_000;
/// Numbers of different keys.
const KEYS: [u64; 2] = [100, 100_000];
const ROUNDS: usize = 3;
/// Events of the runs that tell what starting takes. They have a number of keys of their own.
const FEW: (u64, u64) = (800, 10);
/// Events of which the answers are compared, one a tenth of a second.
const COMPARED: u64 = 20_000;
/// How much later than their place events may be, and how long both wait for them, in seconds.
const DISORDER: u64 = 5;
/// Columns of events, for Flink.
const EVENTS: &str = "`at` TIMESTAMP(3), `key` BIGINT, `n` BIGINT";

/// A kind of windows, in the words of both.
struct Windows {
    name: &'static str,
    flowc: &'static str,
    flink: &'static str,
}

const WINDOWS: [Windows; 3] = [
    Windows {
        name: "tumbling",
        flowc: r#""tumbling" size="1m""#,
        flink: "TUMBLE(TABLE events, DESCRIPTOR(`at`), INTERVAL '1' MINUTE)",
    },
    Windows {
        name: "sliding",
        flowc: r#""sliding" size="1m" slide="10s""#,
        flink: "HOP(TABLE events, DESCRIPTOR(`at`), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)",
    },
    Windows {
        name: "session",
        flowc: r#""session" gap="5s" by="key""#,
        flink: "SESSION(TABLE events PARTITION BY `key`, DESCRIPTOR(`at`), INTERVAL '5' SECOND)",
    },
];

/// Both count and sum in windows of a minute.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let python = Python::prepare(bench)?;
    let flink = Flink::prepare(bench)?;
    compare_answers(bench, &python, &flink)?;
    let few = Match::prepare(bench, &python, &flink, FEW)?;
    let (mut table, mut findings) = (Vec::new(), Vec::new());
    for keys in KEYS.into_iter().filter(|keys| *keys < rows) {
        let all = Match::prepare(bench, &python, &flink, (rows, keys))?;
        let runs: [&mut dyn FnMut() -> Result<Usage>; 4] =
            [&mut || all.flowc(), &mut || all.flink(), &mut || few.flowc(), &mut || few.flink()];
        let [flowc, theirs, flowc_start, their_start] = by_turns(ROUNDS, runs)?;
        let rate = |seconds: f64| rows as f64 / 1e6 / seconds;
        for (name, usages) in [("flowc", &flowc), ("Flink", &theirs)] {
            table.push(line(&format!("{name}, {keys} keys"), usages, rate(cpu(usages))));
        }
        let (with, without) = (cpu(&theirs) / cpu(&flowc), rate(cpu(&flowc) - cpu(&flowc_start)));
        let ratio = without / rate(cpu(&theirs) - cpu(&their_start));
        findings.push(Finding::figure(format!("{keys} keys: of Flink's rate, with starting"), format!("{with:.2}x")));
        findings.push(Finding::at_least(
            format!("{keys} keys: of Flink's rate, less what starting takes"),
            ratio,
            1.0,
            "x",
        ));
    }
    Ok(Section {
        title: "Windows of event time, against Flink".to_owned(),
        text: format!(
            "{rows} events of an hour in Parquet files are counted and summed by key, in windows of a minute, and the answers written to Parquet. \
             Flink SQL {VERSION} runs in batch mode with a parallelism of one, in its process, with a heap of 2 GB and 1 GB of managed \
             memory; flowc runs cold, with hashing and storing, components compiled. Both have the same rows in the end. What starting takes is \
             the processor time for {} events. Before that, the answers of both are compared for {COMPARED} events that are up to \
             {DISORDER} seconds out of order, in tumbling, sliding and session windows (Flink in streaming mode): they are equal.",
            FEW.0,
        ),
        head: row(["program", "wall time", "processor time", "M events a core-second", "peak memory"]),
        rows: table,
        findings,
    })
}

/// Flink's statements for windows over a folder of Parquet, into a folder.
fn statements(windows: &[(&Windows, PathBuf)], events: &Path, streaming: bool) -> String {
    let parquet = |path: &Path| {
        format!(
            "'connector' = 'filesystem', 'path' = '{}', 'format' = 'parquet', 'parquet.utc-timezone' = 'true'",
            path.display()
        )
    };
    let watermark = format!(", WATERMARK FOR `at` AS `at` - INTERVAL '{DISORDER}' SECOND");
    let mut text = format!(
        "CREATE TABLE events ({EVENTS}{}) WITH ({}, 'source.path.regex-pattern' = '.*[.]parquet');\n",
        if streaming { &watermark } else { "" },
        parquet(events),
    );
    for (Windows { name, flink, .. }, answers) in windows {
        text += &format!(
            "CREATE TABLE `{name}` (`begin` TIMESTAMP(3), `end` TIMESTAMP(3), `key` BIGINT, `count` BIGINT, `sum` BIGINT) WITH ({}, \
             'parquet.write.int64.timestamp' = 'true', 'parquet.timestamp.time.unit' = 'millis');\n\
             INSERT INTO `{name}` SELECT window_start, window_end, `key`, COUNT(*), SUM(`n`) FROM TABLE({flink}) \
             GROUP BY window_start, window_end, `key`;\n",
            parquet(answers),
        );
    }
    text
}

/// The same events, for both.
struct Match<'a> {
    flink: &'a Flink,
    contest: Contest<'a>,
    statements: PathBuf,
    answers: PathBuf,
}

impl<'a> Match<'a> {
    /// Makes this many events of this many keys. Fails unless both give the same rows.
    fn prepare(bench: &Bench<'_>, python: &'a Python, flink: &'a Flink, (rows, keys): (u64, u64)) -> Result<Self> {
        let contest = Contest::prepare(bench, python, rows, keys)?;
        let (statements, answers) =
            (bench.folder.join(format!("{keys}.sql")), bench.folder.join(format!("flink-{keys}")));
        let events = bench.folder.join(format!("data-{keys}/out"));
        std::fs::write(&statements, self::statements(&[(&WINDOWS[0], answers.clone())], &events, false))?;
        let prepared = Self { flink, contest, statements, answers };
        prepared.contest.minutes.compile()?;
        prepared.flink()?;
        python.compare_windows(&prepared.contest.sums(), &prepared.answers).context("Flink has other sums")?;
        Ok(prepared)
    }

    fn flowc(&self) -> Result<Usage> {
        self.contest.minutes.cold()
    }

    fn flink(&self) -> Result<Usage> {
        project::empty(&self.answers)?;
        measure(&mut self.flink.run("batch", &self.statements))
    }
}

/// Fails unless both find the same windows in events that are out of order.
fn compare_answers(bench: &Bench<'_>, python: &Python, flink: &Flink) -> Result<()> {
    let project = Project::new(bench, "answers")?;
    project.write("events.csv", disordered())?;
    let mut pipeline = format!(
        "source \"events\" {{ files \"events.csv\"; schema {{ column \"at\" \"Timestamp(ms)\"; column \"key\" \"Int64\"; column \"n\" \"Int64\" }}; \
         event-time \"at\" delay=\"{DISORDER}s\" }}\nsink \"events\" {{ in \"events\"; file \"parquet/events.parquet\" }}\n"
    );
    for Windows { name, flowc, .. } in WINDOWS {
        pipeline += &format!(
            "stage \"{name}\" {{ in \"events\" {{ window {flowc} }}; std \"aggregate@1\"; config {{ by \"key\"; compute op=\"count\" as=\"count\"; \
             compute op=\"sum\" column=\"n\" as=\"sum\" }} }}\nsink \"{name}\" {{ in \"{name}\"; file \"out/{name}.parquet\" }}\n"
        );
    }
    project.write("flow.kdl", pipeline)?;
    project.run()?;
    let answers = WINDOWS.each_ref().map(|windows| (windows, project.folder().join("flink").join(windows.name)));
    project.write("answers.sql", statements(&answers, &project.folder().join("parquet"), true))?;
    process::output(&mut flink.run("streaming", &project.folder().join("answers.sql")))?;
    for (Windows { name, .. }, folder) in &answers {
        let ours = project.folder().join(format!("out/{name}.parquet"));
        python.compare_windows(&ours, folder).with_context(|| format!("Flink has other {name} windows"))?;
    }
    Ok(())
}

/// Lines of CSV: events a tenth of a second apart, some of which are late, but not too late. None is exactly a session's gap after another one of
/// its key: Flink has both in one session, flowc in two.
fn disordered() -> String {
    let mut text = String::from("at,key,n\n");
    for number in 0..COMPARED {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let at = (number * 100).saturating_sub(mixed % (DISORDER * 1000));
        let (seconds, millis) = (at / 1000, at % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        // Few keys have many events, so that sessions of all lengths are there.
        let key = (mixed % 997) * (mixed % 13) % 97;
        text += &format!("2024-03-01T{hours:02}:{minutes:02}:{seconds:02}.{millis:03},{key},{}\n", number % 1000);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_all_windows_and_how_long_to_wait() {
        let windows = WINDOWS.each_ref().map(|windows| (windows, PathBuf::from(windows.name)));
        let text = statements(&windows, Path::new("in"), true);
        assert_eq!(text.matches(";\n").count(), 7);
        assert!(text.contains("INTERVAL '5' SECOND) WITH ("), "{text}");
        assert!(!statements(&windows[..1], Path::new("in"), false).contains("WATERMARK"));
    }

    #[test]
    fn events_are_out_of_order_and_none_ends_a_session_of_its_key_where_another_begins() {
        let text = disordered();
        let mut times: Vec<(&str, u64)> = text.lines().skip(1).map(key_and_millis).collect();
        assert_eq!(times.len() as u64, COMPARED);
        assert!(!times.is_sorted_by_key(|(_, millis)| *millis));
        times.sort_unstable();
        let touch = |pair: &[(&str, u64)]| pair[0].0 == pair[1].0 && pair[1].1 - pair[0].1 == 5000;
        assert!(!times.windows(2).any(touch));
    }

    /// The key of an event and its time, in milliseconds of the day.
    fn key_and_millis(line: &str) -> (&str, u64) {
        let [time, key, _] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let parts: Vec<u64> = time[11..].split([':', '.']).map(|part| part.parse().unwrap()).collect();
        (key, ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + parts[3])
    }
}
