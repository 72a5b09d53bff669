//! Cases of boundaries: what was pushed before one is out after it, and nothing else is different.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ArrayRef;
use arrow_select::concat::concat;
use flowc_planner::plan::Limits;

use super::cases::{Case, Verdict, batches, combined, equal, planned, said};
use super::{Keeper, Kept, Subject, batch, invocation};
use crate::{Batch, Instance, Invocation, StageFault};

/// All of them.
pub(super) const CASES: [(&str, Case); 8] = [
    ("what is given for a batch is out after a boundary", rows_are_out),
    ("it is so on every output", outputs_are_out),
    ("a boundary needs no rows, and may follow another", no_rows),
    ("rows that a stage keeps come at the end, whatever boundaries there are", kept_rows),
    ("a failure comes at the next boundary at the latest", failures),
    ("a stage hears nothing of boundaries", silent),
    ("lines of the log and time count anew after a boundary", limits),
    ("results are the same with boundaries between batches and without", same_results),
];

/// Rows of some batches.
const SIZES: [usize; 4] = [10, 0, 5, 1];

/// An instance that is open, and what has come of it.
struct Open {
    instance: Box<dyn Instance>,
    kept: Arc<Mutex<Kept>>,
}

impl Open {
    fn new(subject: &dyn Subject, invocation: &Invocation) -> Result<Self, String> {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
        let instance = subject.runner().open(invocation, Box::new(keeper)).map_err(said)?;
        Ok(Self { instance, kept })
    }

    fn of(subject: &dyn Subject, mode: &str, rows: &str) -> Result<Self, String> {
        Self::new(subject, &planned(subject, mode, rows, Limits::default())?)
    }

    fn push(&mut self, batch: Batch) -> Verdict {
        self.instance.push(0, batch).map_err(said)
    }

