//! Which records of a topic of Apache Kafka a source reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::secret::SecretSource;

/// A range of a topic, and how its cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaTopic {
    /// `host:port` of brokers to ask first.
    pub brokers: Vec<String>,
    /// The topic's name.
    pub topic: String,
    /// The id that the topic must have, if the text names one.
    pub topic_id: Option<String>,
    /// The partitions to read; all where the text names none.
    pub partitions: Option<Vec<i32>>,
    /// Where each partition starts.
    pub start: Bounds,
    /// Before which record each partition ends.
    pub until: Bounds,
    /// Whether records of transactions are read that are not committed.
    pub uncommitted: bool,
    /// Records between the boundaries of two blocks; a power of two.
    pub block: u64,
    /// What of a record besides its value becomes a column.
    pub columns: Vec<RecordColumn>,
    /// How flowc says who it is.
    pub sasl: Option<Sasl>,
    /// How connections are encrypted, if they are.
    pub tls: Option<Tls>,
    /// What the event time of its rows is, if the text names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<TopicTime>,
}

/// What the event time of a topic's rows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicTime {
    /// A column.
    Column,
    /// When the broker appended the record.
    LogAppend,
}

/// A place in every partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// In partitions without an offset of their own.
    pub position: Position,
    /// Offsets by partition.
    pub offsets: BTreeMap<i32, i64>,
}

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// The first record that the topic has.
    Earliest,
    /// Behind the last record that it has.
    Latest,
    /// The first record with this time or a later one, in milliseconds since 1970.
    Time(i64),
}

/// A part of a record that becomes a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordColumn {
    /// Which part.
    pub field: RecordField,
    /// The name of the column.
    pub name: String,
}

/// Parts of a record besides its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordField {
    /// The key, as bytes.
    Key,
    /// The key, as text.
    KeyText,
    /// The headers, in order.
    Headers,
    /// The partition's number.
    Partition,
    /// The offset in the partition.
    Offset,
    /// The time, of creation or of appending as the topic is configured.
    Timestamp,
}

/// How flowc says who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sasl {
    /// The mechanism.
    pub mechanism: SaslMechanism,
    /// The user's name.
    pub user: String,
    /// The name of the secret that is the password.
    pub secret: String,
    /// Where the password is.
    pub password: SecretSource,
}

/// Mechanisms of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SaslMechanism {
    /// The password itself.
    Plain,
    /// A proof of the password, by SHA-256.
    ScramSha256,
    /// A proof of the password, by SHA-512.
    ScramSha512,
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// A file of certificates to trust, relative to the pipeline's folder; those of the system where there is none.
    pub ca: Option<String>,
}

impl KafkaTopic {
    /// A block's records, where the text does not say.
    pub const BLOCK: u64 = 1 << 18;

    /// The column that holds a part of records, of those that the source has.
    pub fn column_of(&self, field: RecordField, columns: usize) -> Option<usize> {
        let place = self.columns.iter().position(|column| column.field == field)?;
        Some(columns - self.columns.len() + place)
    }

    /// The columns that hold parts of records besides their values.
    pub fn record_fields(&self) -> impl Iterator<Item = Field> {
        self.columns.iter().map(RecordColumn::field)
    }
}

impl RecordColumn {
    fn field(&self) -> Field {
        Field::new(&self.name, self.field.data_type(), self.field.is_nullable())
    }
}

impl RecordField {
    /// The type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            RecordField::Key => DataType::Binary,
            RecordField::KeyText => DataType::Utf8,
            RecordField::Headers => {
                DataType::List(Arc::new(Field::new("item", DataType::Struct(Self::header_fields()), false)))
            }
            RecordField::Partition => DataType::Int32,
            RecordField::Offset => DataType::Int64,
            RecordField::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }

    /// Whether records may lack it.
    pub fn is_nullable(self) -> bool {
        matches!(self, RecordField::Key | RecordField::KeyText | RecordField::Timestamp)
    }

    /// What a header consists of.
    pub fn header_fields() -> Fields {
        let (name, value) = (Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Binary, true));
        vec![name, value].into()
    }
}

impl SaslMechanism {
    /// Its name in pipelines, and in lower case everywhere else.
    pub fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "plain",
            SaslMechanism::ScramSha256 => "scram-sha-256",
            SaslMechanism::ScramSha512 => "scram-sha-512",
        }
    }

    /// All of them.
    pub const ALL: [SaslMechanism; 3] = [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
}
