//! The cases of the suite. Each says what is wrong, if anything is.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flowc_planner::key::Phase;
use flowc_planner::plan::{Limits, OutputColumn, Rows};

use super::{Keeper, Kept, Subject, batch, drive, ids, input_schema, invocation, run};
use crate::{Batch, InputIdentity, InputPort, Invocation, OutputPort, StageError, StageFault};

/// What a case says.
pub(super) type Verdict = Result<(), String>;

/// A case.
pub(super) type Case = fn(&dyn Subject) -> Verdict;

/// All of them.
pub(super) const CASES: [(&str, Case); 18] = [
    ("rows come out once, in order, with all their columns", rows_in_order),
    ("picked rows keep their columns", picked_rows),
    ("what nobody needs is left out, and need not be there", unneeded_columns),
    ("new rows are made", new_rows),
    ("calls come in order, with phase and part", calls),
    ("partials are made, merged and finished", combining),
    ("an input without rows has an end", no_rows),
    ("breaches of the contract are refused and named", breaches),
    ("a problem comes in the stage's words, with its place", problem),
    ("describe blames a place in the config", describe_problem),
    ("a crash names the stage and the reason", crashes),
    ("a stage that never returns is stopped by its timeout", timeout),
    ("memory has a limit", memory),
    ("lines of the log arrive, a flood is cut", log),
    ("an outlet's error stops the stage and comes back as it is", outlet_error),
    ("an instance has no history", history),
    ("rows that are known again give the same, whether they are held or not", known_rows),
    ("an instance that is dropped closes nothing", dropped),
];

fn rows_in_order(subject: &dyn Subject) -> Verdict {
    for mode in ["good", "slices"] {
        let kept = succeed(subject, mode, "same", &[10, 0, 5])?;
        equal(mode, kept.ids(), (0..15).collect())?;
        equal(mode, kept.batches.iter().all(|(port, batch)| *port == 0 && is_complete(batch, 3)), true)?;
    }
    Ok(())
}

fn picked_rows(subject: &dyn Subject) -> Verdict {
    let kept = succeed(subject, "filter", "subset", &[10, 5])?;
    equal("ids", kept.ids(), vec![0, 2, 4, 6, 8, 10, 12, 14])?;
    let due: Vec<String> = kept.ids().iter().map(|id| format!("text number {id}")).collect();
    equal("texts", kept.batches.iter().flat_map(|(_, batch)| texts(batch, 1)).collect(), due)
}

fn unneeded_columns(subject: &dyn Subject) -> Verdict {
    let mut invocation = planned(subject, "filter", "subset", Limits::default())?;
    let mut outputs = invocation.outputs.to_vec();
    outputs[0].needed = vec![false; 3];
    invocation.outputs = outputs.into();
    let ids = batch(0, 10).column(0).cloned();
    let (outcome, kept) = run(subject.runner(), &invocation, [Batch::new(10, vec![ids, None, None])]);
    outcome.map_err(said)?;
    let (_, batch) = kept.batches.first().ok_or("no batch came out")?;
    equal("rows", batch.rows(), 5)?;
    equal("columns", batch.columns().iter().flatten().count(), 0)
}

fn new_rows(subject: &dyn Subject) -> Verdict {
    let kept = succeed(subject, "words", "subset", &[1])?;
    equal("ports", kept.batches.iter().map(|(port, _)| *port).collect(), vec![1])?;
    equal("words", texts(&kept.batches[0].1, 0), vec!["a".to_owned(), "bc".to_owned()])
}

fn calls(subject: &dyn Subject) -> Verdict {
    let mut invocation = planned(subject, "calls", "same", Limits::default())?;
    invocation.part = 7;
    let (outcome, kept) = run(subject.runner(), &invocation, [batch(0, 3), batch(3, 2)]);
    outcome.map_err(said)?;
    let lines: Vec<String> = kept.lines.into_iter().map(|(_, line)| line.to_lowercase()).collect();
    let due = ["open run 7", "push 0 3", "push 0 2", "end 0", "finish"].map(str::to_owned);
    equal("calls", lines, due.into())
}

