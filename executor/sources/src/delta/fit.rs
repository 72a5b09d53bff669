//! A table's column as a data file has it, and back: names, fields that are missing or dropped.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};
use flowc_delta::Column;
use flowc_planner::key::KeyHasher;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

/// How a column of a file becomes one of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// The file's column, in the types in which it is read: those of the table, and of fields that the table has not those of the file.
    pub(super) stored: FieldRef,
    to: FieldRef,
    /// Per field of the table's type, the place among the file's fields; none of one that the file lacks. Of lists and maps all are there.
    inner: Vec<Option<(usize, Fit)>>,
}

/// The place of a table's column among a file's fields.
pub(super) fn find(column: &Column, fields: &Fields) -> Option<usize> {
    let id = |field: &FieldRef| field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse::<i32>().ok();
    let by_id = || fields.iter().position(|field| id(field) == column.id);
    let by_id = column.id.and_then(|_| by_id());
    by_id.or_else(|| fields.iter().position(|field| *field.name() == column.stored))
}

impl Fit {
    /// Of a column of the table and the field that a file has of it.
    pub(super) fn new(column: &Column, found: &Field) -> Self {
        let to = column.field.clone();
        let stored = |data_type: DataType| -> FieldRef {
            Arc::new(Field::new(found.name(), data_type, column.field.is_nullable()))
        };
        let leaf = || Self { stored: stored(to.data_type().clone()), to: to.clone(), inner: Vec::new() };
        match (to.data_type(), found.data_type()) {
            (DataType::Struct(_), DataType::Struct(fields)) => {
                let fit = |inner: &Column| find(inner, fields).map(|place| (place, Self::new(inner, &fields[place])));
                let inner: Vec<_> = column.inner.iter().map(fit).collect();
                let mut read: Vec<FieldRef> = fields.iter().cloned().collect();
                for (place, fit) in inner.iter().flatten() {
                    read[*place] = fit.stored.clone();
                }
                Self { stored: stored(DataType::Struct(read.into())), to, inner }
            }
            (DataType::List(_), DataType::List(item) | DataType::LargeList(item)) => match &column.inner[..] {
                [inner] => {
                    let fit = Self::new(inner, item);
                    Self { stored: stored(DataType::List(fit.stored.clone())), to, inner: vec![Some((0, fit))] }
                }
                _ => leaf(),
            },
            (DataType::Map(entries, sorted), DataType::Map(found, _)) => match (&column.inner[..], found.data_type()) {
                ([key, value], DataType::Struct(pair)) if pair.len() == 2 => {
                    let (key, value) = (Self::new(key, &pair[0]), Self::new(value, &pair[1]));
                    let pair = DataType::Struct(vec![key.stored.clone(), value.stored.clone()].into());
                    let read = Arc::new(Field::new(entries.name(), pair, false));
                    let inner = vec![Some((0, key)), Some((1, value))];
                    Self { stored: stored(DataType::Map(read, *sorted)), to, inner }
                }
                _ => leaf(),
            },
            _ => leaf(),
        }
    }

    /// Whether the file has the column just as the table does.
    fn is_same(&self) -> bool {
        self.stored.data_type() == self.to.data_type()
    }

