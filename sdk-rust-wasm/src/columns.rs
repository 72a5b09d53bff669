//! The columns of an input, as `describe` sees them.

use crate::arrow::datatypes::{DataType, FieldRef, SchemaRef};

use crate::problem::{Problem, Result, nearest};

/// The columns of one input port.
#[derive(Clone, Debug)]
pub struct Columns {
    /// The port's number.
    pub port: usize,
    /// All its columns.
    pub schema: SchemaRef,
}

/// A column that was found by name.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its number in the input.
    pub index: usize,
    /// Its name and type.
    pub field: FieldRef,
    /// The config value that names it.
    path: String,
}

impl Columns {
    /// The column with this name. `config_path` is the JSON pointer of the config value that names it.
    ///
    /// # Errors
    /// If there is none: with the nearest name as help.
    pub fn find(&self, config_path: &str, name: &str) -> Result<Column> {
        let position = self.schema.fields().iter().position(|field| field.name() == name);
        let index = position.ok_or_else(|| self.unknown(config_path, name))?;
        Ok(Column { index, field: self.schema.fields()[index].clone(), path: config_path.to_owned() })
    }

    /// The columns with these names; the list lies at `config_path`.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn find_all<S: AsRef<str>>(&self, config_path: &str, names: &[S]) -> Result<Vec<Column>> {
        let find = |(i, name): (usize, &S)| self.find(&format!("{config_path}/{i}"), name.as_ref());
        names.iter().enumerate().map(find).collect()
    }

    /// The text column with this name: `Utf8`, `LargeUtf8` or `Utf8View`.
    ///
    /// # Errors
    /// If there is no such column, or it is no text.
    pub fn text(&self, config_path: &str, name: &str) -> Result<Column> {
        self.find(config_path, name)?.expect("text", is_text)
    }

    /// All columns, in order.
    pub fn all(&self) -> Vec<Column> {
        let column = |(index, field): (usize, &FieldRef)| Column { index, field: field.clone(), path: String::new() };
        self.schema.fields().iter().enumerate().map(column).collect()
    }

    fn unknown(&self, config_path: &str, name: &str) -> Problem {
        let names = || self.schema.fields().iter().map(|field| field.name().as_str());
        let problem = Problem::at(config_path, format!("the input has no column `{name}`"));
        match nearest(name, names()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("it has {}", list(names()))),
        }
    }
}

impl Column {
    /// The column's name.
    pub fn name(&self) -> &str {
        self.field.name()
    }

    /// The column's type.
    pub fn data_type(&self) -> &DataType {
        self.field.data_type()
    }

    /// This column, if its type will do. `what` says in words which types would.
    ///
    /// # Errors
    /// If it will not: blamed on the config value that names the column.
    pub fn expect(self, what: &str, fits: impl FnOnce(&DataType) -> bool) -> Result<Self> {
        match fits(self.data_type()) {
            true => Ok(self),
            false => {
                let message = format!("column `{}` is {}, not {what}", self.name(), self.data_type());
                Err(Problem::at(self.path, message))
            }
        }
    }
}

/// Whether a type is text.
pub fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match all.len() {
        0 => "no columns".to_owned(),
        1..=12 => all.join(", "),
        n => format!("{} and {} more", all[..12].join(", "), n - 12),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::arrow::datatypes::{Field, Schema};

    use super::*;

    fn columns() -> Columns {
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new("price", DataType::Float64, true)];
        Columns { port: 0, schema: Arc::new(Schema::new(fields)) }
    }

    #[test]
    fn an_unknown_column_is_answered_with_the_nearest_name() {
        let problem = columns().find("/column", "prize").unwrap_err();
        assert_eq!(problem.config_path.as_deref(), Some("/column"));
        assert_eq!(problem.help.as_deref(), Some("did you mean `price`?"));
    }

    #[test]
    fn a_column_of_another_type_is_refused_at_its_place() {
        let problem = columns().text("/column", "id").unwrap_err();
        assert_eq!(problem.message, "column `id` is Int64, not text");
        assert_eq!(problem.config_path.as_deref(), Some("/column"));
    }
}
