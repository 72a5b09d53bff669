//! `select@1`: keeps, drops, renames and reorders columns. It reads none: columns pass by without a copy.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::collections::BTreeMap;

use flowc_sdk::prelude::*;
use serde::Deserialize;

/// What `select@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns to keep, in this order; all if left out.
    keep: Option<Vec<String>>,
    /// The columns to drop.
    #[serde(default)]
    drop: Vec<String>,
    /// New names by old names.
    #[serde(default)]
    rename: BTreeMap<String, String>,
}

/// An open `select@1`.
pub struct Select;

impl Stage for Select {
    type Config = Config;
    const DOC: &'static str =
        "Keeps, drops, renames and reorders columns. Rows stay as they are, and so do all values.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("select takes one input")) };
        let kept = kept(config, input)?;
        for old in config.rename.keys() {
            let path = format!("/rename/{}", pointer(old));
            input.find(&path, old)?;
            if !kept.iter().any(|column| column.name() == old) {
                return Err(Problem::at(path, format!("`{old}` is not kept, so it can't be renamed")));
            }
        }
        let name = |column: &Column| config.rename.get(column.name()).map_or(column.name(), String::as_str).to_owned();
        check_names(config, &kept.iter().map(name).collect::<Vec<_>>())?;
        let output = kept.iter().fold(Output::same(input), |output, column| output.pass_as(column, &name(column)));
        Ok(Description::new([Input::new(Class::RowWise, [])], [output]))
    }

    fn open(_: Config, _: Opening) -> Result<Self> {
        Ok(Self)
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        outputs.emit(0, batch)
    }
}

fn kept(config: &Config, input: &Columns) -> Result<Vec<Column>> {
    let dropped = input.find_all("/drop", &config.drop)?;
    match &config.keep {
        Some(_) if !dropped.is_empty() => Err(Problem::at("/drop", "`keep` says already which columns stay")),
        Some(keep) => input.find_all("/keep", keep),
        None => Ok(input.all().into_iter().filter(|c| dropped.iter().all(|d| d.index != c.index)).collect()),
    }
}

/// Refuses two columns of one name, at the place that is to blame.
fn check_names(config: &Config, names: &[String]) -> Result<()> {
    let twice = (1..names.len()).find(|&i| names[..i].contains(&names[i]));
    let Some(name) = twice.map(|i| &names[i]) else { return Ok(()) };
    let renamed = config.rename.iter().find(|(_, new)| *new == name);
    let path = renamed.map_or("/keep".to_owned(), |(old, _)| format!("/rename/{}", pointer(old)));
    Err(Problem::at(path, format!("the output would have two columns `{name}`")))
}

/// A name as a part of a JSON pointer.
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

flowc_sdk::export!(Select);

#[cfg(test)]
mod tests {
    use flowc_sdk::Rows;
    use flowc_sdk::arrow::array::Int32Array;
    use flowc_sdk::serde_json::{Value, json};
    use flowc_sdk::testing;

    use super::*;

    fn orders() -> RecordBatch {
        let column = |value: i32| Arc::new(Int32Array::from(vec![value, value + 1])) as ArrayRef;
        RecordBatch::try_from_iter([("id", column(1)), ("price", column(10)), ("note", column(100))]).unwrap()
    }

    fn select(config: Value) -> Result<RecordBatch> {
        Ok(testing::run::<Select>(&config, &[vec![orders()]])?.remove(0))
    }

    fn names(batch: &RecordBatch) -> Vec<String> {
        batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    #[test]
    fn columns_are_kept_in_the_order_named_under_new_names() {
        let batch = select(json!({"keep": ["price", "id"], "rename": {"id": "order"}})).unwrap();
        assert_eq!(names(&batch), ["price", "order"]);
        assert_eq!(batch.column(0), orders().column(1));
    }

    #[test]
    fn columns_are_dropped() {
        assert_eq!(names(&select(json!({"drop": ["price"]})).unwrap()), ["id", "note"]);
        assert_eq!(select(json!({"drop": ["id", "price", "note"]})).unwrap().num_rows(), 2);
    }

    #[test]
    fn nothing_is_read_and_rows_are_the_same() {
        let description = testing::describe::<Select>(&json!({}), &[orders().schema()]).unwrap();
        assert!(description.inputs[0].reads.is_empty());
        assert_eq!(description.outputs[0].rows, Rows::Same(0));
    }

    #[test]
    fn mistakes_are_blamed_on_their_place() {
        let path = |config| select(config).unwrap_err().config_path.unwrap();
        assert_eq!(path(json!({"keep": ["id", "prise"]})), "/keep/1");
        assert_eq!(path(json!({"keep": ["id"], "drop": ["price"]})), "/drop");
        assert_eq!(path(json!({"rename": {"id": "price"}})), "/rename/id");
        assert_eq!(path(json!({"keep": ["id"], "rename": {"price": "p"}})), "/rename/price");
        assert_eq!(path(json!({"keep": ["id", "id"]})), "/keep");
    }
}