    /// Which rows are out after a boundary, and whether the outlet was told.
    fn out(&mut self) -> Result<Vec<i64>, String> {
        let before = self.with(|kept| kept.boundaries);
        self.instance.boundary().map_err(said)?;
        equal("boundaries that the outlet hears of", self.with(|kept| kept.boundaries), before + 1)?;
        Ok(self.with(|kept| kept.ids()))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(mut self) -> Result<Kept, String> {
        self.instance.end_of_input(0).and_then(|()| self.instance.finish()).map_err(said)?;
        Ok(std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn rows_are_out(subject: &dyn Subject) -> Verdict {
    for (mode, rows, step) in [("good", "same", 1), ("slices", "same", 1), ("filter", "subset", 2)] {
        let mut open = Open::of(subject, mode, rows)?;
        let mut pushed = 0;
        for batch in batches(&[4, 2, 2, 30_000]) {
            pushed += batch.rows() as i64;
            open.push(batch)?;
            equal(mode, open.out()?, (0..pushed).step_by(step).collect())?;
        }
        equal(mode, open.end()?.ids(), (0..pushed).step_by(step).collect())?;
    }
    Ok(())
}

fn outputs_are_out(subject: &dyn Subject) -> Verdict {
    let mut open = Open::of(subject, "words", "subset")?;
    for (number, batch) in batches(&[3, 1, 1]).into_iter().enumerate() {
        open.push(batch)?;
        open.out()?;
        let ports = open.with(|kept| kept.batches.iter().map(|(port, _)| *port).collect());
        equal("ports of the batches", ports, vec![1; number + 1])?;
    }
    open.end().map(|_| ())
}

fn no_rows(subject: &dyn Subject) -> Verdict {
    let mut open = Open::of(subject, "good", "same")?;
    equal("before any batch", open.out()?, vec![])?;
    open.push(batch(0, 0))?;
    equal("after a batch without rows", open.out()?, vec![])?;
    open.push(batch(0, 3))?;
    for _ in 0..3 {
        equal("again and again", open.out()?, vec![0, 1, 2])?;
    }
    equal("at the end", open.end()?.closed, true)
}

fn kept_rows(subject: &dyn Subject) -> Verdict {
    let mut open = Open::of(subject, "late", "subset")?;
    open.push(batch(0, 3))?;
    for _ in 0..2 {
        equal("what is out", open.out()?, vec![])?;
    }
    equal("in the end", open.end()?.ids(), vec![0, 1, 2])
}

fn failures(subject: &dyn Subject) -> Verdict {
    for (mode, what) in [("problem", "this row is not to my taste"), ("panic", "cannot go on")] {
        let mut open = Open::of(subject, mode, "same")?;
        equal("before it", open.out()?, vec![])?;
        let pushed = open.instance.push(0, batch(0, 3));
        let error = pushed.and_then(|()| open.instance.boundary()).err().ok_or("it went on")?;
        equal(mode, error.to_string().contains(what), true)?;
    }
    Ok(())
}

fn silent(subject: &dyn Subject) -> Verdict {
    let lines = |with| -> Result<Vec<_>, String> { Ok(driven(subject, "calls", "same", &SIZES, with)?.lines) };
    equal("calls", lines(true)?, lines(false)?)
}

/// Of time is shown here that it goes on counting: how it counts is tested where it is counted, without waiting.
fn limits(subject: &dyn Subject) -> Verdict {
    let mut open = Open::of(subject, "log", "subset")?;
    for number in 1..3 {
        open.push(batch(0, 1))?;
        open.out()?;
        let same = open.with(|kept| kept.lines.iter().filter(|(_, line)| line == "line 7").count());
        equal("how often line 7 is there", same, number)?;
    }
    open.end()?;
    let endless = Limits { timeout_ms: Some(50), ..Limits::default() };
    let mut open = Open::new(subject, &planned(subject, "loop", "same", endless)?)?;
    open.out()?;
    let outcome = open.instance.push(0, batch(0, 1)).and_then(|()| open.instance.boundary());
    let fault = outcome.err().map(|error| error.fault);
    equal("the fault", fault, Some(StageFault::Timeout { milliseconds: 50 }))
}

fn same_results(subject: &dyn Subject) -> Verdict {
    for (mode, rows) in [("good", "same"), ("slices", "same"), ("words", "subset"), ("late", "subset")] {
        // The last one first: that is for runners to refuse or to allow.
        let sizes = if mode == "late" { &SIZES[..1] } else { &SIZES };
        let results = |with| columns(&driven(subject, mode, rows, sizes, with)?);
        equal(mode, results(true)?, results(false)?)?;
    }
    let described = invocation(subject, r#"{"class": "combining"}"#, Limits::default());
    let described = described.map_err(|problem| problem.message)?;
    let [partial, merge, finish] = combined(subject, &described)?;
    let rows = batches(&[4, 3, 3]);
    let with = |invocation: &Invocation, batches: &[Batch], has_boundaries| -> Result<Vec<Batch>, String> {
        let kept = drive(Open::new(subject, invocation)?, batches, has_boundaries)?;
        Ok(kept.batches.into_iter().map(|(_, batch)| batch).collect())
    };
    let results = |has_boundaries| -> Result<Vec<i64>, String> {
        let partials = with(&partial, &rows, has_boundaries)?;
        let merged = with(&merge, &[partials.clone(), partials].concat(), has_boundaries)?;
        let finished = with(&finish, &merged, has_boundaries)?;
        Ok([&merged, &finished].into_iter().flatten().flat_map(super::ids).collect())
    };
    equal("without boundaries", results(false)?, vec![90, 90])?;
    equal("with boundaries", results(true)?, vec![90, 90])
}

fn driven(
    subject: &dyn Subject,
    mode: &str,
    rows: &str,
    sizes: &[usize],
    has_boundaries: bool,
) -> Result<Kept, String> {
    drive(Open::of(subject, mode, rows)?, &batches(sizes), has_boundaries)
}

/// Pushes all, with a boundary before and after each.
fn drive(mut open: Open, batches: &[Batch], has_boundaries: bool) -> Result<Kept, String> {
    for batch in batches {
        if has_boundaries {
            open.out()?;
        }
        open.push(batch.clone())?;
    }
    if has_boundaries {
        open.out()?;
    }
    open.end()
}

/// All rows, port by port and column by column.
fn columns(kept: &Kept) -> Result<Vec<ArrayRef>, String> {
    let mut columns = Vec::new();
    for port in 0..2 {
        let batches = || kept.batches.iter().filter(|(of, _)| *of == port).map(|(_, batch)| batch);
        for column in 0..batches().next().map_or(0, |batch| batch.columns().len()) {
            let pieces: Vec<_> = batches().filter_map(|batch| batch.column(column)).map(AsRef::as_ref).collect();
            columns.push(concat(&pieces).map_err(|error| error.to_string())?);
        }
    }
    Ok(columns)
}
