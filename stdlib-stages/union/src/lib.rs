//! `union@1`: the rows of two inputs, one behind the other.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use flowc_sdk::arrow::array::new_null_array;
use flowc_sdk::prelude::*;
use serde::Deserialize;
use stage_parts::Mistakes;

/// What `union@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of columns that only one of the inputs has.
    #[serde(default)]
    missing: Missing,
}

/// What becomes of columns that only one of the inputs has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// They are a mistake.
    #[default]
    Fail,
    /// They are null in the rows of the other.
    Null,
    /// They are dropped.
    Drop,
}

/// An open `union@1`: by input, the places of the output's columns among its own.
pub struct Union {
    fields: Vec<FieldRef>,
    places: [Vec<Option<usize>>; 2],
}

impl Stage for Union {
    type Config = Config;
    const DOC: &'static str =
        "Puts the rows of `b` behind those of `a`. Columns go by their names; their types must be equal.";
    const INPUTS: &'static [&'static str] = &["a", "b"];

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [a, b] = inputs else { return Err(Problem::new("union takes `a` and `b`")) };
        let mut mistakes = Mistakes::new();
        let fields = fields(config.missing, a, b, &mut mistakes);
        mistakes.check()?;
        let reads = |input: &Columns| {
            let all = input.all().into_iter();
            Input::new(
                Class::Whole,
                &all.filter(|own| fields.iter().any(|f| f.name() == own.name())).collect::<Vec<_>>(),
            )
        };
        let inputs = [reads(a), reads(b)];
        Ok(Description::new(inputs, [Output::new_rows().write_all(fields)]))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let inputs = [opening.columns(0), opening.columns(1)];
        let fields = fields(config.missing, &inputs[0], &inputs[1], &mut Mistakes::new());
        let place = |input: &Columns, field: &FieldRef| Some(input.find("", field.name()).ok()?.index);
        let places = inputs.map(|input| fields.iter().map(|field| place(&input, field)).collect());
        Ok(Self { fields, places })
    }

    fn push(&mut self, port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let own = batch.read_all()?;
        let columns = self.fields.iter().zip(&self.places[port]).map(|(field, place)| match place {
            Some(place) => own[*place].clone(),
            None => new_null_array(field.data_type(), batch.rows()),
        });
        outputs.write_rows(0, batch.rows(), &columns.collect::<Vec<_>>())
    }
}

/// The columns that come out: those of `a`, then those that only `b` has.
fn fields(missing: Missing, a: &Columns, b: &Columns, mistakes: &mut Mistakes) -> Vec<FieldRef> {
    let mut fields = Vec::new();
    let mut alone = |field: &FieldRef, other: &str| match missing {
        Missing::Fail => {
            let problem = Problem::new(format!("`{other}` has no column `{}`", field.name()));
            mistakes
                .add(problem.help("`missing \"null\"` makes it null there, `missing \"drop\"` leaves the column out"));
            None
        }
        Missing::Null => Some(Arc::new(field.as_ref().clone().with_nullable(true))),
        Missing::Drop => None,
    };
    let mut unequal = Vec::new();
    for own in a.all() {
        let Ok(other) = b.find("", own.name()) else {
            fields.extend(alone(&own.field, "b"));
            continue;
        };
        if own.data_type() != other.data_type() {
            let message =
                format!("column `{}` is {} in `a` and {} in `b`", own.name(), own.data_type(), other.data_type());
            unequal.push(Problem::new(message).help("give one of them the other's type, by `cast@1`"));
        }
        let nullable = own.field.is_nullable() || other.field.is_nullable();
        fields.push(field(own.name(), own.data_type().clone(), nullable));
    }
    for other in b.all().iter().filter(|other| a.find("", other.name()).is_err()) {
        fields.extend(alone(&other.field, "a"));
    }
    unequal.into_iter().for_each(|problem| mistakes.add(problem));
    fields
}

flowc_sdk::export!(Union);

#[cfg(test)]
mod tests {
    use flowc_sdk::arrow::array::{Float64Array, Int64Array};
    use flowc_sdk::arrow::datatypes::Int64Type;
    use flowc_sdk::serde_json::{Value, json};
    use flowc_sdk::testing;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn ids(ids: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(ids.to_vec()))
    }

    fn texts(texts: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn run(config: Value, a: Vec<RecordBatch>, b: Vec<RecordBatch>) -> Result<RecordBatch> {
        Ok(testing::run::<Union>(&config, &[a, b])?.remove(0))
    }

    #[test]
    fn rows_come_one_behind_the_other_and_columns_go_by_name() {
        let a = batch(vec![("id", ids(&[1, 2])), ("t", texts(&["a", "b"]))]);
        let b = batch(vec![("t", texts(&["c"])), ("id", ids(&[3]))]);
        let both = run(json!({}), vec![a.slice(0, 1), a.slice(1, 1)], vec![b.slice(0, 0), b]).unwrap();
        assert_eq!(both.column(0).as_primitive::<Int64Type>().values().to_vec(), [1, 2, 3]);
        assert_eq!(both.column(1).as_string::<i32>(), &StringArray::from(vec!["a", "b", "c"]));
        assert!(!both.schema().field(0).is_nullable());
    }

    #[test]
    fn columns_of_one_input_are_null_or_dropped() {
        let a = batch(vec![("id", ids(&[1])), ("t", texts(&["a"]))]);
        let b = batch(vec![("x", Arc::new(Float64Array::from(vec![0.5]))), ("id", ids(&[2]))]);
        let both = run(json!({"missing": "null"}), vec![a.clone()], vec![b.clone()]).unwrap();
        let names: Vec<_> = both.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id", "t", "x"]);
        assert_eq!((both.column(1).is_null(1), both.column(2).is_null(0)), (true, true));
        let both = run(json!({"missing": "drop"}), vec![a], vec![b]).unwrap();
        assert_eq!((both.num_columns(), both.num_rows()), (1, 2));
    }

    #[test]
    fn all_mistakes_are_told() {
        let a = batch(vec![("id", ids(&[1])), ("t", texts(&["a"]))]);
        let b = batch(vec![("id", texts(&["1"])), ("x", ids(&[1]))]);
        let problem = run(json!({}), vec![a], vec![b]).unwrap_err();
        assert_eq!(
            problem.message,
            "\
`b` has no column `t`
also: `a` has no column `x` (`missing \"null\"` makes it null there, `missing \"drop\"` leaves the column out)
also: column `id` is Int64 in `a` and Utf8 in `b` (give one of them the other's type, by `cast@1`)"
        );
    }
}
