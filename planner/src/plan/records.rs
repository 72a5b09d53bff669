//! Formats whose records have a schema of their own, and the registries that keep such schemas.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use super::{Format, Location, SourceSpec};
use crate::secret::SecretSource;

/// In the metadata of columns that a registry told: the schema of the records, which the plan and the lock keep.
pub const RECORD_SCHEMA: &str = "record-schema";
/// In the same metadata: which subject of which registry the schema is, as [`Registry::subject_key`] has it.
pub const RECORD_SUBJECT: &str = "record-subject";

/// Records of Apache Avro.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvroFormat {
    /// The schema of the rows, as JSON. None where the text has none and no registry was asked yet: files then have their own, and
    /// sinks one that follows from the columns.
    pub schema: Option<String>,
    /// Where the schemas of records are; records then begin with the id of theirs.
    pub registry: Option<Registry>,
}

/// Messages of Protocol Buffers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtobufFormat {
    /// A `FileDescriptorSet`, in base64.
    pub descriptors: String,
    /// The full name of the message.
    pub message: String,
    /// The registry that gave the ids with which records begin, if they do.
    pub registry: Option<Registry>,
}

/// A subject of a schema registry, and how the registry is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Without a slash at the end.
    pub url: String,
    /// The subject whose schema is meant.
    pub subject: String,
    /// The version of the schema, if the text names one.
    pub version: Option<SubjectVersion>,
    /// How flowc says who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<RegistryLogin>,
}

/// A version of a subject's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectVersion {
    /// The newest one.
    Latest,
    /// The one of this number.
    Number(u32),
}

/// A user of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLogin {
    /// The user's name.
    pub user: String,
    /// The name of the secret that is the password.
    pub secret: String,
    /// Where the password is.
    pub password: SecretSource,
}

impl Registry {
    /// What tells the schema that is meant from others: registry, subject and version, not how the registry is reached.
    pub fn subject_key(&self) -> String {
        let Registry { url, subject, version, login: _ } = self;
        let version = match version {
            None | Some(SubjectVersion::Latest) => "latest".to_owned(),
            Some(SubjectVersion::Number(number)) => number.to_string(),
        };
        format!("{url} {subject} {version}")
    }
}

/// The columns of change events: what happened, the row before and after, and when the database did it.
fn change_columns(rows: &Fields) -> Vec<Field> {
    let row = || DataType::Struct(rows.clone());
    vec![
        Field::new("op", DataType::Utf8, false),
        Field::new("before", row(), true),
        Field::new("after", row(), true),
        Field::new("source-time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
    ]
}

impl Format {
    /// The format that says what a record's bytes are: that of the rows within change events.
    pub fn of_rows(&self) -> &Format {
        match self {
            Format::Debezium(rows) => rows.of_rows(),
            other => other,
        }
    }

    /// The columns of a source whose records hold rows with these columns.
    pub fn columns(&self, rows: &Fields) -> Vec<Field> {
        match self {
            Format::Debezium(_) => change_columns(rows),
            _ => rows.iter().map(|field| field.as_ref().clone()).collect(),
        }
    }

    /// Whether a record of it has members for columns.
    pub fn is_object(&self) -> bool {
        !matches!(self, Format::Lines | Format::Bytes)
    }

    /// The registry that its records need, if they do.
    pub fn registry(&self) -> Option<&Registry> {
        match self.of_rows() {
            Format::Avro(avro) => avro.registry.as_ref(),
            Format::Protobuf(protobuf) => protobuf.registry.as_ref(),
            _ => None,
        }
    }

    fn registry_mut(&mut self) -> Option<&mut Registry> {
        match self {
            Format::Debezium(rows) => rows.registry_mut(),
            Format::Avro(avro) => avro.registry.as_mut(),
            Format::Protobuf(protobuf) => protobuf.registry.as_mut(),
            _ => None,
        }
    }

    /// What of it shapes rows and records: not who asks the registry.
    pub fn shaping(&self) -> Format {
        let mut shaping = self.clone();
        if let Some(registry) = shaping.registry_mut() {
            registry.login = None;
        }
        shaping
    }

    /// The format with the schema that a registry told, where it has none.
    pub fn with_record_schema(mut self, told: &str) -> Format {
        let rows = match &mut self {
            Format::Debezium(rows) => rows.as_mut(),
            other => other,
        };
        if let Format::Avro(avro) = rows {
            avro.schema.get_or_insert_with(|| told.to_owned());
        }
        self
    }
}

impl SourceSpec {
    /// The columns of the source, where these were asked for: with those that the text declares, and with the parts of records that it
    /// asks for. Metadata about schemas of records is left out.
    ///
    /// # Errors
    /// A name that two columns have.
    pub fn with_asked(&self, asked: SchemaRef) -> Result<SchemaRef, String> {
        let mut metadata = asked.metadata().clone();
        let is_of_records = [RECORD_SCHEMA, RECORD_SUBJECT].map(|key| metadata.remove(key).is_some()).contains(&true);
        let asked = match is_of_records {
            true => Arc::new(Schema::new_with_metadata(asked.fields().clone(), metadata)),
            false => asked,
        };
        let columns = self.with_declared(asked);
        let Location::Kafka(topic) = &self.location else { return Ok(columns) };
        let own = columns.fields().iter().map(|field| field.as_ref().clone());
        let fields: Vec<Field> = own.chain(topic.record_fields()).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = fields.iter().find(|field| !seen.insert(field.name())) {
            return Err(twice.name().clone());
        }
        Ok(Arc::new(Schema::new_with_metadata(fields, columns.metadata().clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn avro(user: Option<&str>) -> Format {
        let login = user.map(|user| RegistryLogin {
            user: user.to_owned(),
            secret: "S".to_owned(),
            password: SecretSource::Env("S".to_owned()),
        });
        let registry = Registry { url: "http://r".to_owned(), subject: "s-value".to_owned(), version: None, login };
        Format::Debezium(Box::new(Format::Avro(Box::new(AvroFormat { schema: None, registry: Some(registry) }))))
    }

    #[test]
    fn who_asks_a_registry_shapes_no_rows() {
        assert_ne!(avro(Some("a")), avro(Some("b")));
        assert_eq!(avro(Some("a")).shaping(), avro(Some("b")).shaping());
        assert_eq!(avro(Some("a")).shaping(), avro(None));
        assert_eq!(avro(None).registry().map(Registry::subject_key).as_deref(), Some("http://r s-value latest"));
    }

    #[test]
    fn a_schema_that_was_told_is_taken_where_none_is_given() {
        let told = avro(None).with_record_schema("\"told\"");
        let Format::Avro(inner) = told.of_rows() else { panic!() };
        assert_eq!(inner.schema.as_deref(), Some("\"told\""));
        assert_eq!(told.clone().with_record_schema("\"other\""), told);
    }
}
