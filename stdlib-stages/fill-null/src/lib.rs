//! `fill-null@1`: puts values in the place of nulls.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use flowc_sdk::arrow::array::{ArrayData, make_array};
use flowc_sdk::arrow::buffer::Buffer;
use flowc_sdk::prelude::*;
use flowc_sdk::serde_json;
use serde::Deserialize;
use stage_parts::{filled, literal, plain_type, rewrites};

/// What `fill-null@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is filled in, column by column.
    fill: Vec<Fill>,
}

/// What is filled into a column.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// The column.
    column: String,
    /// The value. Dates, times and decimals may be text.
    value: Option<serde_json::Value>,
    /// The column to take values from, of the same type.
    from: Option<String>,
}

/// An open `fill-null@1`: the columns that are filled, in the order of the input.
pub struct FillNull(Vec<Filling>);

/// A column that is filled, by its number among those that are read.
struct Filling {
    column: usize,
    values: Values,
}

/// What it is filled with.
enum Values {
    /// A column of one value.
    One(ArrayRef),
    /// Another column, by its number.
    Column(usize),
}

impl Stage for FillNull {
    type Config = Config;
    const DOC: &'static str = "Puts a value, or another column's value, in the place of nulls. NaN is no null.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("fill-null takes one input")) };
        rewrites(input, ("/fill", &config.fill), "there is nothing to fill in", |at, path, mistakes| {
            let fill = &config.fill[at];
            if config.fill[..at].iter().any(|other| other.column == fill.column) {
                let message = format!("`{}` is filled already", fill.column);
                mistakes.add(Problem::at(format!("{path}/column"), message));
            }
            fill.describe(path, input)
        })
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let columns = opening.columns(0);
        let filling = |fill: &Fill| {
            let column = columns.find("/fill", &fill.column)?;
            let values = match (&fill.value, &fill.from) {
                (None, Some(from)) => Values::Column(columns.find("/fill", from)?.index),
                (value, _) => Values::One(one(column.data_type(), value.as_ref().unwrap_or(&serde_json::Value::Null))?),
            };
            Ok(Filling { column: column.index, values })
        };
        let mut fillings = config.fill.iter().map(filling).collect::<Result<Vec<_>>>()?;
        fillings.sort_by_key(|filling| filling.column);
        Ok(Self(fillings))
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let columns = batch.read_all()?;
        let written = self.0.iter().map(|filling| match &filling.values {
            Values::One(value) => filled(&columns[filling.column], value, |_| 0),
            Values::Column(other) => filled(&columns[filling.column], &columns[*other], |row| row),
        });
        outputs.emit(0, batch.derive(0, &written.collect::<Result<Vec<_>>>()?)?)
    }
}

impl Fill {
    /// What is read and what is written.
    fn describe(&self, path: &str, input: &Columns) -> Result<(Vec<Column>, FieldRef)> {
        let column = input.find(&format!("{path}/column"), &self.column)?;
        let field = |nullable: bool| Arc::new(column.field.as_ref().clone().with_nullable(nullable));
        match (&self.value, &self.from) {
            (Some(value), None) => {
                one(column.data_type(), value).map_err(|problem| problem.blame(&format!("{path}/value")))?;
                let field = field(false);
                Ok((vec![column], field))
            }
            (None, Some(from)) => {
                let data_type = column.data_type();
                let from = input.find(&format!("{path}/from"), from)?;
                let from = from.expect(&format!("{data_type} as `{}`", self.column), |other| other == data_type)?;
                let field = field(column.field.is_nullable() && from.field.is_nullable());
                Ok((vec![column, from], field))
            }
            _ => Err(Problem::at(path, "either a `value` or a column `from` which to take it is needed")),
        }
    }
}

/// A column of one value of this type; a dictionary of one value for dictionaries.
fn one(data_type: &DataType, value: &serde_json::Value) -> Result<ArrayRef> {
    let plain = literal(plain_type(data_type), value)?;
    match data_type {
        DataType::Dictionary(..) => {
            let codes = ArrayData::builder(data_type.clone()).len(1).add_buffer(Buffer::from(vec![0_u8; 8]));
            Ok(make_array(codes.add_child_data(plain.to_data()).build()?))
        }
        DataType::RunEndEncoded(..) => Err(Problem::new("columns of runs can't be filled")),
        _ => Ok(plain),
    }
}

flowc_sdk::export!(FillNull);

#[cfg(test)]
mod tests;
