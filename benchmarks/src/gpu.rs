//! Kernels on the best adapter of this machine: what they do with resident columns, what travels, and top-k. `--rows` makes it small enough for a
//! driver for the CPU.

use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Bench;
use super::measure::median;
use super::project::Project;
use super::report::{Finding, Section, row};

const ROWS: u64 = 50_000_000;
const ROUNDS: usize = 3;
/// Kernels of the longer chain.
const CHAIN: usize = 8;
/// Values of a vector.
const WIDTH: usize = 384;
/// Of so many rows of the other measurements there is one vector in the table.
const ROWS_OF_A_VECTOR: u64 = 50;
/// Questions that the table is compared with.
const QUESTIONS: u64 = 1000;

/// What a run of a pipeline had the device do, median of some runs.
struct Used {
    seconds: f64,
    up: f64,
    down: f64,
}

/// Kernels over some rows.
struct Case {
    what: &'static str,
    pipeline: String,
    /// What the device does, in `unit`s: bytes of the columns that are read and written, or operations.
    work: f64,
    unit: &'static str,
}

/// Device time, bytes and throughput of kernels.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let table = (rows / ROWS_OF_A_VECTOR).max(64);
    let (mut shown, mut moved) = (Vec::new(), Vec::new());
    for (place, case) in cases(rows, table).iter().enumerate() {
        let used = measured(bench, &format!("case-{place}"), &case.pipeline).context(case.what)?;
        shown.push(row([
            case.what.to_owned(),
            format!("{:.2} ms", used.seconds * 1e3),
            format!("{:.1} MB", used.up / 1e6),
            format!("{:.1} MB", used.down / 1e6),
            format!("{:.1} G{}/s", case.work / used.seconds.max(1e-9) / 1e9, case.unit),
        ]));
        moved.push(used.up + used.down);
    }
    let [one, together, ..] = moved[..] else { bail!("there are not as many cases as are compared") };
    Ok(Section {
        title: "Kernels on a GPU".to_owned(),
        text: format!(
            "The best adapter that `flowc doctor` shows, over {rows} rows of integers in blocks of at most 16 MiB, and {QUESTIONS} vectors of {WIDTH} \
             floats against a table of {table}. Time is that of the device for the stages of the case, as its events tell, median of {ROUNDS} runs; the rate \
             is that of the columns that a kernel reads and writes, of `top-k@1` that of its multiplications and additions. On a driver for the CPU time is what was waited \
             for, and the figures say nothing of a GPU."
        ),
        head: row(["kernels", "time of the device", "up", "back", "rate"]),
        rows: shown,
        findings: vec![
            Finding::at_most("eight kernels move at most 1.05 times the bytes of one", together / one, 1.05, ""),
            Finding::figure("the adapter", adapter(bench)?),
        ],
    })
}

/// What is measured. The first two are compared.
fn cases(rows: u64, table: u64) -> [Case; 5] {
    let column = 4.0 * rows as f64;
    let of_bytes = |what, stages: String, columns: usize| Case {
        what,
        pipeline: pipeline(rows, &stages),
        work: columns as f64 * column,
        unit: "B",
    };
    [
        of_bytes("one kernel over integers", chain(1), 2),
        of_bytes("eight kernels, together", chain(CHAIN), 2 * CHAIN),
        of_bytes("histogram@1, 256 ranges", counting("histogram@1", "value \"n\"; width 4; bins 256"), 1),
        of_bytes("group-count@1, 1000 keys", counting("group-count@1", "key \"n\""), 1),
        Case {
            what: "top-k@1, k 10, by dot",
            pipeline: nearest(table),
            work: (QUESTIONS * table) as f64 * 2.0 * WIDTH as f64,
            unit: "FLOP",
        },
    ]
}

/// The adapter that is used.
fn adapter(bench: &Bench<'_>) -> Result<String> {
    let project = Project::new(bench, "adapter")?;
    let told = xtask::process::output(&mut project.command_for(&["doctor"]))?;
    let line = told.lines().find(|line| line.split_whitespace().nth(1) == Some("gpu"));
    Ok(line.unwrap_or("none").trim().to_owned())
}

