//! Which topic of Apache Kafka a sink appends to, and what its records are made of.

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};

use super::{Format, Sasl, Tls};

/// A topic that a sink appends to, and how its cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaSink {
    /// `host:port` of brokers to ask first.
    pub brokers: Vec<String>,
    /// The topic's name.
    pub topic: String,
    /// The id of its transactions, which tells it from other sinks that write to the topic.
    pub id: String,
    /// The topic that says what was written.
    pub anchor: String,
    /// What the records are made of.
    pub parts: RecordParts,
    /// What becomes of rows that were written and have changed.
    pub changed: ChangedRows,
    /// How flowc says who it is.
    pub sasl: Option<Sasl>,
    /// How connections are encrypted, if they are.
    pub tls: Option<Tls>,
}

/// The columns that the parts of a record come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordParts {
    /// The key.
    pub key: Option<String>,
    /// A header each, or several where a column has lists of them.
    pub headers: Vec<String>,
    /// The number of the partition.
    pub partition: Option<String>,
    /// The time.
    pub timestamp: Option<String>,
    /// The value; where the text names none, what [`RecordParts::value_columns`] says.
    pub value: Option<Vec<String>>,
}

/// What becomes of rows that were written and are now other rows, or are gone: a topic takes nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangedRows {
    /// The run is refused.
    Fail,
    /// The rows of the segments that changed are appended.
    Append,
}

impl KafkaSink {
    /// The topic that says what was written, where the text names none.
    pub const ANCHOR: &str = "flowc-sinks";
}

impl RecordParts {
    /// Indices of the columns that a record's value is made of. Where the text names none they are those of no other part; an object
    /// has the key as well.
    pub fn value_columns(&self, format: &Format, schema: &Schema) -> Vec<usize> {
        let is_here = |name: &String| match &self.value {
            Some(named) => named.contains(name),
            None => {
                let is_key = self.key.as_ref() == Some(name) && !format.is_object();
                let is_other = [&self.partition, &self.timestamp].into_iter().flatten().any(|other| other == name);
                !is_key && !is_other && !self.headers.contains(name)
            }
        };
        schema.fields().iter().enumerate().filter(|(_, field)| is_here(field.name())).map(|(i, _)| i).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;

    #[test]
    fn a_value_has_the_columns_that_are_no_other_part() {
        let field = |name: &str| Field::new(name, DataType::Utf8, true);
        let schema = Schema::new(["id", "at", "text", "trace"].map(field).to_vec());
        let parts = RecordParts {
            key: Some("id".to_owned()),
            headers: vec!["trace".to_owned()],
            timestamp: Some("at".to_owned()),
            ..RecordParts::default()
        };
        assert_eq!(parts.value_columns(&Format::Lines, &schema), [2]);
        assert_eq!(parts.value_columns(&Format::JsonLines, &schema), [0, 2]);
        let named = RecordParts { value: Some(vec!["at".to_owned(), "id".to_owned()]), ..parts };
        assert_eq!(named.value_columns(&Format::JsonLines, &schema), [0, 1]);
    }
}
