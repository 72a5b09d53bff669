//! `assert@1`: checks what must hold of rows.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;

use flowc_sdk::prelude::*;
use flowc_sdk::serde_json;
use serde::Deserialize;
use stage_parts::{Grouper, Mistakes, is_ordered};

use check::Checker;

/// What `assert@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What must hold of single columns.
    #[serde(default)]
    check: Vec<Check>,
    /// Columns in which no two rows may agree. Rows with a null there agree with none.
    #[serde(default)]
    unique: Vec<String>,
    /// What becomes of rows of which something does not hold.
    #[serde(default)]
    on_failure: OnFailure,
}

/// What must hold of a column.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// The column.
    column: String,
    /// There are no nulls.
    #[serde(default)]
    not_null: bool,
    /// The least value that may be. Dates, times and decimals may be text.
    min: Option<serde_json::Value>,
    /// The greatest value that may be.
    max: Option<serde_json::Value>,
    /// The values that may be.
    #[serde(rename = "in")]
    among: Option<Vec<serde_json::Value>>,
}

/// What becomes of rows of which something does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run fails, and names some of them.
    #[default]
    Fail,
    /// They go to the output `failed`, with the reason.
    Stream,
}

/// An open `assert@1`.
pub struct Assert {
    checkers: Vec<Checker>,
    on_failure: OnFailure,
    unique: Vec<usize>,
    /// Names of the columns of `unique`, for messages.
    unique_names: String,
    keys: Grouper,
    rows: u64,
    failed: u64,
    /// Reasons of the first rows that failed.
    told: Vec<String>,
}

const OUT: usize = 0;
const FAILED: usize = 1;

/// Failed rows that a message names.
const TOLD: usize = 3;

/// The column of reasons.
const REASON: &str = "failure";

impl Stage for Assert {
    type Config = Config;
    const DOC: &'static str = "Checks ranges, nulls, sets of values and uniqueness. A row of which something does not hold fails \
                               the run, which names it, or goes to the output `failed` with the reason. Of floats, -0.0 equals \
                               0.0, and NaN is above all numbers.";
    const OUTPUTS: &'static [&'static str] = &["out", "failed"];

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("assert takes one input")) };
        let mut mistakes = Mistakes::new();
        if config.check.is_empty() && config.unique.is_empty() {
            mistakes.add(Problem::at("", "there is nothing to check").help("write `check` or `unique`"));
        }
        let mut reads = Vec::new();
        for (at, check) in config.check.iter().enumerate() {
            reads.extend(Checker::described(&format!("/check/{at}"), check, input, &mut mistakes));
        }
        let unique = config.unique.iter().enumerate().map(|(at, name)| {
            let column = input.find(&format!("/unique/{at}"), name)?;
            column.expect("of a type whose values can be compared", is_ordered)
        });
        let unique: Vec<Column> = unique.filter_map(|column| mistakes.take(column)).collect();
        if config.on_failure == OnFailure::Stream && input.find("", REASON).is_ok() {
            let message = format!("the input has a column `{REASON}`, as the reasons have it");
            mistakes.add(Problem::at("/on-failure", message).help("rename it before, by `select@1`"));
        }
        mistakes.check()?;
        let read = match unique.is_empty() {
            true => Input::new(Class::RowWise, &reads),
            false => Input::keyed(&unique, &reads),
        };
        let rows = || Output::subset(input).pass_all(&input.all());
        let reason = (config.on_failure == OnFailure::Stream).then(|| field(REASON, DataType::Utf8, false));
        Ok(Description::new([read], [rows(), rows().write_all(reason)]))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let columns = opening.columns(0);
        let unique = columns.find_all("/unique", &config.unique)?;
        let fields: Vec<FieldRef> = unique.iter().map(|column| column.field.clone()).collect();
        let checkers = config.check.iter().map(|check| Checker::new(check, &columns)).collect::<Result<_>>()?;
        Ok(Self {
            checkers,
            on_failure: config.on_failure,
            unique: unique.iter().map(|column| column.index).collect(),
            unique_names: config.unique.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            keys: Grouper::new(&fields)?,
            rows: 0,
            failed: 0,
            told: Vec::new(),
        })
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let columns = batch.read_all()?;
        let mut reasons: Vec<Vec<String>> = vec![Vec::new(); batch.rows()];
        for checker in &self.checkers {
            checker.check(&columns, |row, reason| reasons[row].push(reason))?;
        }
        for row in self.repeated(&columns, batch.rows())? {
            reasons[row].push(format!("{} agree with an earlier row", self.unique_names));
        }
        let reasons: Vec<Option<String>> =
            reasons.into_iter().map(|all| (!all.is_empty()).then(|| all.join("; "))).collect();
        if self.on_failure == OnFailure::Fail {
            return self.note(reasons.iter().map(Option::as_deref), batch, outputs);
        }
        let good: BooleanArray = reasons.iter().map(|reason| Some(reason.is_none())).collect();
        let bad: BooleanArray = reasons.iter().map(|reason| Some(reason.is_some())).collect();
        if good.true_count() > 0 {
            outputs.emit(OUT, batch.filter(&good)?.derive(OUT, &[])?)?;
        }
        if bad.true_count() > 0 {
            let told: StringArray = reasons.into_iter().flatten().map(Some).collect();
            outputs.emit(FAILED, batch.filter(&bad)?.derive(FAILED, &[Arc::new(told)])?)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Outputs) -> Result<()> {
        if self.failed == 0 {
            return Ok(());
        }
        let rows = if self.failed == 1 { "1 row fails" } else { &format!("{} rows fail", self.failed) };
        let more = if self.failed > TOLD as u64 { "; ..." } else { "" };
        let message = format!("{rows} of {}: {}{more}", self.rows, self.told.join("; "));
        Err(Problem::new(message).help("`on-failure \"stream\"` gives such rows to the output `failed`"))
    }
}

impl Assert {
    /// Rows that agree with earlier ones in the columns of `unique`.
    fn repeated(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        if self.unique.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<ArrayRef> = self.unique.iter().map(|&column| columns[column].clone()).collect();
        let nulls = keys.iter().map(|key| key.logical_nulls());
        let nulls = nulls.reduce(|all, more| flowc_sdk::arrow::buffer::NullBuffer::union(all.as_ref(), more.as_ref()));
        let mut known = self.keys.len() as u32;
        let mut repeated = Vec::new();
        self.keys.each(&keys, rows, nulls.flatten().as_ref(), |row, number| match number == known {
            true => known += 1,
            false => repeated.push(row),
        })?;
        Ok(repeated)
    }

    /// Passes the rows on if all is well so far, and remembers what is not.
    fn note<'a>(
        &mut self,
        reasons: impl Iterator<Item = Option<&'a str>>,
        batch: Batch,
        outputs: &mut Outputs,
    ) -> Result<()> {
        for (row, reason) in (1..).zip(reasons).filter_map(|(row, reason)| Some((row, reason?))) {
            self.failed += 1;
            if self.told.len() < TOLD {
                self.told.push(format!("row {}: {reason}", self.rows + row));
            }
        }
        self.rows += batch.rows() as u64;
        match self.failed {
            0 => outputs.emit(OUT, batch),
            _ => Ok(()),
        }
    }
}

flowc_sdk::export!(Assert);

#[cfg(test)]
mod tests;
