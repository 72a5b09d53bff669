//! Actions of a log as rows: JSON values, whether they were read of JSON or of Parquet.
//!
//! A row is an object. A field that is null and one that is not there are the same, except in maps.

use std::borrow::Cow;
use std::ops::Range;

use delta_kernel::engine_data::{ListItem, MapItem, StringArrayAccessor, StructList, StructListAccessor};
use delta_kernel::expressions::{ArrayData, ColumnName};
use delta_kernel::schema::{MetadataColumnSpec, SchemaRef, StructType};
use delta_kernel::{EngineData, GetData, KernelError, KernelResult, RowVisitor};
use serde_json::Value;
use url::Url;

use super::scalar::value_of;

/// Rows of a log.
pub(crate) struct Rows(pub(crate) Vec<Value>);

impl Rows {
    /// The rows behind what the kernel hands over: it makes none by itself.
    pub(crate) fn of(data: &dyn EngineData) -> KernelResult<&Self> {
        data.any_ref().downcast_ref().ok_or_else(|| KernelError::generic("these rows are not of this engine"))
    }
}

impl EngineData for Rows {
    fn visit_rows(&self, columns: &[ColumnName], visitor: &mut dyn RowVisitor) -> KernelResult<()> {
        visit(&self.0.iter().collect::<Vec<_>>(), columns, visitor)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn append_columns(&self, schema: SchemaRef, columns: Vec<ArrayData>) -> KernelResult<Box<dyn EngineData>> {
        let mut rows = self.0.clone();
        if schema.num_fields() != columns.len()
            || columns.iter().any(|column| column.array_elements().len() != rows.len())
        {
            return Err(KernelError::generic("the columns that are added have other rows"));
        }
        for (field, column) in schema.fields().zip(&columns) {
            for (row, value) in rows.iter_mut().zip(column.array_elements()) {
                set(row, field.name(), value_of(value)?);
            }
        }
        Ok(Box::new(Self(rows)))
    }

    fn apply_selection_vector(self: Box<Self>, selected: Vec<bool>) -> KernelResult<Box<dyn EngineData>> {
        if selected.len() > self.0.len() {
            return Err(KernelError::InvalidSelectionVector(format!("{} of {} rows", selected.len(), self.0.len())));
        }
        let selected = selected.into_iter().chain(std::iter::repeat(true));
        Ok(Box::new(Self(
            self.0.into_iter().zip(selected).filter_map(|(row, is_kept)| is_kept.then_some(row)).collect(),
        )))
    }

    fn has_field(&self, name: &ColumnName) -> bool {
        self.0.iter().any(|row| at(row, name).is_some())
    }
}

/// Sets a field of a row, unless its value is null.
pub(crate) fn set(row: &mut Value, name: &str, value: Value) {
    if let (Value::Object(fields), false) = (row, value.is_null()) {
        fields.insert(name.to_owned(), value);
    }
}

/// Says in each row which file it comes from, under the names that a schema has for that.
pub(crate) fn name_file(rows: &mut [Value], schema: &StructType, file: &Url) {
    let fields = schema.fields().filter(|field| field.get_metadata_column_spec() == Some(MetadataColumnSpec::FilePath));
    for field in fields {
        rows.iter_mut().for_each(|row| set(row, field.name(), file.as_str().into()));
    }
}

/// The value at a path of names; none where there is none, or a null.
pub(crate) fn at<'v>(row: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(row, |value, name| value.get(name)).filter(|value| !value.is_null())
}

fn visit(rows: &[&Value], columns: &[ColumnName], visitor: &mut dyn RowVisitor) -> KernelResult<()> {
    let leaves: Vec<Leaf<'_>> = columns.iter().map(|name| Leaf::new(rows, name)).collect();
    let getters: Vec<&dyn GetData<'_>> = leaves.iter().map(|leaf| leaf as &dyn GetData<'_>).collect();
    visitor.visit(rows.len(), &getters)
}

/// One column of rows.
struct Leaf<'v> {
    values: Vec<Option<&'v Value>>,
    /// The keys of all maps of the column.
    keys: Texts<'v>,
    /// The values of all its maps, or the items of all its lists.
    items: Texts<'v>,
    /// Per row, its part of them.
    places: Vec<Range<usize>>,
}

