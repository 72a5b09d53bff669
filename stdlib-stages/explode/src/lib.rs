//! `explode@1`: makes a row of each item of a list.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use flowc_sdk::arrow::array::{Int64Array, UInt32Array};
use flowc_sdk::prelude::*;
use serde::Deserialize;
use stage_parts::{Mistakes, gather_or_null};

/// What `explode@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column of lists.
    column: String,
    /// Name of the column of items; the list's, whose place it takes, if left out.
    #[serde(rename = "as")]
    name: Option<String>,
    /// Name of a new column with the item's number in its list, from 0.
    position: Option<String>,
    /// What becomes of rows whose list is null or has no items.
    #[serde(default)]
    empty: Empty,
}

/// What becomes of rows without items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Empty {
    /// They are dropped.
    #[default]
    Drop,
    /// They stay, and the item is null.
    Keep,
}

/// An open `explode@1`.
pub struct Explode {
    empty: Empty,
    position: bool,
}

impl Stage for Explode {
    type Config = Config;
    const DOC: &'static str = "Makes a row of each item of a list, with all other columns. Rows without items are dropped, or \
                               stay with null.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("explode takes one input")) };
        let mut mistakes = Mistakes::new();
        let column = input.find("/column", &config.column);
        let column =
            mistakes.take(column.and_then(|column| column.expect("a list", |data_type| item(data_type).is_some())));
        let others = |name: &str| name != config.column && input.find("", name).is_ok();
        let named = [("/as", &config.name), ("/position", &config.position)];
        for (path, name) in named.iter().filter_map(|(path, name)| Some((*path, name.as_ref()?))) {
            if others(name) || (path == "/position" && *name == *config.name()) {
                mistakes.add(Problem::at(path, format!("the output would have two columns `{name}`")));
            }
        }
        mistakes.check()?;
        let column = column.ok_or_else(|| Problem::new("no column"))?;
        let item = item(column.data_type()).ok_or_else(|| Problem::new("no list"))?;
        let written = item.as_ref().clone().with_name(config.name());
        let written = Arc::new(written.with_nullable(item.is_nullable() || config.empty == Empty::Keep));
        let output =
            input.all().iter().fold(Output::subset(input), |output, other| match other.index == column.index {
                true => output.write(written.clone()),
                false => output.pass(other),
            });
        let position = config.position.as_ref().map(|name| field(name, DataType::Int64, config.empty == Empty::Keep));
        Ok(Description::new([Input::new(Class::RowWise, [&column])], [output.write_all(position)]))
    }

    fn open(config: Config, _: Opening) -> Result<Self> {
        Ok(Self { empty: config.empty, position: config.position.is_some() })
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let column = batch.column(0)?;
        let (spans, items) = spans(&column)?;
        let (mut rows, mut picks, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (start, end)) in (0..).zip(spans) {
            if start == end && self.empty == Empty::Keep {
                rows.push(row);
                picks.push(None);
                positions.push(None);
            }
            for item in start..end {
                rows.push(row);
                picks.push(Some(item));
                positions.push(Some((item - start) as i64));
            }
        }
        // A few long lists must not make batches of any length.
        for start in (0..rows.len()).step_by(flowc_sdk::MAX_ROWS) {
            let piece = start..rows.len().min(start + flowc_sdk::MAX_ROWS);
            let mut written = vec![gather_or_null(&items, &picks[piece.clone()])?];
            if self.position {
                written.push(Arc::new(positions[piece.clone()].iter().copied().collect::<Int64Array>()));
            }
            let taken = batch.take(&UInt32Array::from(rows[piece].to_vec()))?;
            outputs.emit(0, taken.derive(0, &written)?)?;
        }
        Ok(())
    }
}

impl Config {
    fn name(&self) -> &String {
        self.name.as_ref().unwrap_or(&self.column)
    }
}

/// The items of a type of lists.
fn item(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item),
        DataType::Map(entries, _) => Some(entries),
        _ => None,
    }
}

