//! Parts of a plan in words, shared by the text and the drawings.

use arrow_schema::Schema;

use crate::instant::text as instant_text;
use crate::plan::{
    BadRows, Bounds, ChangedRows, Compression, Database, DatabaseRows, DatabaseSource, DeltaSource, DeltaTable,
    FlightSource, Format, KafkaTopic, Keep, Location, ObjectAddress, ObjectSink, Objects, OnFailure, Position, Purity,
    Registry, SinkSpec, SourceSpec, Split, Target, WriteMode,
};
use crate::quantity::duration;

/// Where a source reads from.
pub(super) fn location(location: &Location) -> String {
    match location {
        Location::Files(patterns) => patterns.join(" "),
        Location::Stdin => "stdin".to_owned(),
        Location::Kafka(topic) => kafka(topic),
        Location::Objects(objects) => at_stores(objects),
        Location::Database(source) => rows_of_database(source),
        Location::Flight(flight) => at_server(flight),
        Location::Delta(source) => table_version(source),
    }
}

/// Addresses of objects, and how their stores are reached.
fn at_stores(objects: &Objects) -> String {
    let Objects { patterns, region: _, endpoint, anonymous } = objects;
    let patterns = patterns.iter().map(ObjectAddress::to_string).collect::<Vec<_>>().join(" ");
    at_store(patterns, endpoint.as_deref(), *anonymous)
}

/// An address, and how its store is reached.
fn at_store(mut words: String, endpoint: Option<&str>, anonymous: bool) -> String {
    if let Some(endpoint) = endpoint {
        words.push_str(&format!(" at {endpoint}"));
    }
    if anonymous {
        words.push_str(", anonymous");
    }
    words
}

