//! `sort@1`: sorts the rows of each segment.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::cmp::Ordering;

use flowc_sdk::prelude::*;
use serde::Deserialize;
use stage_parts::{Format, Mistakes, Rows, gather, is_ordered};

/// What `sort@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns to sort by, the first one before the others.
    by: Vec<By>,
}

/// A column to sort by.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// The column.
    column: String,
    /// Which values come first.
    #[serde(default)]
    order: Direction,
}

/// Which values come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Null, then the least ones.
    #[default]
    Asc,
    /// The greatest ones; null comes last.
    Desc,
}

/// An open `sort@1`.
pub struct Sort {
    by: Vec<Key>,
    /// Columns of all batches so far, by column.
    columns: Vec<Vec<ArrayRef>>,
    /// By batch, its number of rows.
    lengths: Vec<usize>,
}

/// A column to sort by.
struct Key {
    column: usize,
    direction: Direction,
    format: Format,
    /// The column's values in each batch.
    rows: Vec<Rows>,
}

impl Stage for Sort {
    type Config = Config;
    const DOC: &'static str = "Sorts the rows of each segment by some columns. Rows that are equal there stay in their \
                               order. Null comes before all values. Of floats, -0.0 equals 0.0, and NaN is above all numbers.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("sort takes one input")) };
        let mut mistakes = Mistakes::new();
        if config.by.is_empty() {
            mistakes.add(Problem::at("/by", "there is nothing to sort by"));
        }
        for (at, by) in config.by.iter().enumerate() {
            let path = format!("/by/{at}/column");
            let column = input.find(&path, &by.column);
            mistakes
                .take(column.and_then(|column| column.expect("of a type whose values can be compared", is_ordered)));
            if config.by[..at].iter().any(|other| other.column == by.column) {
                mistakes.add(Problem::at(path, format!("`{}` is named twice", by.column)));
            }
        }
        mistakes.check()?;
        let all = input.all();
        let output = Output::new_rows().write_all(all.iter().map(|column| column.field.clone()));
        Ok(Description::new([Input::new(Class::PerSegment, &all)], [output]))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let columns = opening.columns(0);
        let key = |by: &By| {
            let column = columns.find("/by", &by.column)?;
            let format = Format::new(&[column.field])?;
            Ok(Key { column: column.index, direction: by.order, format, rows: Vec::new() })
        };
        let by = config.by.iter().map(key).collect::<Result<_>>()?;
        Ok(Self { by, columns: vec![Vec::new(); columns.schema.fields().len()], lengths: Vec::new() })
    }

    fn push(&mut self, _: usize, batch: Batch, _: &mut Outputs) -> Result<()> {
        let columns = batch.read_all()?;
        for key in &mut self.by {
            key.rows.push(key.format.rows(std::slice::from_ref(&columns[key.column]), batch.rows())?);
        }
        self.lengths.push(batch.rows());
        columns.into_iter().zip(&mut self.columns).for_each(|(column, all)| all.push(column));
        Ok(())
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        let batches = self.lengths.iter().zip(0..);
        let mut picks: Vec<(u32, u32)> =
            batches.flat_map(|(rows, batch)| (0..*rows as u32).map(move |row| (batch, row))).collect();
        picks.sort_by(|a, b| self.compare(*a, *b));
        for picks in picks.chunks(flowc_sdk::MAX_ROWS) {
            let columns = self.columns.iter().map(|column| gather(column, picks));
            outputs.write(0, &columns.collect::<Result<Vec<_>>>()?)?;
        }
        Ok(())
    }
}

impl Sort {
    fn compare(&self, a: (u32, u32), b: (u32, u32)) -> Ordering {
        let unequal = self.by.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne());
        unequal.unwrap_or(Ordering::Equal)
    }
}

impl Key {
    fn compare(&self, a: (u32, u32), b: (u32, u32)) -> Ordering {
        let order = self.rows[a.0 as usize].compare(a.1 as usize, &self.rows[b.0 as usize], b.1 as usize);
        if self.direction == Direction::Desc { order.reverse() } else { order }
    }
}

flowc_sdk::export!(Sort);

#[cfg(test)]
mod tests {
    use flowc_sdk::arrow::array::{DictionaryArray, Float64Array, Int64Array, ListArray};
    use flowc_sdk::arrow::datatypes::{Int8Type, Int64Type};
    use flowc_sdk::serde_json::{Value, json};
    use flowc_sdk::testing;

    use super::*;

    fn rows() -> RecordBatch {
        let columns: [(&str, ArrayRef); 4] = [
            ("row", Arc::new(Int64Array::from_iter_values(0..6))),
            (
                "x",
                Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN), Some(-0.0), Some(0.0), Some(1.5)])),
            ),
            (
                "t",
                Arc::new(
                    [Some("b"), Some("a"), None, Some("a"), Some("ab"), Some("a")]
                        .into_iter()
                        .collect::<DictionaryArray<Int8Type>>(),
                ),
            ),
            ("list", Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>((0..6).map(|n| Some(vec![Some(n)]))))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    fn sorted(by: Value) -> Result<Vec<i64>> {
        let batch = testing::run::<Sort>(&json!({"by": by}), &[vec![rows()]])?.remove(0);
        let lists = batch.column(3).as_list::<i32>();
        let numbers = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        let whole = (0..6).all(|row| lists.value(row).as_primitive::<Int8Type>().value(0) == numbers[row] as i8);
        assert!(whole, "columns that are not sorted by come along");
        Ok(numbers)
    }

    #[test]
    fn rows_are_sorted_by_columns_in_both_directions() {
        assert_eq!(sorted(json!([{"column": "x"}])).unwrap(), [1, 3, 4, 0, 5, 2]);
        assert_eq!(sorted(json!([{"column": "x", "order": "desc"}])).unwrap(), [2, 0, 5, 3, 4, 1]);
        assert_eq!(sorted(json!([{"column": "t"}, {"column": "x", "order": "desc"}])).unwrap(), [2, 5, 3, 1, 4, 0]);
        assert_eq!(
            sorted(json!([{"column": "t", "order": "desc"}, {"column": "row", "order": "desc"}])).unwrap(),
            [0, 4, 5, 3, 1, 2]
        );
    }

    #[test]
    fn each_segment_is_sorted_alone() {
        let segments = vec![rows().slice(0, 3), rows().slice(3, 0), rows().slice(3, 3)];
        let batch = testing::run::<Sort>(&json!({"by": [{"column": "x"}]}), &[segments]).unwrap().remove(0);
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values().to_vec(), [1, 0, 2, 3, 4, 5]);
    }

    #[test]
    fn all_mistakes_are_told() {
        let problem =
            sorted(json!([{"column": "list"}, {"column": "x"}, {"column": "x"}, {"column": "y"}])).unwrap_err();
        assert_eq!(problem.config_path.as_deref(), Some("/by/0/column"));
        assert!(problem.message.contains("also at `/by/2/column`: `x` is named twice\nalso at `/by/3/column`"));
        assert_eq!(sorted(json!([])).unwrap_err().config_path.as_deref(), Some("/by"));
    }
}
