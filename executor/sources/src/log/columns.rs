//! The columns of records whose format has a schema, and the lock's entries for those that a registry told.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use flowc_planner::plan::{Format, RECORD_SCHEMA, RECORD_SUBJECT, SourceSpec};
use flowc_records::{RegistryClient, SchemaError, avro_columns, protobuf_columns};

use crate::error::SourceError;

/// The columns of a source whose text has the schema of its records; none if it has none.
pub(crate) fn stated(spec: &SourceSpec) -> Option<Result<SchemaRef, SourceError>> {
    let rows = match spec.format.of_rows() {
        Format::Avro(avro) => avro_columns(avro.schema.as_ref()?),
        Format::Protobuf(protobuf) => protobuf_columns(protobuf),
        _ => return None,
    };
    Some(of_rows(&spec.format, rows))
}

/// The columns of a source whose schema a registry keeps, with what the lock pins; none if its format has none there.
pub(super) fn registered(spec: &SourceSpec, base: &Path) -> Option<Result<SchemaRef, SourceError>> {
    let (Format::Avro(_), Some(registry)) = (spec.format.of_rows(), spec.format.registry()) else { return None };
    let ask = || {
        let client = RegistryClient::new(registry, base).map_err(unfit)?;
        let told = client.avro_of_subject().map_err(unfit)?.schema;
        let columns = of_rows(&spec.format, avro_columns(&told))?;
        let subject = (RECORD_SUBJECT.to_owned(), registry.subject_key());
        let metadata: HashMap<String, String> = [(RECORD_SCHEMA.to_owned(), told), subject].into();
        Ok(Arc::new(Schema::new_with_metadata(columns.fields().clone(), metadata)))
    };
    Some(ask())
}

/// Whether what the lock has of a source was pinned for the schema that its text names now.
pub(crate) fn is_pinned_for(spec: &SourceSpec, pinned: &SchemaRef) -> bool {
    let subject = match spec.format.of_rows() {
        Format::Avro(_) => spec.format.registry().map(|registry| registry.subject_key()),
        _ => None,
    };
    pinned.metadata().get(RECORD_SUBJECT) == subject.as_ref()
}

fn unfit(error: impl ToString) -> SourceError {
    SourceError::UnfitFormat { reason: error.to_string() }
}

/// The columns of a source whose records hold such rows.
fn of_rows(format: &Format, rows: Result<SchemaRef, SchemaError>) -> Result<SchemaRef, SourceError> {
    let rows = rows.map_err(unfit)?;
    let Format::Debezium(_) = format else { return Ok(rows) };
    let fields = change_row(&rows).ok_or_else(|| {
        unfit("the schema is not that of change events of Debezium, which have `op`, a text, and `before` and `after`, two equal records")
    })?;
    Ok(Arc::new(Schema::new(format.columns(&fields))))
}

/// The columns of the row within change events.
fn change_row(events: &Schema) -> Option<Fields> {
    let of = |name: &str| events.field_with_name(name).ok().map(Field::data_type);
    match (of("op")?, of("before")?, of("after")?) {
        (DataType::Utf8, DataType::Struct(before), DataType::Struct(after)) if before == after => Some(after.clone()),
        _ => None,
    }
}
