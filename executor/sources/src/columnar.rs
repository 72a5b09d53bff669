//! What Parquet and Arrow have in common: columns by name, types that must agree, decoders that must not be trusted.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};

use crate::error::SourceError;
use crate::parser::project;

/// Per column of the source's schema, the file's column of that name and type.
pub(crate) fn match_columns(file: &str, found: &Schema, schema: &Schema) -> Result<Vec<usize>, SourceError> {
    schema.fields().iter().map(|field| match_column(file, found, field)).collect()
}

fn match_column(file: &str, found: &Schema, field: &arrow_schema::Field) -> Result<usize, SourceError> {
    let (file, column) = (file.to_owned(), field.name().clone());
    let mut places = found.fields().iter().enumerate().filter(|(_, own)| own.name() == field.name());
    let Some((place, own)) = places.next() else {
        let found = found.fields().iter().map(|own| own.name().clone()).collect();
        return Err(SourceError::MissingColumn { file, column, found });
    };
    if places.next().is_some() {
        return Err(SourceError::RepeatedColumn { file, column });
    }
    if own.data_type() != field.data_type() {
        let (expected, found) = (Box::new(field.data_type().clone()), Box::new(own.data_type().clone()));
        return Err(SourceError::TypeDiffers { file, column, expected, found });
    }
    Ok(place)
}

/// Calls a decoder. Decoders return errors for most damage and panic for some; both are the file's fault here.
pub(crate) fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the decoder gave up").to_owned())
        }
    }
}

/// Gives a decoder's batches the source's schema: order, nullability, metadata.
pub(crate) struct Conform {
    file: String,
    schema: SchemaRef,
}

impl Conform {
    /// For these columns of the source's schema.
    pub(crate) fn new(file: &str, schema: &SchemaRef, projection: &[usize]) -> Self {
        Self { file: file.to_owned(), schema: project(schema, projection) }
    }

    /// The batch in the source's schema. Columns are found by name.
    pub(crate) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, SourceError> {
        let refused = |reason: String| SourceError::Arrow { file: self.file.clone(), reason };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let column = batch.column_by_name(field.name());
            let column = column.ok_or_else(|| refused(format!("the decoder lost column `{}`", field.name())))?;
            if !field.is_nullable() && column.null_count() > 0 {
                let (file, column) = (self.file.clone(), field.name().clone());
                return Err(SourceError::UnexpectedNull { file, column });
            }
            columns.push(column.clone());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(|e| refused(e.to_string()))
    }
}