/// Rows of a database.
fn rows_of_database(source: &DatabaseSource) -> String {
    let rows = match &source.rows {
        DatabaseRows::Table { table, order_by } if order_by.is_empty() => format!("table {table}"),
        DatabaseRows::Table { table, order_by } => format!("table {table} by {}", order_by.join(", ")),
        DatabaseRows::Query { sql, params } => {
            let bound = if params.is_empty() { String::new() } else { format!(" with {} bound", params.len()) };
            format!("query {}{bound}", sql.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    };
    format!("{} {rows}", database(&source.database))
}

/// A database, without anything that may be secret.
fn database(database: &Database) -> String {
    let uri = database.shown_uri().map_or_else(String::new, |uri| format!(" {uri}"));
    format!("adbc {}{uri}", database.driver)
}

/// What a server is asked for, and how long that stands.
fn at_server(flight: &FlightSource) -> String {
    let FlightSource { server, ask, token: _, ca: _, keep } = flight;
    format!("flight {server} {ask}, {}", standing(keep))
}

/// A table, and which version of it.
fn table_version(source: &DeltaSource) -> String {
    let version = source.version.map_or_else(|| "newest version".to_owned(), |version| format!("version {version}"));
    format!("{}, {version}", delta(&source.table))
}

/// A table, and how its store is reached.
fn delta(table: &DeltaTable) -> String {
    let DeltaTable { place, region: _, endpoint, anonymous } = table;
    at_store(format!("delta {place}"), endpoint.as_deref(), *anonymous)
}

/// A topic, with the range that is read of it.
fn kafka(topic: &KafkaTopic) -> String {
    let KafkaTopic { brokers, topic: name, partitions, start, until, uncommitted, .. } = topic;
    let mut words = format!("kafka {} topic {name}", brokers.join(" "));
    if let Some(partitions) = partitions {
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        words.push_str(&format!(" partitions {}", partitions.join(" ")));
    }
    words.push_str(&format!(" from {} until {}", bounds(start), bounds(until)));
    if *uncommitted {
        words.push_str(", uncommitted too");
    }
    words
}

fn bounds(bounds: &Bounds) -> String {
    let general = match bounds.position {
        Position::Earliest => "earliest".to_owned(),
        Position::Latest => "latest".to_owned(),
        Position::Time(time) => instant_text(time),
    };
    let offsets = bounds.offsets.iter().map(|(partition, offset)| format!("{partition}={offset}"));
    [general].into_iter().chain(offsets).collect::<Vec<_>>().join(" ")
}

/// Where a sink writes to.
pub(super) fn target(target: &Target) -> String {
    match target {
        Target::File(path) => path.clone(),
        Target::Directory(path) => format!("{}/", path.trim_end_matches('/')),
        Target::Objects(objects) => {
            let ObjectSink { address, is_folder, region: _, endpoint, anonymous } = objects.as_ref();
            at_store(format!("{address}{}", if *is_folder { "/" } else { "" }), endpoint.as_deref(), *anonymous)
        }
        Target::Stdout => "stdout".to_owned(),
        Target::Kafka(kafka) => format!("kafka {} topic {}", kafka.brokers.join(" "), kafka.topic),
        Target::Delta(sink) => delta(&sink.table),
        Target::Database(sink) => format!("{} table {}", database(&sink.database), sink.table),
    }
}

/// What follows if an assert has rows.
pub(super) fn on_failure(follows: OnFailure) -> &'static str {
    match follows {
        OnFailure::Fail => "rows fail the run",
        OnFailure::Warn => "the run warns of rows",
        OnFailure::Stream => "rows are a stream",
    }
}

/// How a source reads: format, and what differs from the default.
pub(super) fn reading(spec: &SourceSpec) -> String {
    let mut words = match &spec.location {
        Location::Database(source) => {
            let cursor = source.cursor.iter().map(|column| format!("new rows by {column}"));
            let split = source.split.iter().map(|Split { column, most }| format!("at most {most} parts by {column}"));
            [format!("open: {}", standing(&source.keep))].into_iter().chain(cursor).chain(split).collect()
        }
        _ => format_words(spec.format_name(), spec.compression),
    };
    match spec.bad_rows {
        BadRows::Fail => {}
        BadRows::Skip => words.push("bad rows are left out".to_owned()),
        BadRows::Stream => words.push("bad rows have a stream".to_owned()),
    }
    if spec.partitions == Some(true) {
        words.push("partitions".to_owned());
    }
    if let Format::Debezium(_) = spec.format {
        words.push("changes".to_owned());
    }
    words.extend(spec.format.registry().map(schema_of));
    let columns = match (&spec.declared, spec.is_inferred()) {
        _ if matches!(spec.format.of_rows(), Format::Avro(_) | Format::Protobuf(_)) => "columns of the schema",
        (None, _) => "columns inferred",
        (Some(_), true) => "some columns declared, others inferred",
        (Some(_), false) => "columns declared",
    };
    words.push(columns.to_owned());
    words.join(", ")
}

/// How long what was read elsewhere stands.
fn standing(keep: &Keep) -> String {
    match keep {
        Keep::Run => "read by each run".to_owned(),
        Keep::For(ttl_ms) => format!("stands for {}", duration(*ttl_ms)),
        Keep::Pinned(label) => format!("pinned as {label}"),
    }
}

/// Where the schema of records is.
fn schema_of(registry: &Registry) -> String {
    format!("schema {} of {}", registry.subject, registry.url)
}

/// How a sink writes.
pub(super) fn writing(spec: &SinkSpec) -> String {
    if let Target::Database(sink) = &spec.target {
        let key = if sink.key.is_empty() { String::new() } else { format!(" by {}", sink.key.join(", ")) };
        let changed = match (sink.mode, sink.changed) {
            (WriteMode::Append, ChangedRows::Fail) => ", changed rows are refused",
            (WriteMode::Append, ChangedRows::Append) => ", changed rows are appended",
            _ => "",
        };
        return format!("{}{key}{changed}", sink.mode.name());
    }
    if let Target::Delta(sink) = &spec.target {
        let by =
            if spec.partition_by.is_empty() { String::new() } else { format!(", by {}", spec.partition_by.join(", ")) };
        let changed = match (sink.mode, sink.changed) {
            (WriteMode::Append, ChangedRows::Fail) => ", changed rows are refused",
            (WriteMode::Append, ChangedRows::Append) => ", changed rows are appended",
            _ => "",
        };
        return format!("{}{by}{changed}", sink.mode.name());
    }
    let format = match spec.target {
        Target::Kafka(_) => spec.format.record_name(),
        _ => spec.format.name(),
    };
    let mut words = format_words(format, spec.compression);
    words.extend(spec.format.registry().map(schema_of));
    if let Target::Kafka(kafka) = &spec.target {
        words.extend(kafka.parts.key.as_ref().map(|key| format!("key {key}")));
        words.push(match kafka.changed {
            ChangedRows::Fail => "changed rows are refused".to_owned(),
            ChangedRows::Append => "changed rows are appended".to_owned(),
        });
    }
    if !spec.partition_by.is_empty() {
        words.push(format!("by {}", spec.partition_by.join(", ")));
    }
    words.join(", ")
}

fn format_words(format: &str, compression: Compression) -> Vec<String> {
    let mut words = vec![format.to_owned()];
    match compression {
        Compression::Auto | Compression::None => {}
        Compression::Gzip => words.push("gzip".to_owned()),
        Compression::Zstd => words.push("zstd".to_owned()),
    }
    words
}

/// `id: Int64, name: Utf8?`; a question mark where there may be nulls. Long lists are cut.
pub(super) fn columns(schema: &Schema) -> String {
    const MOST: usize = 12;
    let field = |field: &arrow_schema::FieldRef| {
        format!("{}: {}{}", field.name(), field.data_type(), if field.is_nullable() { "?" } else { "" })
    };
    let mut shown: Vec<String> = schema.fields().iter().take(MOST).map(field).collect();
    if schema.fields().len() > MOST {
        shown.push(format!("and {} more", schema.fields().len() - MOST));
    }
    if shown.is_empty() { "no columns".to_owned() } else { shown.join(", ") }
}

/// The names of columns by their indices.
pub(super) fn names(schema: &Schema, indices: &[usize]) -> String {
    let fields = schema.fields();
    match indices.len() {
        0 => "no columns".to_owned(),
        all if all == fields.len() && all > 1 => "all columns".to_owned(),
        _ => indices.iter().map(|&i| fields[i].name().as_str()).collect::<Vec<_>>().join(", "),
    }
}

pub(super) fn purity(purity: Purity) -> &'static str {
    match purity {
        Purity::Proven => "proven",
        Purity::Sandboxed => "sandboxed",
        Purity::Open => "open",
    }
}
