//! Columns without dictionaries: which values are in one, and in which order, is up to the server, and says nothing of the rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

/// The columns, with values in the place of dictionaries, and without what servers note beside columns.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => Field::new(field.name(), (**value).clone(), true),
        other => Field::new(field.name(), other.clone(), field.is_nullable()),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The rows with these columns.
///
/// # Errors
/// If they have others.
pub(crate) fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &rows)
}

fn column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.as_any_dictionary_opt() {
        Some(dictionary) => arrow_select::take::take(dictionary.values(), dictionary.keys(), None),
        None => Ok(Arc::clone(column)),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int8Type;
    use arrow_array::{Array, DictionaryArray, StringArray};

    use super::*;

    #[test]
    fn dictionaries_become_values() {
        let kinds: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let batch = RecordBatch::try_from_iter([("k", Arc::new(kinds) as ArrayRef)]).unwrap();
        let schema = plain_schema(&batch.schema());
        let values = StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]);
        assert_eq!(plain(&batch, &schema).unwrap().column(0).as_ref(), &values as &dyn Array);
    }
}