fn pipeline(rows: u64, stages: &str) -> String {
    format!(
        "stage \"t0\" {{ std \"generate@1\"; config {{ rows {rows}; rows-per-part {rows}; column {{ name \"id\"; kind \"sequence\" }} }} }}\n\
         stage \"t1\" {{ in \"t0\"; wgsl \"narrow.wgsl\"; drops \"id\" }}\n{stages}"
    )
}

/// Kernels after each other, and what counts their rows.
fn chain(stages: usize) -> String {
    let mut text = String::new();
    for stage in 2..stages + 2 {
        let _ = writeln!(text, "stage \"t{stage}\" {{ in \"t{}\"; wgsl \"step.wgsl\" }}", stage - 1);
    }
    let last = stages + 1;
    let _ = writeln!(
        text,
        "stage \"end\" {{ in \"t{last}\"; std \"count@1\" }}\nsink \"out\" {{ in \"end\"; file \"out/end.csv\" }}"
    );
    text
}

fn counting(name: &str, config: &str) -> String {
    format!(
        "stage \"t2\" {{ in \"t1\"; std \"{name}\"; config {{ {config} }} }}\nsink \"out\" {{ in \"t2\"; file \"out/end.csv\" }}\n"
    )
}

/// Vectors of a table and of questions, made by a kernel too, so that nothing is read.
fn nearest(table: u64) -> String {
    let vectors = |name: &str, rows: u64| {
        format!(
            "stage \"{name}-ids\" {{ std \"generate@1\"; config {{ rows {rows}; rows-per-part {rows}; column {{ name \"id\"; kind \"sequence\" }} }} }}\n\
             stage \"{name}\" {{ in \"{name}-ids\"; wgsl \"vector.wgsl\" }}\n"
        )
    };
    format!(
        "{}{}stage \"t2\" {{ in rows=\"questions\" table=\"library\"; std \"top-k@1\"; config {{ k 10; by \"dot\" }} }}\n\
         sink \"out\" {{ in \"t2\"; file \"out/end.parquet\" }}\n",
        vectors("library", table),
        vectors("questions", QUESTIONS)
    )
}

const NARROW: &str = "struct Out { n: i32 }\nfn row(id: i64) -> Out { return Out(i32(id % 1000li)); }\n";
const STEP: &str = "struct Out { n: i32 }\nfn row(n: i32) -> Out { return Out((n * 3 + 1) % 1000); }\n";

/// CPU drivers compile no variables as large as a vector, so the values are written one by one.
const VECTOR: &str = "struct Batch { rows: u32 }
var<storage, read>       id:     array<vec2<u32>>;
var<storage, read_write> vector: array<array<f32, WIDTH>>;
var<uniform>             batch:  Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    for (var i = 0u; i < WIDTHu; i++) {
        vector[at.x][i] = f32((id[at.x].x * 2654435761u + i * 40503u) >> 16u) / 65536.0 - 0.5;
    }
}
";

/// What the stages from `t2` on had the device do.
fn measured(bench: &Bench<'_>, name: &str, text: &str) -> Result<Used> {
    let project = Project::new(bench, name)?;
    project.write("flow.kdl", text)?;
    project.write("narrow.wgsl", NARROW)?;
    project.write("step.wgsl", STEP)?;
    project.write("vector.wgsl", VECTOR.replace("WIDTH", &WIDTH.to_string()))?;
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        project.forget_all()?;
        let events = project.events()?;
        let is_of_case = |event: &&Value| {
            event["event"] == "device-used"
                && event["stage"].as_str().is_some_and(|stage| stage.starts_with('t') && stage != "t1")
        };
        let sum = |field: &str| events.iter().filter(is_of_case).filter_map(|event| event[field].as_f64()).sum::<f64>();
        ensure!(sum("nanoseconds") > 0.0, "no kernel ran");
        runs.push([sum("nanoseconds") / 1e9, sum("bytes_up"), sum("bytes_down")]);
    }
    let of = |place: usize| median(runs.iter().map(|run| run[place]).collect());
    Ok(Used { seconds: of(0), up: of(1), down: of(2) })
}
