//! Columns as keys of the table, and back.

use flowc_sdk::arrow::array::{StringArray, new_empty_array};
use flowc_sdk::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use flowc_sdk::arrow::row::{RowConverter, SortField};
use flowc_sdk::prelude::*;

use crate::groups::Groups;

/// How values of the key columns become bytes whose order is theirs.
pub(crate) enum Keys {
    /// One column of text: its own bytes.
    Text(FieldRef),
    /// Anything else: arrow's row format, nulls first.
    Rows { converter: RowConverter, fields: Vec<FieldRef> },
    /// No columns: all rows are alike.
    Nothing,
}

impl Keys {
    pub(crate) fn new(fields: Vec<FieldRef>) -> Result<Self> {
        match fields.as_slice() {
            [] => Ok(Keys::Nothing),
            [field] if *field.data_type() == DataType::Utf8 => Ok(Keys::Text(field.clone())),
            _ => Self::rows(fields),
        }
    }

    fn rows(fields: Vec<FieldRef>) -> Result<Self> {
        let sort_fields: Vec<SortField> = fields.iter().map(|f| SortField::new(f.data_type().clone())).collect();
        if let Some(field) =
            fields.iter().find(|f| !RowConverter::supports_fields(&[SortField::new(f.data_type().clone())]))
        {
            let message = format!("column `{}` is {}, which can't be counted by", field.name(), field.data_type());
            return Err(Problem::at("/by", message));
        }
        Ok(Keys::Rows { fields: decoded(&fields, &sort_fields)?, converter: RowConverter::new(sort_fields)? })
    }

    /// The key columns of the result.
    pub(crate) fn fields(&self) -> Vec<FieldRef> {
        match self {
            Keys::Text(field) => vec![field.clone()],
            Keys::Rows { fields, .. } => fields.clone(),
            Keys::Nothing => Vec::new(),
        }
    }

    /// Adds each row to the groups, as often as `count` says.
    pub(crate) fn add(
        &self,
        groups: &mut Groups,
        columns: &[ArrayRef],
        rows: usize,
        count: impl Fn(usize) -> u64,
    ) -> Result<()> {
        match (self, columns) {
            (Keys::Text(_), [column]) => add_text(groups, column.as_string::<i32>(), count),
            (Keys::Nothing, _) => (0..rows).for_each(|row| groups.table.add(&[], 0, 0, count(row))),
            (Keys::Rows { converter, .. }, columns) => {
                let columns = columns.iter().map(flowc_sdk::comparable).collect::<std::result::Result<Vec<_>, _>>()?;
                let keys = converter.convert_columns(&columns)?;
                for (row, key) in keys.iter().enumerate() {
                    groups.table.add(key.as_ref(), 0, key.as_ref().len(), count(row));
                }
            }
            (Keys::Text(_), _) => return Err(Problem::new("a batch without its key column")),
        }
        Ok(())
    }

    /// The key columns of these keys; `None` is null.
    pub(crate) fn columns<'k>(&self, keys: impl Iterator<Item = Option<&'k [u8]>> + Clone) -> Result<Vec<ArrayRef>> {
        match self {
            Keys::Text(_) => Ok(vec![text_column(keys)?]),
            Keys::Nothing => Ok(Vec::new()),
            Keys::Rows { converter, .. } => {
                let parser = converter.parser();
                Ok(converter.convert_rows(keys.flatten().map(|key| parser.parse(key)))?)
            }
        }
    }
}

fn add_text(groups: &mut Groups, texts: &StringArray, count: impl Fn(usize) -> u64) {
    let (values, nulls) = (texts.values().as_slice(), texts.nulls().filter(|nulls| nulls.null_count() > 0));
    for (row, ends) in texts.value_offsets().windows(2).enumerate() {
        match nulls {
            Some(nulls) if nulls.is_null(row) => groups.add_null(count(row)),
            _ => groups.table.add(values, ends[0] as usize, ends[1] as usize, count(row)),
        }
    }
}

fn text_column<'k>(keys: impl Iterator<Item = Option<&'k [u8]>> + Clone) -> Result<ArrayRef> {
    let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
    for key in keys.clone() {
        bytes.extend_from_slice(key.unwrap_or_default());
        offsets.push(bytes.len() as i32);
    }
    let nulls: NullBuffer = keys.map(|key| key.is_some()).collect();
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)?))
}

/// The row format gives dictionaries back as their values: the types that come out of it.
fn decoded(fields: &[FieldRef], sort_fields: &[SortField]) -> Result<Vec<FieldRef>> {
    let converter = RowConverter::new(sort_fields.to_vec())?;
    let empty: Vec<ArrayRef> = fields.iter().map(|field| new_empty_array(field.data_type())).collect();
    let columns = converter.convert_rows(converter.convert_columns(&empty)?.iter())?;
    let field = |(field, column): (&FieldRef, &ArrayRef)| {
        Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone()))
    };
    Ok(fields.iter().zip(&columns).map(field).collect())
}
