//! Numbers the rows of each key and sums them up: a keyed input, two outputs.

use flowc_sdk::HashMap;
use flowc_sdk::arrow::array::Int64Array;
use flowc_sdk::arrow::datatypes::Int64Type;
use flowc_sdk::prelude::*;
use serde::Deserialize;

/// What the pipeline's text configures.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text column whose equal values come together.
    by: String,
    /// The column of `Int64` to sum.
    sum: String,
}

/// One group of keys.
pub struct Numbered {
    by: usize,
    sum: usize,
    /// Keys in the order of their first rows.
    names: Vec<Option<String>>,
    /// Per key its place in that order.
    places: HashMap<Option<String>, usize>,
    /// Per key, rows and sum.
    totals: Vec<(i64, i64)>,
}

impl Numbered {
    /// Counts a row; gives its number among those of its key, from 1.
    fn add(&mut self, key: Option<&str>, value: i64) -> i64 {
        let key = key.map(str::to_owned);
        let place = *self.places.entry(key.clone()).or_insert(self.names.len());
        if place == self.names.len() {
            self.names.push(key);
            self.totals.push((0, 0));
        }
        let (rows, sum) = &mut self.totals[place];
        (*rows, *sum) = (*rows + 1, *sum + value);
        *rows
    }
}

impl Stage for Numbered {
    type Config = Config;
    const DOC: &'static str = "Numbers the rows of each key and sums them up.";
    const OUTPUTS: &'static [&'static str] = &["rows", "totals"];

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let by = inputs[0].text("/by", &config.by)?;
        let sum = inputs[0].find("/sum", &config.sum)?.expect("Int64", |found| *found == DataType::Int64)?;
        let number = |name| field(name, DataType::Int64, false);
        let rows = Output::same(&inputs[0]).pass_all(&inputs[0].all()).write(number("nth"));
        let key = field(by.name(), DataType::Utf8, true);
        let totals = Output::new_rows().write_all([key, number("rows"), number("sum")]);
        Ok(Description::new([Input::keyed(&[by], [&sum])], [rows, totals]))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let place = |name: &str| Ok::<_, Problem>(opening.columns(0).find("", name)?.index);
        let (by, sum) = (place(&config.by)?, place(&config.sum)?);
        Ok(Self { by, sum, names: Vec::new(), places: HashMap::default(), totals: Vec::new() })
    }

    fn push(&mut self, _port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let (keys, values) = (text(&batch.column(self.by)?)?, batch.column(self.sum)?);
        let values = values.as_primitive::<Int64Type>();
        let rows = keys.iter().zip(values.iter());
        let nth: Int64Array = rows.map(|(key, value)| Some(self.add(key, value.unwrap_or(0)))).collect();
        outputs.emit(0, batch.derive(0, &[Arc::new(nth)])?)
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        let names: StringArray = self.names.iter().map(Option::as_deref).collect();
        let number = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let (rows, sums) = self.totals.iter().copied().unzip();
        outputs.write(1, &[Arc::new(names), number(rows), number(sums)])
    }
}

flowc_sdk::export!(Numbered);

#[cfg(test)]
mod tests {
    use flowc_sdk::arrow::error::ArrowError;
    use flowc_sdk::serde_json::json;
    use flowc_sdk::testing;

    use super::*;

    fn visits(who: &[&str], spent: &[i64]) -> Result<RecordBatch, ArrowError> {
        let who = Arc::new(StringArray::from(who.to_vec())) as ArrayRef;
        RecordBatch::try_from_iter([("who", who), ("spent", Arc::new(Int64Array::from(spent.to_vec())) as ArrayRef)])
    }

    #[test]
    fn rows_of_a_key_come_together_from_all_segments() -> Result<()> {
        let segments = vec![visits(&["ann", "bob", "eve"], &[1, 2, 3])?, visits(&["bob", "ann", "bob"], &[4, 5, 6])?];
        let outputs = testing::run::<Numbered>(&json!({"by": "who", "sum": "spent"}), &[segments])?;
        assert_eq!(outputs[0].num_rows(), 6);
        let column = |output: usize, column: usize| outputs[output].column(column).clone();
        let (names, rows, sums) = (column(1, 0), column(1, 1), column(1, 2));
        let names = names.as_string::<i32>().iter().flatten();
        let totals = rows.as_primitive::<Int64Type>().values().iter().zip(sums.as_primitive::<Int64Type>().values());
        let mut totals: Vec<_> = names.zip(totals).collect();
        totals.sort();
        assert_eq!(totals, [("ann", (&2, &6)), ("bob", (&3, &12)), ("eve", (&1, &3))]);
        Ok(())
    }
}
