//! `cast@1`: gives columns other types.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use flowc_sdk::prelude::*;
use serde::Deserialize;
use stage_parts::{Reader, Value, Writer, converts, plain, plain_type, rewrites, text};

/// What `cast@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Columns and their new types.
    cast: Vec<Cast>,
}

/// A column and its new type.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cast {
    /// The column.
    column: String,
    /// Its new type, such as `Int64`, `Utf8`, `Decimal128(10, 2)` or `Timestamp(us, "UTC")`.
    to: String,
    /// Name of the new column; the old one's, whose place it takes, if left out.
    #[serde(rename = "as")]
    name: Option<String>,
    /// Round away digits that the new type has no room for; otherwise they are an error.
    #[serde(default)]
    round: bool,
    /// What becomes of a value that is none of the new type.
    #[serde(default)]
    on_error: OnError,
}

/// What becomes of a value that is none of the new type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// It is null.
    Null,
}

/// An open `cast@1`: casts in the order of the columns that they write, each with the number of the column that it reads.
pub struct Casting(Vec<(usize, Cast)>);

impl Stage for Casting {
    type Config = Config;
    const DOC: &'static str = "Gives columns other types. A value that is none of the new type, or that has digits which \
                               the type has no room for, is an error that names it, or null.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("cast takes one input")) };
        rewrites(input, ("/cast", &config.cast), "there is nothing to cast", |at, path, mistakes| {
            let cast = &config.cast[at];
            let is_there = cast.name() != cast.column && input.find("", cast.name()).is_ok();
            if is_there || config.cast[..at].iter().any(|other| other.name() == cast.name()) {
                let place = if cast.name.is_some() { "as" } else { "column" };
                let message = format!("the output would have two columns `{}`", cast.name());
                mistakes.add(Problem::at(format!("{path}/{place}"), message));
            }
            cast.describe(path, input).map(|(column, field)| (vec![column], field))
        })
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let columns = opening.columns(0);
        let numbered = |cast: Cast| Ok((columns.find("/cast", &cast.column)?.index, cast));
        let mut casts = config.cast.into_iter().map(numbered).collect::<Result<Vec<(usize, Cast)>>>()?;
        // New columns come behind those that take an old one's place.
        casts.sort_by_key(|(column, cast)| if cast.name() == cast.column { *column } else { usize::MAX });
        Ok(Self(casts))
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let columns = batch.read_all()?;
        let written = self.0.iter().map(|(column, cast)| cast.cast(&columns[*column]));
        outputs.emit(0, batch.derive(0, &written.collect::<Result<Vec<_>>>()?)?)
    }
}

impl Cast {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.column)
    }

    fn data_type(&self) -> Result<DataType> {
        let problem = |_| {
            let known = "Boolean, Int64, Float64, Utf8, Date32, Timestamp(us, \"UTC\"), Decimal128(10, 2), ...";
            Problem::new(format!("`{}` is no type", self.to)).help(format!("one of Arrow's types: {known}"))
        };
        self.to.parse().map_err(problem)
    }

    fn describe(&self, path: &str, input: &Columns) -> Result<(Column, FieldRef)> {
        let to = format!("{path}/to");
        let data_type = self.data_type().map_err(|problem| problem.blame(&to))?;
        let column = input.find(&format!("{path}/column"), &self.column)?;
        let from = plain_type(column.data_type());
        if !converts(from, &data_type) {
            return Err(Problem::at(
                to,
                format!("column `{}` is {from}, which does not become {data_type}", self.column),
            ));
        }
        let nullable = column.field.is_nullable() || self.on_error == OnError::Null;
        Ok((column, field(self.name(), data_type, nullable)))
    }

    fn cast(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let data_type = self.data_type()?;
        let column = plain(column)?;
        if *column.data_type() == data_type {
            return Ok(column);
        }
        let (reader, mut writer) = (Reader::new(&column)?, Writer::new(&data_type, self.round)?);
        let nulls = column.logical_nulls();
        for row in 0..column.len() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                writer.push_null();
                continue;
            }
            let value = reader.value(row);
            match writer.push(value) {
                Ok(()) => {}
                Err(_) if self.on_error == OnError::Null => writer.push_null(),
                Err(misfit) => {
                    let message = format!("column `{}`: {}", self.column, misfit.told(&told(value), &data_type));
                    return Err(
                        Problem::new(message).help("`on-error \"null\"` makes such values null, `round #true` rounds")
                    );
                }
            }
        }
        writer.finish()
    }
}

/// A value for messages, cut where it is long.
fn told(value: Value<'_>) -> String {
    let all = text(value);
    let start: String = all.chars().take(80).collect();
    let dots = if start.len() < all.len() { "..." } else { "" };
    match value {
        Value::Text(_) | Value::Bytes(_) => format!("\"{start}{dots}\""),
        _ => start,
    }
}

flowc_sdk::export!(Casting);

#[cfg(test)]
mod tests;