impl<'v> Leaf<'v> {
    fn new(rows: &[&'v Value], path: &[String]) -> Self {
        let values: Vec<_> = rows.iter().map(|row| at(row, path)).collect();
        let (mut keys, mut items, mut places) = (Texts(Vec::new()), Texts(Vec::new()), Vec::with_capacity(rows.len()));
        for value in &values {
            let start = items.0.len();
            match value {
                Some(Value::Object(map)) => {
                    keys.0.extend(map.keys().map(|key| Some(Cow::Borrowed(key.as_str()))));
                    items.0.extend(map.values().map(text));
                }
                Some(Value::Array(list)) => items.0.extend(list.iter().map(text)),
                _ => {}
            }
            places.push(start..items.0.len());
        }
        Self { values, keys, items, places }
    }

    /// A value as `take` has it; an error if the column holds others.
    fn get<T>(
        &self,
        row: usize,
        name: &str,
        kind: &str,
        take: impl Fn(&'v Value) -> Option<T>,
    ) -> KernelResult<Option<T>> {
        let Some(value) = self.values.get(row).copied().flatten() else { return Ok(None) };
        let wrong = || KernelError::UnexpectedColumnType(format!("`{name}` of an action is no {kind}: {value}"));
        take(value).map(Some).ok_or_else(wrong)
    }
}

/// A text in a list or a map. Some writers leave numbers and truth values as they are.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// A number without a fraction, however it is written.
fn whole(value: &Value) -> Option<i64> {
    let float = || value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
    value.as_i64().or_else(|| float().map(|float| float as i64))
}

impl<'a, 'v: 'a> GetData<'a> for Leaf<'v> {
    fn get_bool(&'a self, row: usize, name: &str) -> KernelResult<Option<bool>> {
        self.get(row, name, "truth value", Value::as_bool)
    }

    fn get_int(&'a self, row: usize, name: &str) -> KernelResult<Option<i32>> {
        self.get(row, name, "number of 32 bits", |value| i32::try_from(whole(value)?).ok())
    }

    fn get_long(&'a self, row: usize, name: &str) -> KernelResult<Option<i64>> {
        self.get(row, name, "whole number", whole)
    }

    fn get_double(&'a self, row: usize, name: &str) -> KernelResult<Option<f64>> {
        self.get(row, name, "number", Value::as_f64)
    }

    fn get_str(&'a self, row: usize, name: &str) -> KernelResult<Option<&'a str>> {
        self.get(row, name, "text", Value::as_str)
    }

    fn get_list(&'a self, row: usize, name: &str) -> KernelResult<Option<ListItem<'a>>> {
        let list = self.get(row, name, "list", Value::as_array)?;
        Ok(list.map(|_| ListItem::new(&self.items, self.places[row].clone())))
    }

    fn get_map(&'a self, row: usize, name: &str) -> KernelResult<Option<MapItem<'a>>> {
        let map = self.get(row, name, "map", Value::as_object)?;
        // The items of lists would shift the keys: a column holds maps alone, or none.
        let is_all = self.keys.0.len() == self.items.0.len();
        let mixed = || KernelError::UnexpectedColumnType(format!("`{name}` holds maps and lists"));
        map.map(|_| is_all.then(|| MapItem::new(&self.keys, &self.items, self.places[row].clone())).ok_or_else(mixed))
            .transpose()
    }

    fn get_struct_list(&'a self, row: usize, name: &str) -> KernelResult<Option<StructList<'a>>> {
        let list = self.get(row, name, "list", Value::as_array)?;
        Ok(list.map(|_| StructList::new(self, row)))
    }
}

impl StructListAccessor for Leaf<'_> {
    fn visit_elems_of_row(&self, row: usize, columns: &[ColumnName], visitor: &mut dyn RowVisitor) -> KernelResult<()> {
        let list = self.values.get(row).copied().flatten().and_then(Value::as_array);
        let elements: Vec<&Value> = list.into_iter().flatten().collect();
        if elements.iter().any(|element| element.is_null()) {
            return Err(KernelError::missing_data("an element of a list is null"));
        }
        visit(&elements, columns, visitor)
    }
}

/// Texts of a column, one after the other.
struct Texts<'v>(Vec<Option<Cow<'v, str>>>);

impl StringArrayAccessor for Texts<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn value(&self, index: usize) -> &str {
        self.0.get(index).and_then(Option::as_deref).unwrap_or_default()
    }

    fn is_valid(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(Option::is_some)
    }
}