fn combining(subject: &dyn Subject) -> Verdict {
    let config = r#"{"class": "combining"}"#;
    let finish = invocation(subject, config, Limits::default()).map_err(|problem| problem.message)?;
    let [partial, merge, finish] = combined(subject, &finish)?;
    let of = |invocation: &Invocation, batches: Vec<Batch>| {
        let (outcome, kept) = run(subject.runner(), invocation, batches);
        outcome.map_err(said)?;
        kept.batches.into_iter().map(|(_, batch)| batch).next().ok_or_else(|| "no partial came out".to_owned())
    };
    let (first, second) = (of(&partial, vec![batch(0, 4)])?, of(&partial, vec![batch(4, 3), batch(7, 3)])?);
    equal("partials", [ids(&first), ids(&second)], [vec![6], vec![39]])?;
    let merged = of(&merge, vec![first, second])?;
    equal("the merged partial", ids(&merged), vec![45])?;
    equal("the result", ids(&of(&finish, vec![merged])?), vec![45])
}

/// The phases `partial`, `merge` and `finish` of the combining stage.
pub(super) fn combined(subject: &dyn Subject, finish: &Invocation) -> Result<[Invocation; 3], String> {
    let description = subject.describe(&finish.config, input_schema()).map_err(|problem| problem.message)?;
    let schema = description.partial.ok_or("it has no partial")?;
    equal("the partial", schema.clone(), Arc::new(Schema::new(vec![Field::new("sum", DataType::Int64, false)])))?;
    let sums = InputPort { schema: schema.clone(), reads: vec![0], identity: None };
    let port = OutputPort { schema, rows: Rows::New, columns: vec![OutputColumn::Written], needed: vec![true] };
    let partial = Invocation { phase: Phase::Partial, outputs: Arc::new([port]), ..finish.clone() };
    let merge = Invocation { phase: Phase::Merge, inputs: Arc::new([sums.clone()]), ..partial.clone() };
    let finish = Invocation { phase: Phase::Finish, inputs: Arc::new([sums]), ..finish.clone() };
    Ok([partial, merge, finish])
}

fn no_rows(subject: &dyn Subject) -> Verdict {
    let kept = succeed(subject, "good", "same", &[])?;
    equal("rows", kept.ids(), vec![])
}

fn breaches(subject: &dyn Subject) -> Verdict {
    let breaches = [
        ("read-undeclared", "column"),
        ("derive-short", "extra"),
        ("bad-offsets", "word"),
        ("bad-text", "word"),
        ("nulls", "word"),
        ("skip", "emitted"),
        ("twice", "once and in order"),
        ("late", "once and in order"),
        ("no-such-port", "port"),
    ];
    for (mode, what) in breaches.into_iter().filter(|(mode, _)| subject.says_which_rows() || *mode != "late") {
        match fail(subject, mode, Limits::default())? {
            StageFault::Contract(said) if said.contains(what) => {}
            other => return Err(format!("{mode}: {other:?} instead of a breach that names `{what}`")),
        }
    }
    Ok(())
}

fn problem(subject: &dyn Subject) -> Verdict {
    match fail(subject, "problem", Limits::default())? {
        StageFault::Problem { message, config_path } if message.starts_with("this row is not to my taste") => {
            equal("the place", config_path, Some("/do".to_owned()))
        }
        other => Err(format!("{other:?}")),
    }
}

fn describe_problem(subject: &dyn Subject) -> Verdict {
    match subject.describe(r#"{"describe": "problem"}"#, input_schema()) {
        Ok(_) => Err("it was described".to_owned()),
        Err(problem) => equal("the place", problem.config_path.as_deref(), Some("/do")),
    }
}

fn crashes(subject: &dyn Subject) -> Verdict {
    for (mode, what) in [("panic", "cannot go on"), ("panic-in-open", "no wish to open")] {
        match fail(subject, mode, Limits::default())? {
            StageFault::Trap(said) if said.contains(what) => {}
            other => return Err(format!("{mode}: {other:?}")),
        }
    }
    Ok(())
}

fn timeout(subject: &dyn Subject) -> Verdict {
    let limits = |milliseconds| Limits { timeout_ms: Some(milliseconds), ..Limits::default() };
    equal("the fault", fail(subject, "loop", limits(50))?, StageFault::Timeout { milliseconds: 50 })?;
    let invocation = planned(subject, "good", "same", limits(60_000))?;
    run(subject.runner(), &invocation, [batch(0, 10)]).0.map_err(said)
}

fn memory(subject: &dyn Subject) -> Verdict {
    let bytes = 64 << 20;
    let limits = Limits { memory: Some(bytes), ..Limits::default() };
    equal("the fault", fail(subject, "memory", limits)?, StageFault::Memory { bytes })
}

fn log(subject: &dyn Subject) -> Verdict {
    let kept = succeed(subject, "log", "subset", &[1])?;
    equal("line 7", kept.lines.get(7).cloned(), Some(("info".to_owned(), "line 7".to_owned())))?;
    equal("whether a hundred thousand lines are cut", kept.lines.len() < 100_000, true)
}

