//! Columns that are made.

use std::ops::Range;

use flowc_sdk::arrow::array::{Float64Array, Int64Array, StringBuilder, TimestampMillisecondArray};
use flowc_sdk::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use flowc_sdk::arrow::datatypes::TimeUnit;
use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::Value;
use serde::Deserialize;

use crate::random::Random;

/// A column that is made. Which of the settings count depends on the kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ColumnSpec {
    /// Its name.
    name: String,
    /// What kind of values it has.
    kind: Kind,
    /// `sequence`: the first number; 0 if left out.
    from: Option<i64>,
    /// `sequence`: from one row to the next; 1 if left out. `timestamp`: the same in milliseconds; 1000 if left out.
    step: Option<i64>,
    /// `int`, `float`: the least value; 0 if left out.
    min: Option<Value>,
    /// `int`: the greatest value; 100 if left out. `float`: the value that is not quite reached; 1 if left out.
    max: Option<Value>,
    /// `choice`: the values to choose from.
    values: Option<Vec<String>>,
    /// `text`: words in a row; 8 if left out.
    words: Option<u32>,
    /// `text`: how many different words there are; 1000 if left out. A few of them are frequent, as in any language.
    vocabulary: Option<u32>,
    /// `timestamp`: the first one, in UTC; 2024-01-01 if left out.
    start: Option<String>,
    /// The share of nulls, from 0 to 1; 0 if left out.
    #[serde(default)]
    nulls: f64,
}

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Numbers in steps.
    Sequence,
    /// Whole numbers, evenly spread.
    Int,
    /// Fractions, evenly spread.
    Float,
    /// One of some texts.
    Choice,
    /// Words.
    Text,
    /// Points in time, in steps.
    Timestamp,
}

/// Makes the values of a column.
pub(crate) struct Maker {
    name: String,
    random: Random,
    nulls: f64,
    values: Values,
}

enum Values {
    Sequence { from: i64, step: i64 },
    Int { min: i64, span: u64 },
    Float { min: f64, span: f64 },
    Choice(Vec<String>),
    Text { words: u32, vocabulary: u32 },
    Timestamp { start: i64, step: i64 },
}

impl Maker {
    /// Checks a column's settings; `path` is where they lie in the config.
    pub(crate) fn new(spec: &ColumnSpec, path: &str, seed: u64, rows: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&spec.nulls) {
            return Err(Problem::at(format!("{path}/nulls"), "a share is from 0 to 1"));
        }
        let values = match spec.kind {
            Kind::Sequence => sequence(spec, path, rows)?,
            Kind::Int => int(spec, path)?,
            Kind::Float => float(spec, path)?,
            Kind::Choice => choice(spec, path)?,
            Kind::Text => text(spec, path)?,
            Kind::Timestamp => timestamp(spec, path, rows)?,
        };
        Ok(Self { name: spec.name.clone(), random: Random::new(seed, &spec.name), nulls: spec.nulls, values })
    }

    /// The column's name and type.
    pub(crate) fn field(&self) -> FieldRef {
        let data_type = match self.values {
            Values::Sequence { .. } | Values::Int { .. } => DataType::Int64,
            Values::Float { .. } => DataType::Float64,
            Values::Choice(_) | Values::Text { .. } => DataType::Utf8,
            Values::Timestamp { .. } => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        };
        field(&self.name, data_type, self.nulls > 0.0)
    }

    /// The values of some rows.
    pub(crate) fn make(&self, rows: Range<u64>) -> ArrayRef {
        let random = self.random;
        // The first draw of a row says whether it is null, the others what it is.
        let kept = rows.map(|row| (random.unit(row, 0) >= self.nulls).then_some(row));
        match &self.values {
            Values::Sequence { from, step } => {
                Arc::new(kept.map(|row| row.map(|row| at(*from, *step, row))).collect::<Int64Array>())
            }
            Values::Int { min, span } => {
                let value = |row| min.wrapping_add(random.below(row, 1, *span) as i64);
                Arc::new(kept.map(|row| row.map(value)).collect::<Int64Array>())
            }
            Values::Float { min, span } => {
                let value = |row| min + random.unit(row, 1) * span;
                Arc::new(kept.map(|row| row.map(value)).collect::<Float64Array>())
            }
            Values::Choice(values) => {
                let value = |row| values[random.below(row, 1, values.len() as u64) as usize].as_str();
                Arc::new(kept.map(|row| row.map(value)).collect::<StringArray>())
            }
            Values::Text { words, vocabulary } => self.texts(kept, *words, *vocabulary),
            Values::Timestamp { start, step } => {
                let times = kept.map(|row| row.map(|row| at(*start, *step, row)));
                Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
            }
        }
    }

    fn texts(&self, rows: impl Iterator<Item = Option<u64>>, words: u32, vocabulary: u32) -> ArrayRef {
        let mut texts = StringBuilder::new();
        let mut text = String::new();
        for row in rows {
            let Some(row) = row else {
                texts.append_null();
                continue;
            };
            text.clear();
            for draw in 0..u64::from(words) {
                if draw > 0 {
                    text.push(' ');
                }
                let unit = self.random.unit(row, 1 + draw);
                push_word(&mut text, (unit * unit * unit * f64::from(vocabulary)) as u32);
            }
            texts.append_value(&text);
        }
        Arc::new(texts.finish())
    }
}

