//! Which columns are joined, and which are added.

use flowc_sdk::arrow::row::{RowConverter, SortField};
use flowc_sdk::prelude::*;

use crate::{Config, Mode};

/// A join, checked against the columns of both inputs.
pub(crate) struct Join {
    /// Key columns of the rows.
    pub(crate) left: Vec<Column>,
    /// Key columns of the table, in the same order.
    pub(crate) right: Vec<Column>,
    /// Columns of the table that are added.
    pub(crate) added: Vec<Column>,
}

impl Join {
    /// Finds the columns. When the stage runs the inputs have only the columns read, with the same answer.
    pub(crate) fn new(config: &Config, rows: &Columns, table: &Columns) -> Result<Self> {
        if config.on.is_empty() {
            return Err(Problem::at("/on", "a lookup needs a pair of columns that must be equal"));
        }
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (i, pair) in config.on.iter().enumerate() {
            left.push(rows.find(&format!("/on/{i}/left"), &pair.left)?);
            right.push(table.find(&format!("/on/{i}/right"), &pair.right)?);
            check_types(i, &left[i], &right[i])?;
        }
        let added = added(config, table, &right)?;
        let join = Self { left, right, added };
        join.check_names(config, rows)?;
        Ok(join)
    }

    /// The columns that the stage writes.
    pub(crate) fn written(&self, config: &Config) -> Vec<FieldRef> {
        let field = |column: &Column| {
            let field = column.field.as_ref().clone();
            let nullable = config.mode == Mode::Left || field.is_nullable();
            Arc::new(field.with_name(new_name(config, column)).with_nullable(nullable))
        };
        self.added.iter().map(field).collect()
    }

    /// Keys as bytes: equal bytes, equal keys.
    pub(crate) fn converter(&self) -> Result<RowConverter> {
        let key = |column: &Column| SortField::new(column.data_type().clone());
        Ok(RowConverter::new(self.right.iter().map(key).collect())?)
    }

    fn check_names(&self, config: &Config, rows: &Columns) -> Result<()> {
        let taken = |column: &&Column| rows.schema.fields().find(&new_name(config, column)).is_some();
        let Some(column) = self.added.iter().find(taken) else { return Ok(()) };
        let message = format!("the rows have a column `{}` already", new_name(config, column));
        Err(Problem::at("/columns", message).help("give a `prefix`, or list the `columns` to add"))
    }
}

fn new_name(config: &Config, column: &Column) -> String {
    format!("{}{}", config.prefix, column.name())
}

fn added(config: &Config, table: &Columns, right: &[Column]) -> Result<Vec<Column>> {
    match (&config.columns, config.mode) {
        (Some(_), Mode::Anti) => Err(Problem::at("/columns", "a lookup with `mode \"anti\"` adds no columns")),
        (None, Mode::Anti) => Ok(Vec::new()),
        (Some(names), _) => table.find_all("/columns", names),
        (None, _) => Ok(table.all().into_iter().filter(|c| right.iter().all(|key| key.index != c.index)).collect()),
    }
}

fn check_types(i: usize, left: &Column, right: &Column) -> Result<()> {
    let (left_type, right_type) = (left.data_type(), right.data_type());
    let path = format!("/on/{i}");
    if left_type != right_type {
        let message = format!("`{}` is {left_type}, but `{}` is {right_type}", left.name(), right.name());
        let help = match wider(left_type, right_type) {
            Some(both) => format!("declare both as {both} in the sources' `schema`"),
            None => "declare one type for both in the sources' `schema`".to_owned(),
        };
        return Err(Problem::at(path, message).help(help));
    }
    match RowConverter::supports_fields(&[SortField::new(left_type.clone())]) {
        true => Ok(()),
        false => {
            let message = format!("columns of type {left_type} can't be compared");
            Err(Problem::at(path, message).help("look up by columns of text, numbers, dates or times"))
        }
    }
}

/// The one of two types that holds the values of both, as text does where either is text.
fn wider<'t>(left: &'t DataType, right: &'t DataType) -> Option<&'t DataType> {
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match (left, right) {
        (text, _) | (_, text) if is_text(text) => Some(text),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => Some(&DataType::Float64),
        _ => None,
    }
}