    /// What of the table decides which of the file's fields are which; none where their names are the table's.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        if self.is_same() {
            return None;
        }
        let mut hasher = KeyHasher::new("flowc delta fit 1");
        self.hash(&mut hasher);
        Some(hasher.finish())
    }

    fn hash(&self, hasher: &mut KeyHasher) {
        hasher.field(&self.stored).field(&self.to).number(self.inner.len() as u64);
        for inner in &self.inner {
            match inner {
                None => {
                    hasher.number(0);
                }
                Some((place, fit)) => {
                    hasher.number(1 + *place as u64);
                    fit.hash(hasher);
                }
            }
        }
    }

    /// The table's column, from the one that was read.
    pub(super) fn apply(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if self.is_same() {
            return Ok(column.clone());
        }
        let of = |place: usize, values: &ArrayRef| match self.inner.get(place) {
            Some(Some((_, fit))) => fit.apply(values),
            _ => Ok(values.clone()),
        };
        Ok(match self.to.data_type() {
            DataType::Struct(fields) => self.apply_struct(column.as_struct(), fields)?,
            DataType::List(item) => {
                let list = column.as_list::<i32>();
                let items = of(0, list.values())?;
                Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), items, list.nulls().cloned())?)
            }
            DataType::Map(entries, sorted) => {
                let map = column.as_map();
                let DataType::Struct(pair) = entries.data_type() else { return Ok(column.clone()) };
                let pairs = StructArray::try_new(pair.clone(), vec![of(0, map.keys())?, of(1, map.values())?], None)?;
                let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
                Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?)
            }
            _ => column.clone(),
        })
    }

    fn apply_struct(&self, parts: &StructArray, fields: &Fields) -> Result<ArrayRef, ArrowError> {
        let column = |(field, inner): (&FieldRef, &Option<(usize, Fit)>)| match inner {
            Some((place, fit)) => fit.apply(parts.column(*place)),
            None => Ok(new_null_array(field.data_type(), parts.len())),
        };
        let columns = fields.iter().zip(&self.inner).map(column).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, parts.nulls().cloned(), parts.len())?))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    fn column(name: &str, stored: &str, id: Option<i32>, data_type: DataType, inner: Vec<Column>) -> Column {
        Column { field: Arc::new(Field::new(name, data_type, true)), stored: stored.to_owned(), id, inner }
    }

    fn numbered(name: &str, id: i32) -> Field {
        let metadata = [(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())];
        Field::new(name, DataType::Int64, true).with_metadata(metadata.into())
    }

    /// `s { renamed <- a, added }`, of files with `s { gone, a }`.
    fn evolved() -> (Column, Field) {
        let inner = vec![
            column("renamed", "a", None, DataType::Int64, Vec::new()),
            column("added", "b", None, DataType::Utf8, Vec::new()),
        ];
        let fields = Fields::from_iter(inner.iter().map(|inner| inner.field.clone()));
        let gone = Field::new("gone", DataType::Utf8, true);
        let found = DataType::Struct(vec![gone, Field::new("a", DataType::Int64, true)].into());
        (column("s", "col-1", None, DataType::Struct(fields), inner), Field::new("col-1", found, true))
    }

    #[test]
    fn fields_are_renamed_added_and_dropped() {
        let (column, found) = evolved();
        let fit = Fit::new(&column, &found);
        let DataType::Struct(fields) = found.data_type() else { unreachable!() };
        let (gone, a): (ArrayRef, ArrayRef) =
            (Arc::new(StringArray::from(vec!["x", "y"])), Arc::new(Int64Array::from(vec![1, 2])));
        let read: ArrayRef = Arc::new(StructArray::new(fields.clone(), vec![gone, a.clone()], None));
        assert_eq!(fit.stored.data_type(), found.data_type());
        let made = fit.apply(&read).unwrap();
        assert_eq!(made.data_type(), column.field.data_type());
        assert_eq!(made.as_struct().column(0), &a);
        assert_eq!(made.as_struct().column(1).null_count(), 2);
    }

    #[test]
    fn which_field_is_which_is_in_the_digest() {
        let (column, found) = evolved();
        let fit = Fit::new(&column, &found);
        let mut other = column.clone();
        other.inner[1].stored = "gone".to_owned();
        assert_ne!(fit.digest(), Fit::new(&other, &found).digest());
        assert!(fit.digest().is_some());
        let plain = Field::new("n", DataType::Int64, true);
        assert_eq!(Fit::new(&super::tests::column("n", "n", None, DataType::Int64, Vec::new()), &plain).digest(), None);
    }

    #[test]
    fn numbers_tell_columns_before_names_do() {
        let fields = Fields::from(vec![numbered("a", 2), numbered("b", 1)]);
        let of = |stored: &str, id| find(&column("x", stored, id, DataType::Int64, Vec::new()), &fields);
        assert_eq!(
            (of("a", None), of("a", Some(1)), of("b", Some(9)), of("c", None)),
            (Some(0), Some(1), Some(1), None)
        );
    }
}