/// A number in steps; the range was checked.
fn at(start: i64, step: i64, row: u64) -> i64 {
    start.wrapping_add(step.wrapping_mul(row as i64))
}

/// A word that can be pronounced; frequent ones are short.
fn push_word(text: &mut String, number: u32) {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 5] = b"aeiou";
    let mut rest = number;
    loop {
        text.push(char::from(CONSONANTS[(rest % 16) as usize]));
        text.push(char::from(VOWELS[(rest / 16 % 5) as usize]));
        rest /= 80;
        if rest == 0 {
            return;
        }
        rest -= 1;
    }
}

fn sequence(spec: &ColumnSpec, path: &str, rows: u64) -> Result<Values> {
    let (from, step) = (spec.from.unwrap_or(0), spec.step.unwrap_or(1));
    check_last(from, step, rows, path)?;
    Ok(Values::Sequence { from, step })
}

fn timestamp(spec: &ColumnSpec, path: &str, rows: u64) -> Result<Values> {
    let text = spec.start.as_deref().unwrap_or("2024-01-01");
    let start = string_to_timestamp_nanos(text).map_err(|e| Problem::from(e).blame(&format!("{path}/start")))?;
    let (start, step) = (start.div_euclid(1_000_000), spec.step.unwrap_or(1000));
    check_last(start, step, rows, path)?;
    Ok(Values::Timestamp { start, step })
}

fn check_last(start: i64, step: i64, rows: u64, path: &str) -> Result<()> {
    let last = i128::from(start) + i128::from(step) * i128::from(rows.saturating_sub(1));
    let fits = i64::try_from(last).is_ok();
    if fits { Ok(()) } else { Err(Problem::at(format!("{path}/step"), "the last row's number is beyond 64 bits")) }
}

fn int(spec: &ColumnSpec, path: &str) -> Result<Values> {
    let number = |value: &Option<Value>, name: &str, otherwise: i64| match value {
        Some(value) => value.as_i64().ok_or_else(|| Problem::at(format!("{path}/{name}"), "this is no whole number")),
        None => Ok(otherwise),
    };
    let (min, max) = (number(&spec.min, "min", 0)?, number(&spec.max, "max", 100)?);
    let span = u64::try_from(i128::from(max) - i128::from(min) + 1).ok().filter(|span| *span > 0);
    let span = span.ok_or_else(|| Problem::at(format!("{path}/max"), format!("no number is from {min} to {max}")))?;
    Ok(Values::Int { min, span })
}

fn float(spec: &ColumnSpec, path: &str) -> Result<Values> {
    let number = |value: &Option<Value>, name: &str, otherwise: f64| match value {
        Some(value) => value.as_f64().ok_or_else(|| Problem::at(format!("{path}/{name}"), "this is no number")),
        None => Ok(otherwise),
    };
    let (min, max) = (number(&spec.min, "min", 0.0)?, number(&spec.max, "max", 1.0)?);
    match min < max {
        true => Ok(Values::Float { min, span: max - min }),
        false => Err(Problem::at(format!("{path}/max"), format!("no number is from {min} to below {max}"))),
    }
}

fn choice(spec: &ColumnSpec, path: &str) -> Result<Values> {
    match spec.values.as_deref() {
        Some(values) if !values.is_empty() => Ok(Values::Choice(values.to_vec())),
        _ => Err(Problem::at(format!("{path}/values"), "a choice needs values to choose from")),
    }
}

fn text(spec: &ColumnSpec, path: &str) -> Result<Values> {
    let (words, vocabulary) = (spec.words.unwrap_or(8), spec.vocabulary.unwrap_or(1000));
    match vocabulary {
        0 => Err(Problem::at(format!("{path}/vocabulary"), "text needs a word")),
        _ => Ok(Values::Text { words, vocabulary }),
    }
}