/// By row, where its items begin and end; and all items. The list of a null has none.
fn spans(column: &ArrayRef) -> Result<(Vec<(usize, usize)>, ArrayRef)> {
    let valid = |row: usize| column.is_valid(row);
    let shown = |row: usize, (start, end): (usize, usize)| if valid(row) { (start, end) } else { (0, 0) };
    let rows = 0..column.len();
    if let Some(lists) = column.as_list_opt::<i32>() {
        let ends = lists.value_offsets();
        let span = |row: usize| shown(row, (ends[row] as usize, ends[row + 1] as usize));
        return Ok((rows.map(span).collect(), lists.values().clone()));
    }
    if let Some(lists) = column.as_list_opt::<i64>() {
        let ends = lists.value_offsets();
        let span = |row: usize| shown(row, (ends[row] as usize, ends[row + 1] as usize));
        return Ok((rows.map(span).collect(), lists.values().clone()));
    }
    if let Some(lists) = column.as_fixed_size_list_opt() {
        let length = lists.value_length() as usize;
        let span = |row: usize| shown(row, (row * length, (row + 1) * length));
        return Ok((rows.map(span).collect(), lists.values().clone()));
    }
    let maps = column.as_map_opt().ok_or_else(|| Problem::new("a column that is no list"))?;
    let ends = maps.value_offsets();
    let span = |row: usize| shown(row, (ends[row] as usize, ends[row + 1] as usize));
    Ok((rows.map(span).collect(), Arc::new(maps.entries().clone())))
}

flowc_sdk::export!(Explode);

#[cfg(test)]
mod tests {
    use flowc_sdk::arrow::array::{
        FixedSizeListArray, Int8Builder, LargeListArray, ListArray, MapBuilder, StringBuilder,
    };
    use flowc_sdk::arrow::datatypes::{Int8Type, Int64Type};
    use flowc_sdk::serde_json::{Value, json};
    use flowc_sdk::testing;

    use super::*;

    fn items() -> [Option<Vec<Option<i8>>>; 4] {
        [Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(3)])]
    }

    fn run(lists: ArrayRef, mut config: Value) -> Result<RecordBatch> {
        config["column"] = json!("list");
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..lists.len() as i64));
        let batch = RecordBatch::try_from_iter_with_nullable([("list", lists, true), ("id", ids, false)]).unwrap();
        Ok(testing::run::<Explode>(&config, &[vec![batch.clone(), batch.slice(0, 0)]])?.remove(0))
    }

    fn ids(batch: &RecordBatch) -> Vec<i64> {
        batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    fn values(batch: &RecordBatch) -> Vec<Option<i8>> {
        batch.column(0).as_primitive::<Int8Type>().iter().collect()
    }

    #[test]
    fn a_row_is_made_of_each_item() {
        let small: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>(items()));
        let large: ArrayRef = Arc::new(LargeListArray::from_iter_primitive::<Int8Type, _, _>(items()));
        for lists in [small, large] {
            let batch = run(lists.clone(), json!({})).unwrap();
            assert_eq!((values(&batch), ids(&batch)), (vec![Some(1), None, Some(3)], vec![0, 0, 3]));
            let config = json!({"empty": "keep", "as": "item", "position": "at"});
            let batch = run(lists.slice(1, 3), config).unwrap();
            assert_eq!((values(&batch), ids(&batch)), (vec![None, None, Some(3)], vec![0, 1, 2]));
            assert_eq!(batch.schema().field(0).name(), "item");
            let at: Vec<_> = batch.column_by_name("at").unwrap().as_primitive::<Int64Type>().iter().collect();
            assert_eq!(at, [None, None, Some(0)]);
        }
    }

    #[test]
    fn lists_of_one_length_and_maps_have_items_too() {
        let pairs: [Option<Vec<Option<i8>>>; 2] = [None, Some(vec![Some(1), Some(2)])];
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Int8Type, _, _>(pairs, 2));
        let batch = run(fixed, json!({"position": "at"})).unwrap();
        assert_eq!((values(&batch), ids(&batch)), (vec![Some(1), Some(2)], vec![1, 1]));
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int8Builder::new());
        maps.keys().append_value("a");
        maps.values().append_value(7);
        maps.append(true).unwrap();
        let batch = run(Arc::new(maps.finish()), json!({})).unwrap();
        assert_eq!(batch.column(0).as_struct().column(1).as_primitive::<Int8Type>().value(0), 7);
    }

    #[test]
    fn all_mistakes_are_told() {
        let problem = run(Arc::new(Int64Array::from(vec![1])), json!({"as": "id", "position": "id"})).unwrap_err();
        assert_eq!(problem.config_path.as_deref(), Some("/column"));
        assert_eq!(problem.message.lines().count(), 3);
    }
}
