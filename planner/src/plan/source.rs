//! Sources: where rows come from, and what shapes them.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{Compression, DatabaseSource, DeltaSource, EventTime, FlightSource, Format, KafkaTopic, Objects, StreamId};
use crate::rejects::{record_rejects_schema, rejects_schema};

/// Where data comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// As in the text.
    pub name: String,
    /// What it reads, and how.
    pub spec: SourceSpec,
    /// The stream of its rows.
    pub stream: StreamId,
    /// The stream of its bad rows, under [`BadRows::Stream`].
    pub rejects: Option<StreamId>,
    /// The event time of its rows, if the text names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTime>,
}

/// What a source reads and how: everything that shapes its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Where its bytes are: the kind of source that it is.
    pub location: Location,
    /// How bytes become rows.
    pub format: Format,
    /// How the bytes are compressed.
    pub compression: Compression,
    /// What happens to rows that do not fit.
    pub bad_rows: BadRows,
    /// The columns that the text declares, if any. Others are inferred, and pinned in the lock.
    pub declared: Option<Declared>,
    /// Whether the names of folders have columns (`column=value`); none where the text does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<bool>,
}

/// The columns of a source that the text declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// As in the text.
    pub columns: SchemaRef,
    /// What becomes of columns that are not declared.
    pub rest: Rest,
}

/// What becomes of columns that the files of a source have and its `schema` does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// Nothing reads them, and runs warn of it.
    Unsaid,
    /// Nothing reads them.
    Drop,
    /// They are inferred, and pinned in the lock.
    Infer,
}

impl SourceSpec {
    /// Whether columns are inferred from records, of which some may lack members or values.
    pub fn is_sampled(&self) -> bool {
        matches!(self.format, Format::Csv(_) | Format::JsonLines)
    }

    /// What `flowc run --update` does about inferred columns, as a part of a sentence.
    pub fn update_words(&self) -> String {
        let records = if self.is_sampled() { " and its first 10000 records" } else { "" };
        match &self.location {
            Location::Files(_) | Location::Objects(_) => {
                format!("infers the columns again, from the first {}{records}", self.location.part())
            }
            Location::Stdin if self.is_sampled() => "infers the columns again, from its first 10000 records".to_owned(),
            Location::Kafka(_) if self.is_sampled() => {
                "infers the columns again, from the first 10000 records of the range".to_owned()
            }
            Location::Stdin | Location::Kafka(_) => "takes its columns as they are now".to_owned(),
            Location::Database(_) => "takes the columns that the database has now".to_owned(),
            Location::Flight(_) => "takes the columns that the server gives now".to_owned(),
            Location::Delta(_) => "takes the columns that the table has now".to_owned(),
        }
    }

    /// Whether columns are inferred: all of them, or those that the text does not declare.
    pub fn is_inferred(&self) -> bool {
        self.declared.as_ref().is_none_or(|declared| declared.rest == Rest::Infer)
    }

    /// The columns of the stream of bad rows, which say where a row is, why it is bad, and what it holds.
    pub fn rejects_schema(&self) -> SchemaRef {
        match self.location {
            Location::Kafka(_) => record_rejects_schema(),
            _ => rejects_schema(),
        }
    }

    /// Whether its parts are pieces of partitions, within which rows follow one another. Parts of other sources stand for themselves.
    pub fn is_partitioned(&self) -> bool {
        matches!(self.location, Location::Kafka(_))
    }

    /// The name that the format has in the pipeline's text: each record of a topic is a value of its own.
    pub fn format_name(&self) -> &'static str {
        match self.location {
            Location::Kafka(_) => self.format.record_name(),
            _ => self.format.name(),
        }
    }

    /// The columns, where these were inferred: a declared one has the type of the text. One that was not inferred comes last.
    pub fn with_declared(&self, inferred: SchemaRef) -> SchemaRef {
        let Some(declared) = &self.declared else { return inferred };
        let columns = declared.columns.fields();
        let of = |name: &str| columns.iter().find(|column| column.name() == name);
        let named = inferred.fields().iter().map(|field| of(field.name()).unwrap_or(field).clone());
        let added = columns.iter().filter(|column| inferred.index_of(column.name()).is_err()).cloned();
        let fields: Vec<_> = named.chain(added).collect();
        Arc::new(Schema::new_with_metadata(fields, inferred.metadata().clone()))
    }
}

/// Where a source's bytes are. This is the planner's list of kinds of sources; `read/source.rs` says how the text names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// Paths or globs, relative to the pipeline's folder unless absolute. Matches are taken in byte order of the path,
    /// pattern by pattern; a file that several patterns match is taken once.
    Files(Vec<String>),
    /// Standard input.
    Stdin,
    /// A range of a topic of Apache Kafka.
    Kafka(Box<KafkaTopic>),
    /// Objects of object stores.
    Objects(Box<Objects>),
    /// Rows of a database.
    Database(Box<DatabaseSource>),
    /// Rows of a server of Arrow Flight.
    Flight(Box<FlightSource>),
    /// A version of a Delta table.
    Delta(Box<DeltaSource>),
}

impl Location {
    /// What one of its parts is called: what is read as one, and has a name.
    pub fn part(&self) -> &'static str {
        match self {
            Self::Files(_) | Self::Delta(_) => "file",
            Self::Stdin => "stream",
            Self::Kafka(_) => "block",
            Self::Objects(_) => "object",
            Self::Database(_) | Self::Flight(_) => "result",
        }
    }
}

/// What happens to rows of a source that do not fit its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadRows {
    /// The run fails, with file, row and reason.
    Fail,
    /// They are left out, counted and shown.
    Skip,
    /// They go to a stream of their own, with file, row, reason and text.
    Stream,
}
