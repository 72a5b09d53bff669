//! `dedup@1`: keeps one row of each key.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod latest;

use flowc_sdk::prelude::*;
use serde::Deserialize;
use stage_parts::{Format, Grouper, Mistakes, is_ordered};

use latest::Latest;

/// What `dedup@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Columns that rows agree in if they are duplicates; all of them if left out.
    by: Option<Vec<String>>,
    /// Which of the rows stays.
    #[serde(default)]
    keep: Keep,
    /// The column that says which row is first and which is last; the order of the rows if left out.
    order: Option<String>,
}

/// Which row stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The first one.
    #[default]
    First,
    /// The last one.
    Last,
}

/// A row, by the number of its batch and its own within it.
#[derive(Clone, Copy)]
struct Place {
    batch: u32,
    row: u32,
}

/// An open `dedup@1`.
pub struct Dedup {
    keep: Keep,
    /// Where the key columns lie in what is read.
    by: Vec<usize>,
    keys: Grouper,
    order: Option<Order>,
    /// Batches of which rows may stay; none if that is known at once.
    batches: Vec<Batch>,
    /// By key, the row that stays.
    places: Vec<Place>,
}

/// The column that orders rows.
struct Order {
    column: usize,
    format: Format,
    /// By key, the value of the row that stays.
    latest: Latest,
}

impl Stage for Dedup {
    type Config = Config;
    const DOC: &'static str = "Keeps one row of each key, the first or the last by a column or by the order of rows, with \
                               all its columns. Null is a key like any other. Of floats, -0.0 equals 0.0, and NaN equals \
                               NaN.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("dedup takes one input")) };
        let mut mistakes = Mistakes::new();
        let by = mistakes.take(config.by(input)).unwrap_or_default();
        for column in &by {
            mistakes.take(column.clone().expect("of a type whose values can be compared", is_ordered));
        }
        if by.is_empty() && config.by.as_ref().is_none_or(Vec::is_empty) {
            mistakes.add(Problem::at("/by", "rows without a key column have nothing to agree in"));
        }
        let order = config.order.as_ref().map(|order| {
            let column = input.find("/order", order);
            column.and_then(|column| column.expect("of a type whose values can be compared", is_ordered))
        });
        let order = order.and_then(|order| mistakes.take(order));
        mistakes.check()?;
        Ok(Description::new([Input::keyed(&by, &order)], [Output::subset(input).pass_all(&input.all())]))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let columns = opening.columns(0);
        let by = config.by(&columns)?;
        let fields: Vec<FieldRef> = by.iter().map(|column| column.field.clone()).collect();
        let order = config.order.as_ref().map(|order| {
            let column = columns.find("/order", order)?;
            let format = Format::new(&[column.field])?;
            Ok::<_, Problem>(Order { column: column.index, latest: Latest::new(&format)?, format })
        });
        Ok(Self {
            keep: config.keep,
            by: by.iter().map(|column| column.index).collect(),
            keys: Grouper::new(&fields)?,
            order: order.transpose()?,
            batches: Vec::new(),
            places: Vec::new(),
        })
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let known = self.keys.len() as u32;
        let numbers = self.keys.numbers(&batch.read(&self.by)?, batch.rows())?;
        if self.order.is_none() && self.keep == Keep::First {
            let mut next = known;
            let is_new = |number: u32| {
                let is_new = number == next;
                next += u32::from(is_new);
                Some(is_new)
            };
            return emit(&batch, &numbers.into_iter().map(is_new).collect(), outputs);
        }
        let place = |row: usize| Place { batch: self.batches.len() as u32, row: row as u32 };
        let values = self.order.as_ref().map(|order| {
            let column = batch.column(order.column)?;
            order.format.rows(&[column], batch.rows())
        });
        let values = values.transpose()?;
        for (row, number) in numbers.into_iter().enumerate() {
            let number = number as usize;
            let is_new = number == self.places.len();
            let is_better = match (&mut self.order, &values) {
                (Some(order), Some(values)) => order.latest.offer(number, values, row, self.keep)?,
                _ => self.keep == Keep::Last,
            };
            if is_new {
                self.places.push(place(row));
            } else if is_better {
                self.places[number] = place(row);
            }
        }
        self.batches.push(batch);
        Ok(())
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        let mut staying: Vec<Vec<bool>> = self.batches.iter().map(|batch| vec![false; batch.rows()]).collect();
        for place in &self.places {
            staying[place.batch as usize][place.row as usize] = true;
        }
        let pairs = std::mem::take(&mut self.batches).into_iter().zip(staying);
        pairs.into_iter().try_for_each(|(batch, staying)| emit(&batch, &BooleanArray::from(staying), outputs))
    }
}

fn emit(batch: &Batch, staying: &BooleanArray, outputs: &mut Outputs) -> Result<()> {
    match staying.true_count() {
        0 => Ok(()),
        _ => outputs.emit(0, batch.filter(staying)?.derive(0, &[])?),
    }
}

impl Config {
    fn by(&self, input: &Columns) -> Result<Vec<Column>> {
        match &self.by {
            Some(by) => input.find_all("/by", by),
            None => Ok(input.all()),
        }
    }
}

flowc_sdk::export!(Dedup);

#[cfg(test)]
mod tests;
