//! The schema of records that begin with its id in a registry: looked up, or registered, before the first record is made.

use std::path::Path;

use arrow_schema::SchemaRef;
use flowc_planner::plan::{Format, Registry};
use flowc_records::{RegistryClient, RegistryError};

use crate::error::SinkError;
use crate::formats::avro::avro_schema;

/// The format with the schema that records have, and the id of that schema; none if records begin with none.
///
/// A schema of the text, or one that follows from the columns, is put under the subject: a registry that has it gives its id. Where the text names a
/// version of the subject, its schema is taken and nothing is put there. The schema of messages of Protocol Buffers is the subject's.
pub(super) fn registered(
    format: &Format,
    rows: &SchemaRef,
    base: &Path,
) -> Result<Result<(Format, Option<u32>), RegistryError>, SinkError> {
    let Some(registry) = format.registry() else { return Ok(Ok((format.clone(), None))) };
    let is_put = matches!(format, Format::Avro(avro) if registry.version.is_none() || avro.schema.is_some());
    let text = if is_put { Some(avro_schema(format, rows)?) } else { None };
    Ok(ask(format, registry, text.as_deref(), base))
}

fn ask(
    format: &Format,
    registry: &Registry,
    put: Option<&str>,
    base: &Path,
) -> Result<(Format, Option<u32>), RegistryError> {
    let client = RegistryClient::new(registry, base)?;
    match (format, put) {
        (_, Some(schema)) => {
            let id = client.register(schema)?;
            Ok((format.clone().with_record_schema(schema), Some(id)))
        }
        (Format::Avro(_), None) => {
            let found = client.avro_of_subject()?;
            Ok((format.clone().with_record_schema(&found.schema), Some(found.id)))
        }
        (_, None) => Ok((format.clone(), Some(client.of_subject()?.id))),
    }
}
