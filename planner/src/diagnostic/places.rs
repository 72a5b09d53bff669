//! Sources and sinks: where data comes from and goes to.

/// What is wrong with a source or a sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum PlaceProblem {
    /// Several places where there can be one.
    #[error("{what} has two places: `{first}` and `{second}`")]
    #[diagnostic(code(flowc::several_places), help("keep one of them"))]
    SeveralPlaces {
        /// The source or sink.
        what: String,
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// The ending does not tell the format.
    #[error("cannot infer the format of {what} from `{path}`")]
    #[diagnostic(code(flowc::no_format), help("add `format \"...\"`: one of {known}"))]
    NoFormat {
        /// The source or sink.
        what: String,
        /// The path, or standard input or output.
        path: String,
        /// Names of formats.
        known: String,
    },
    /// The endings tell several formats.
    #[error("the files of {what} have several formats: `{first}` and `{second}`")]
    #[diagnostic(
        code(flowc::mixed_formats),
        help("make a source for each, or say `format \"...\"` if they are the same")
    )]
    MixedFormats {
        /// The source.
        what: String,
        /// The first pattern.
        first: String,
        /// The second pattern.
        second: String,
    },
    /// A format that is not for here.
    #[error("the format `{format}` is not for {what}")]
    #[diagnostic(code(flowc::format_place), help("use one of {known}"))]
    FormatPlace {
        /// Its name.
        format: String,
        /// What kind of place.
        what: &'static str,
        /// Names of formats.
        known: String,
    },
    /// An address where a path should be.
    #[error("`{scheme}://` can't stand here: a path of this machine is expected")]
    #[diagnostic(code(flowc::address))]
    Address {
        /// What stands before `://`.
        scheme: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// An address that flowc knows nothing of.
    #[error("flowc does not know `{scheme}://`")]
    #[diagnostic(code(flowc::scheme))]
    Scheme {
        /// What stands before `://`.
        scheme: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// A path beside addresses.
    #[error("`{path}` is a path of this machine, among addresses of objects")]
    #[diagnostic(code(flowc::mixed_places), help("make a source for each"))]
    PathAmongObjects {
        /// The path, as the text has it.
        path: String,
    },
    /// A declared schema for a format that brings its own.
    #[error("the format `{format}` has columns of its own, so `schema` cannot be declared")]
    #[diagnostic(code(flowc::fixed_schema), help("leave out `schema`"))]
    FixedSchema {
        /// Its name.
        format: &'static str,
    },
    /// A time zone that nobody knows.
    #[error("there is no time zone `{zone}`")]
    #[diagnostic(
        code(flowc::unknown_zone),
        help("a name of the tz database such as `Europe/Berlin`, `UTC`, or an offset such as `+01:00`")
    )]
    UnknownZone {
        /// The zone, as the text has it.
        zone: String,
    },
    /// Columns that cannot be told.
    #[error("cannot infer the schema of source `{name}`: {message}")]
    #[diagnostic(code(flowc::source_schema))]
    SourceSchema {
        /// The source.
        name: String,
        /// Why the columns can't be inferred.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A source that does not answer, or refuses to: columns can't be told now, though the pipeline may be right.
    #[error("cannot infer the schema of source `{name}` now: {message}")]
    #[diagnostic(code(flowc::source_unreached))]
    SourceUnreached {
        /// The source.
        name: String,
        /// The reason, as a part of the message.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A place that this build can't read from.
    #[error("source `{name}`: {message}")]
    #[diagnostic(code(flowc::source_place))]
    SourcePlace {
        /// The source.
        name: String,
        /// What is missing.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A place that this build can't write to.
    #[error("sink `{name}`: {message}")]
    #[diagnostic(code(flowc::sink_place))]
    SinkPlace {
        /// The sink.
        name: String,
        /// What is missing.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// Records of Avro without a schema.
    #[error("nothing tells the schema of the records")]
    #[diagnostic(
        code(flowc::no_record_schema),
        help(
            "name its file (`schema-file=\"bids.avsc\"`), give it (`schema=`), or name a registry (`registry=\"https://registry:8081\"`)"
        )
    )]
    NoRecordSchema,
    /// A schema, and a file of another one.
    #[error("the records have two schemas")]
    #[diagnostic(code(flowc::two_record_schemas), help("keep `schema` or `schema-file`"))]
    TwoRecordSchemas,
    /// A property that says something of a registry, where none is named.
    #[error("`{name}` says something of a registry, and none is named")]
    #[diagnostic(
        code(flowc::needs_registry),
        help("name it, `registry=\"https://registry:8081\"`, or leave `{name}` out")
    )]
    NeedsRegistry {
        /// The property.
        name: &'static str,
    },
    /// A user or a password in an address, which is in plans and keys.
    #[error("an address holds no user and no password")]
    #[diagnostic(code(flowc::credentials), help("{help}"))]
    Credentials {
        /// How to name the user.
        help: String,
    },
    /// An envelope of records that are written.
    #[error("`envelope` is for sources")]
    #[diagnostic(code(flowc::envelope_sink), help("leave it out: what is written are rows"))]
    EnvelopeSink,
    /// A column that records have, and that is asked of `columns` as well.
    #[error("the source `{name}` has two columns `{column}`: its records have one, and `columns` adds one")]
    #[diagnostic(code(flowc::record_column), help("give the one in `columns` another name: `offset \"position\"`"))]
    RecordColumn {
        /// The source.
        name: String,
        /// The column's name.
        column: String,
    },
    /// Records whose columns nothing tells.
    #[error("the columns of {what} are not known: records of the format `{format}` do not declare them")]
    #[diagnostic(code(flowc::record_schema), help("declare them: schema {{ column \"id\" \"Int64\"; ... }}"))]
    RecordSchema {
        /// The source.
        what: String,
        /// The format's name.
        format: &'static str,
    },
    /// A property or node of sources of files.
    #[error("`{node}` is not for a topic")]
    #[diagnostic(code(flowc::not_for_topic), help("leave it out: {reason}"))]
    NotForTopic {
        /// The node, as the text has it.
        node: &'static str,
        /// The reason, as a part of the message.
        reason: &'static str,
    },
    /// A node of files, in a source or sink of a database.
    #[error("`{node}` is not for a database")]
    #[diagnostic(code(flowc::not_for_database), help("leave it out: {reason}"))]
    NotForDatabase {
        /// The node, as the text has it.
        node: String,
        /// The reason, as a part of the message.
        reason: &'static str,
    },
    /// A query with more than one statement.
    #[error("the query has a second statement: `{}`", first_line(second))]
    #[diagnostic(
        code(flowc::several_statements),
        help("a source reads the rows of one statement: make a source for each, or one query with `UNION ALL`")
    )]
    SeveralStatements {
        /// The second one, and what follows.
        second: String,
    },
    /// A node of files, in a source or sink of a Delta table.
    #[error("`{node}` is not for a Delta table")]
    #[diagnostic(code(flowc::not_for_delta), help("leave it out: {reason}"))]
    NotForDelta {
        /// The node, as the text has it.
        node: String,
        /// The reason, as a part of the message.
        reason: &'static str,
    },
    /// A property or node that a source of a server has no use for.
    #[error("`{node}` is not for a flight")]
    #[diagnostic(code(flowc::not_for_flight), help("leave it out: {reason}"))]
    NotForFlight {
        /// The node, as the text has it.
        node: &'static str,
        /// The reason, as a part of the message.
        reason: &'static str,
    },
    /// The columns are not in the lock.
    #[error("source `{name}`: {message}")]
    #[diagnostic(code(flowc::locked))]
    AgainstLock {
        /// The source.
        name: String,
        /// How the columns differ from those of the lock.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// Two columns of one name.
    #[error("the column `{column}` is declared twice")]
    #[diagnostic(code(flowc::repeated_column), help("columns of a source need names of their own"))]
    RepeatedColumn {
        /// Its name.
        column: String,
    },
    /// A partition column named twice.
    #[error("`partition-by` names the column `{column}` twice")]
    #[diagnostic(code(flowc::repeated_partition), help("name it once"))]
    RepeatedPartition {
        /// Its name.
        column: String,
    },
    /// Bad rows cannot be told apart.
    #[error("`bad-rows \"{choice}\"` is not for the format `{format}`")]
    #[diagnostic(code(flowc::bad_rows), help("its rows are good or the whole file is bad; leave out `bad-rows`"))]
    BadRows {
        /// The choice, as the text has it.
        choice: String,
        /// The format's name.
        format: &'static str,
    },
    /// Two sinks in one place.
    #[error("the sinks `{first}` and `{second}` write to the same place")]
    #[diagnostic(code(flowc::same_target))]
    SameTarget {
        /// The first.
        first: String,
        /// The second.
        second: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A sink within the folder of another.
    #[error("the sink `{sink}` writes into the folder of the sink `{folder}`")]
    #[diagnostic(code(flowc::within_target), help("a folder is replaced as a whole; give one of them another place"))]
    WithinTarget {
        /// The sink within.
        sink: String,
        /// The sink of the folder.
        folder: String,
    },
    /// A sink would destroy the pipeline.
    #[error("the sink `{sink}` would overwrite the pipeline's own `{path}`")]
    #[diagnostic(code(flowc::overwrites_pipeline), help("give the sink another place"))]
    OverwritesPipeline {
        /// The sink.
        sink: String,
        /// The text or the lock.
        path: String,
    },
    /// A sink would destroy what a source reads, or feed it.
    #[error("the sink `{sink}` writes where the source `{name}` reads")]
    #[diagnostic(
        code(flowc::feeds_source),
        help("the next run would read what this one wrote; give the sink another place, or narrow the source's files")
    )]
    FeedsSource {
        /// The sink.
        sink: String,
        /// The source.
        name: String,
    },
    /// Partitions in something that is not a folder.
    #[error("`partition-by` needs a `directory`")]
    #[diagnostic(
        code(flowc::partition_place),
        help("partitions are folders: replace `file` or `stdout` with `directory \"...\"`")
    )]
    PartitionPlace,
    /// Partitions by a column that is not there.
    #[error("the stream `{stream}` has no column `{column}`")]
    #[diagnostic(code(flowc::unknown_column))]
    UnknownColumn {
        /// The stream.
        stream: String,
        /// The column, as the text has it.
        column: String,
        /// What there is.
        #[help]
        help: Option<String>,
    },
    /// All columns are in the folders' names.
    #[error("`partition-by` names all columns, so that none is left for the files")]
    #[diagnostic(code(flowc::all_partitioned), help("leave at least one column out of it"))]
    AllPartitioned,
    /// A column whose values cannot name folders.
    #[error("the column `{column}` is a {data_type}, whose values cannot name folders")]
    #[diagnostic(code(flowc::partition_type), help("partition by text, numbers, dates or booleans"))]
    PartitionType {
        /// Its name.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// A format of one column.
    #[error("the format `{format}` writes one column of {holds}, but the stream `{stream}` has {found}")]
    #[diagnostic(code(flowc::lines_columns), help("select the column before the sink, or write `{other}`"))]
    LinesColumns {
        /// The format.
        format: &'static str,
        /// What the column holds.
        holds: &'static str,
        /// A format of several columns.
        other: &'static str,
        /// The stream.
        stream: String,
        /// What it has.
        found: String,
    },
}

/// The first line of a text, or what of it can be shown.
fn first_line(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}