fn outlet_error(subject: &dyn Subject) -> Verdict {
    let invocation = planned(subject, "good", "same", Limits::default())?;
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Keeper { kept: kept.clone(), fail_at: 1 };
    let outcome = drive(subject.runner(), &invocation, [batch(0, 10), batch(10, 5), batch(15, 5)], keeper);
    let error = outcome.err().ok_or("it went on")?;
    equal("the error", (error.stage.as_str(), error.fault), ("below", StageFault::Cancelled))?;
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    equal("batches before it", (kept.batches.len(), kept.closed), (1, false))
}

fn history(subject: &dyn Subject) -> Verdict {
    (0..3).try_for_each(|_| equal("ids", succeed(subject, "late", "subset", &[3])?.ids(), vec![0, 1, 2]))
}

fn known_rows(subject: &dyn Subject) -> Verdict {
    let plain = planned(subject, "filter", "subset", Limits::default())?;
    let known = |digit: u8| {
        let mut inputs = plain.inputs.to_vec();
        inputs[0].identity = Some(InputIdentity::new([digit; 32]));
        Invocation { inputs: inputs.into(), ..plain.clone() }
    };
    // Other rows come under another identity, and without one.
    for (invocation, rows) in [(known(1), 4), (known(1), 4), (known(2), 9), (plain.clone(), 6), (known(1), 4)] {
        let (outcome, kept) = run(subject.runner(), &invocation, [batch(0, rows)]);
        outcome.map_err(said)?;
        equal("ids", kept.ids(), (0..rows as i64).step_by(2).collect())?;
    }
    Ok(())
}

fn dropped(subject: &dyn Subject) -> Verdict {
    let invocation = planned(subject, "late", "subset", Limits::default())?;
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
    let mut instance = subject.runner().open(&invocation, Box::new(keeper)).map_err(said)?;
    instance.push(0, batch(0, 3)).map_err(said)?;
    drop(instance);
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    equal("what came out", (kept.batches.len(), kept.closed), (0, false))
}

pub(super) fn planned(subject: &dyn Subject, mode: &str, rows: &str, limits: Limits) -> Result<Invocation, String> {
    let config = format!(r#"{{"do": "{mode}", "rows": "{rows}"}}"#);
    invocation(subject, &config, limits).map_err(|problem| format!("{mode} is not described: {}", problem.message))
}

/// Batches of these sizes, one after the other.
pub(super) fn batches(sizes: &[usize]) -> Vec<Batch> {
    let place = |start: &mut i64, &rows: &usize| {
        *start += rows as i64;
        Some(batch(*start - rows as i64, rows))
    };
    sizes.iter().scan(0, place).collect()
}

/// What comes out of a behaviour that succeeds.
fn succeed(subject: &dyn Subject, mode: &str, rows: &str, sizes: &[usize]) -> Result<Kept, String> {
    let invocation = planned(subject, mode, rows, Limits::default())?;
    let (outcome, kept) = run(subject.runner(), &invocation, batches(sizes));
    outcome.map_err(|error| format!("{mode} fails: {}", error.fault))?;
    equal("whether it is closed", kept.closed, true)?;
    Ok(kept)
}

/// What becomes of a behaviour that fails, over rows that are all due.
fn fail(subject: &dyn Subject, mode: &str, limits: Limits) -> Result<StageFault, String> {
    let invocation = planned(subject, mode, "same", limits)?;
    let (outcome, kept) = run(subject.runner(), &invocation, batches(&[10, 5]));
    let error = outcome.err().ok_or_else(|| format!("{mode} succeeds"))?;
    equal("the stage's name in the error", &*error.stage, &*invocation.stage)?;
    equal("whether it is closed", kept.closed, false)?;
    Ok(error.fault)
}

fn texts(batch: &Batch, column: usize) -> Vec<String> {
    let column = batch.column(column).and_then(|column| column.as_any().downcast_ref::<StringArray>());
    column.map_or(Vec::new(), |texts| texts.iter().flatten().map(str::to_owned).collect())
}

fn is_complete(batch: &Batch, columns: usize) -> bool {
    batch.columns().len() == columns && batch.columns().iter().flatten().all(|column| column.len() == batch.rows())
}

pub(super) fn said(error: StageError) -> String {
    error.to_string()
}

pub(super) fn equal<T: PartialEq + Debug>(what: &str, found: T, due: T) -> Verdict {
    if found == due { Ok(()) } else { Err(format!("{what}: {found:?} instead of {due:?}")) }
}
