//! Asserts: whether stages have rows each of which breaks a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use arrow_array::RecordBatch;
use flowc_demand::Selection;
use flowc_planner::plan::{OnFailure, StreamId};
use flowc_planner::quantity::count;
use flowc_platform::lock;

use crate::intake::notices::Notice;
use crate::outputs::Outputs;
use crate::run::context::Run;
use crate::run::tally::Checked;
use crate::{AssertReport, Error};

/// Rows that a message shows.
const ROWS_SHOWN: usize = 3;
/// Columns of a row that a message shows.
const COLUMNS_SHOWN: usize = 8;
/// Letters of a value that a message shows.
const LETTERS_SHOWN: usize = 40;

impl Run<'_> {
    /// Looks whether an assert has rows. All of them are there.
    pub(crate) fn check_assert(&self, stage: usize, outputs: &Outputs<'_>) -> Result<(), Error> {
        let assert = &self.plan().stages[stage];
        let Some(on_failure) = assert.asserts else { return Ok(()) };
        let (mut rows, mut shown) = (0, Vec::new());
        for output in &assert.outputs {
            rows += outputs.reading.locator.at_hand(output.stream, &[])?.rows;
            shown.extend(first_rows(output.stream, outputs)?);
        }
        let broken = (rows > 0).then(|| in_words(&assert.name, rows, &shown));
        let report = AssertReport { name: assert.name.clone(), rows, on_failure };
        self.underway.tally.lock().asserts.insert(stage, Checked { report, broken });
        Ok(())
    }

    /// The asserts that failed.
    pub(crate) fn failed_asserts(&self) -> Vec<Error> {
        let counted = self.underway.tally.lock();
        let failed = counted.asserts.values().filter(|checked| checked.fails());
        let error = |checked: &Checked| {
            let message = checked.broken.clone().unwrap_or_default();
            Error::Assert { assert: checked.report.name.clone(), message }
        };
        failed.map(error).collect()
    }

    /// What there is to warn of. It holds while nothing changes.
    pub(crate) fn assert_notices(&self) -> Vec<Notice> {
        let counted = self.underway.tally.lock();
        let warned = counted.asserts.values().filter(|checked| checked.report.on_failure == OnFailure::Warn);
        let notice = |checked: &Checked| {
            let message = format!("assert `{}`: {}", checked.report.name, checked.broken.as_ref()?);
            Some(Notice::Warning { message })
        };
        warned.filter_map(notice).collect()
    }
}

/// Which sinks may appear.
pub(crate) struct Guards {
    /// Per sink, the asserts that must have no rows.
    of: BTreeMap<usize, Vec<usize>>,
    /// The sinks that an assert has kept from appearing.
    held: Mutex<BTreeSet<usize>>,
}

impl Guards {
    /// Those of a selection.
    pub(crate) fn new(run: &Run<'_>, selection: &Selection) -> Self {
        Self { of: selection.guards(run.plan()), held: Mutex::default() }
    }

    /// The asserts that have to be checked before a sink is written.
    pub(crate) fn of(&self, sink: usize) -> &[usize] {
        self.of.get(&sink).map_or(&[], Vec::as_slice)
    }

    /// Whether an assert keeps a sink from appearing. It is noted if so.
    pub(crate) fn hold(&self, run: &Run<'_>, sink: usize) -> bool {
        let counted = run.underway.tally.lock();
        let is_held = self.of(sink).iter().any(|stage| counted.asserts.get(stage).is_some_and(Checked::fails));
        if is_held {
            lock(&self.held).insert(sink);
        }
        is_held
    }

    /// The sinks that asserts have kept from appearing.
    pub(crate) fn held(&self) -> BTreeSet<usize> {
        lock(&self.held).clone()
    }
}

/// The first rows of a stream in words.
fn first_rows(stream: StreamId, outputs: &Outputs<'_>) -> Result<Vec<String>, Error> {
    let mut shown = Vec::new();
    outputs.first_rows(stream, ROWS_SHOWN, &mut |batch| {
        shown.extend((0..batch.num_rows()).map(|row| row_in_words(batch, row)))
    })?;
    Ok(shown)
}

fn row_in_words(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let value = |(field, array): (&arrow_schema::FieldRef, &arrow_array::ArrayRef)| {
        let text = if array.is_null(row) { "null".to_owned() } else { on_one_line(&flowc_codec::shown(array, row)) };
        let end = text.char_indices().nth(LETTERS_SHOWN).map(|(at, _)| at);
        let text = end.map_or_else(|| text.clone(), |end| format!("{}…", &text[..end]));
        format!("{}={text}", field.name())
    };
    let values = schema.fields().iter().zip(batch.columns()).take(COLUMNS_SHOWN).map(value);
    let more = if batch.num_columns() > COLUMNS_SHOWN { ", …" } else { "" };
    values.collect::<Vec<_>>().join(", ") + more
}

/// A value without ends of lines and other characters that do something: what follows them might be taken for flowc's own words.
fn on_one_line(text: &str) -> String {
    text.chars().fold(String::new(), |mut line, letter| {
        if letter.is_control() {
            line.extend(letter.escape_default())
        } else {
            line.push(letter)
        }
        line
    })
}

fn in_words(name: &str, rows: u64, shown: &[String]) -> String {
    let breaks = if rows == 1 { "breaks" } else { "break" };
    let more = if rows > shown.len() as u64 { "; …" } else { "" };
    let (rows, shown) = (count(rows, "row"), shown.join("; "));
    format!("{rows} {breaks} the rule ({shown}{more}); `flowc show {name}` shows such rows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_on_its_line() {
        assert_eq!(on_one_line("li\nne\terror: é\u{1b}[31m"), "li\\nne\\terror: é\\u{1b}[31m");
    }
}
