//! What can go wrong with a source: the place, the reason, what to do.

use std::io;
use std::path::PathBuf;

use arrow_schema::DataType;
use flowc_planner::plan::Format;

/// What is wrong with bytes that are not text, and what to do.
pub(crate) const NOT_UTF8: &str = "not UTF-8; `iconv -f latin1 -t utf-8` converts a file from Latin-1";

/// Why a source can't be listed, opened or read. `file` is the name as the pipeline's text matched it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A pattern that is no glob.
    #[error("the pattern `{pattern}` is not a valid glob: {reason}")]
    BadPattern {
        /// As in the text.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A glob that matches nothing.
    #[error("no file matches `{pattern}` (looked in {})", folder.display())]
    NoMatch {
        /// As in the text.
        pattern: String,
        /// The folder where the search began.
        folder: PathBuf,
    },
    /// A named file that is not there.
    #[error("the file `{pattern}` does not exist (looked for {})", path.display())]
    Missing {
        /// As in the text.
        pattern: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder in place of a file.
    #[error("`{file}` is a folder; name the files in it, such as `{file}/*.csv` or `{file}/**`")]
    Folder {
        /// As in the text.
        file: String,
    },
    /// A pipe, a device or a socket among the files of a glob.
    #[error("`{file}` is neither a file nor a folder; move it away, or leave it out of the pattern")]
    NotAFile {
        /// As matched.
        file: String,
    },
    /// Names that the pipeline's text can't hold.
    #[error("the file name {} is not UTF-8; rename the file or leave it out of the pattern", path.display())]
    NameNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// Bytes that can be read once, when the pipeline runs.
    #[error("{name} is read only when the pipeline runs")]
    ReadOnce {
        /// What they are.
        name: &'static str,
    },
    /// The system refused.
    #[error("{file}: cannot {action}: {error}")]
    Io {
        /// Which file or folder.
        file: String,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        #[source]
        error: io::Error,
    },
    /// Bytes that are not what the format says.
    #[error("{file}: not valid {format}: {reason}")]
    Damaged {
        /// Which file.
        file: String,
        /// What it should be.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// A codec or a form that is not read here.
    #[error("{file}: it is {what}, which flowc cannot read; write it again {remedy}")]
    Unreadable {
        /// Which file.
        file: String,
        /// How it is written.
        what: String,
        /// How to write it instead.
        remedy: &'static str,
    },
    /// Text in another encoding than UTF-8.
    #[error("{file}: it is UTF-16; convert it to UTF-8 (`iconv -f utf-16 -t utf-8`)")]
    Utf16 {
        /// Which file.
        file: String,
    },
    /// Text in some other encoding than UTF-8, where the whole file depends on it.
    #[error("{file}: it is not UTF-8 ({place}); convert it to UTF-8, from Latin-1 with `iconv -f latin1 -t utf-8`")]
    NotUtf8 {
        /// Which file.
        file: String,
        /// Where in it.
        place: String,
    },
    /// Compressed bytes where text is expected.
    #[error(
        "{file}: it is compressed with {compression}; name it with the ending {ending}, or say `compression \"{compression}\"`"
    )]
    Compressed {
        /// Which file.
        file: String,
        /// With what.
        compression: &'static str,
        /// How such files are named.
        ending: &'static str,
    },
    /// A column that the schema has and the file has not.
    #[error("{file}: there is no column `{column}`; its columns are {}", list_names(found))]
    MissingColumn {
        /// Which file.
        file: String,
        /// The schema's column.
        column: String,
        /// The file's columns.
        found: Vec<String>,
    },
    /// A column that the file has not, and its folder's name has.
    #[error(
        "{file}: there is no column `{column}` in the file, but in its folder's name: `files` with the property \
         partitions=#true reads it"
    )]
    ColumnInFolder {
        /// Which file.
        file: String,
        /// The schema's column.
        column: String,
    },
    /// A text in a folder's name that is no value of its column.
    #[error("{file}: the folder's name says that `{column}` is `{value}`, which is no value of type {expected} there")]
    FolderValue {
        /// Which file.
        file: String,
        /// The column's name.
        column: String,
        /// What the folder's name has.
        value: String,
        /// The column's type.
        expected: Box<DataType>,
    },
    /// Folders that name one column twice.
    #[error("{file}: the names of its folders have the column `{column}` more than once; rename one of them")]
    RepeatedFolder {
        /// Which file.
        file: String,
        /// The column's name.
        column: String,
    },
    /// Files in folders whose names have no columns.
    #[error("{file}: partitions=#true, but no folder in a file's name is named `column=value`")]
    NoFolders {
        /// The first file.
        file: String,
    },
    /// A column name that the file has more than once.
    #[error(
        "{file}: the column `{column}` occurs more than once; rename one of them, or declare a `schema` without it to read the others"
    )]
    RepeatedColumn {
        /// Which file.
        file: String,
        /// Its name.
        column: String,
    },
    /// A column of a type that does not convert to the expected one without loss.
    #[error(
        "{file}: the column `{column}` is {found}, where {expected} is expected, which does not hold all of its values; \
         declare it with a type that does"
    )]
    TypeDiffers {
        /// Which file.
        file: String,
        /// Its name.
        column: String,
        /// As in the schema.
        expected: Box<DataType>,
        /// As in the file.
        found: Box<DataType>,
    },
    /// A null where the schema allows none, in a format that has no bad rows.
    #[error(
        "{file}: row {row}: the column `{column}` has nulls, where none are expected; declare it without nullable=#false"
    )]
    UnexpectedNull {
        /// Which file.
        file: String,
        /// The first row with one, from 1.
        row: u64,
        /// Its name.
        column: String,
    },
    /// A value that the column's type does not hold, in a format that has no bad rows.
    #[error(
        "{file}: row {row}, column `{column}`: {value} is no value of type {expected}, and nothing is rounded or cut; \
         declare a type that holds it"
    )]
    Misfit {
        /// Which file.
        file: String,
        /// The first row with such a value, from 1.
        row: u64,
        /// The column's name.
        column: String,
        /// The value, as text.
        value: String,
        /// The column's type.
        expected: Box<DataType>,
    },
    /// A declared schema that the format can't give.
    #[error("the source's schema does not fit the format {format}: {reason}")]
    UnfitSchema {
        /// The format's name.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A format or dialect that can't be read.
    #[error("{reason}")]
    UnfitFormat {
        /// What is wrong and what to do.
        reason: String,
    },
    /// A row that does not fit, under `bad-rows "fail"`.
    #[error("{file}: row {row}{}: {reason}: {text}", column.as_ref().map(|name| format!(", column `{name}`")).unwrap_or_default())]
    BadRow {
        /// Which file.
        file: String,
        /// The data row in the file, from 1.
        row: u64,
        /// The column, where the fault is in one.
        column: Option<String>,
        /// What is wrong.
        reason: String,
        /// The start of the record's text.
        text: String,
        /// The record.
        record: Box<[u8]>,
    },
    /// A record of a topic that does not fit, under `bad-rows "fail"`.
    #[error("topic `{topic}`, partition {partition}, offset {offset}{}: {reason}: {text}", column.as_ref().map(|name| format!(", column `{name}`")).unwrap_or_default())]
    BadRecord {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// The column, where the fault is in one.
        column: Option<String>,
        /// What is wrong.
        reason: String,
        /// The start of the record's value.
        text: String,
    },
    /// A topic that can't be read.
    #[error("the topic `{topic}`: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A flight that can't be read.
    #[error("{flight}: {reason}")]
    Flight {
        /// The server, and what it was asked for.
        flight: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A table that can't be read.
    #[error("{table}: {reason}")]
    Delta {
        /// Its folder or address.
        table: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A pattern of addresses that matches nothing.
    #[error("no object matches `{pattern}`; check the bucket, and that names and cases are those of the keys")]
    NoObject {
        /// As in the text.
        pattern: String,
    },
    /// An object, or a bucket, that can't be read.
    #[error("{address}: {reason}")]
    Object {
        /// Its address.
        address: String,
        /// Why, and what to do.
        reason: String,
        /// Whether it is not the address that is wrong: the network, the service or the credentials fail.
        is_of_machine: bool,
    },
    /// Rows of a database that can't be read.
    #[error("{database}: {reason}")]
    Database {
        /// The driver, and the table or query.
        database: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A password that can't be had.
    #[error("the secret `{secret}` is missing: {reason}")]
    Secret {
        /// Its name.
        secret: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A record without end.
    #[error("{file}: the record at byte {offset} is longer than {} MiB; is a quote or a line end missing?", limit >> 20)]
    RecordTooLong {
        /// Which file.
        file: String,
        /// Where it starts in the (decompressed) file.
        offset: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A file too large to be one value.
    #[error("{file}: {size} bytes are too many for one row of format \"bytes\"; the limit is 2 GiB")]
    FileTooLarge {
        /// Which file.
        file: String,
        /// Its (decompressed) size.
        size: u64,
    },
    /// A file that did not stay the same while it was read.
    #[error("{file}: {what} while it was being read; run again when it no longer changes")]
    Changed {
        /// Which file.
        file: String,
        /// What happened to it.
        what: &'static str,
    },
    /// More values in a column than its type has room for: more than a dictionary's keys can number.
    #[error(
        "{file}: the column `{column}` does not fit {data_type}: {reason}; declare it with wider keys, such as \
             \"Dictionary(Int32, Utf8)\", or without a dictionary, such as \"Utf8\""
    )]
    ColumnTooLarge {
        /// Which file.
        file: String,
        /// The column's name.
        column: String,
        /// Its type.
        data_type: Box<DataType>,
        /// What Arrow says.
        reason: String,
    },
    /// Arrow refused batches that were checked before.
    #[error("{file}: {reason}")]
    Arrow {
        /// Which file.
        file: String,
        /// What Arrow says.
        reason: String,
    },
}

impl SourceError {
    /// A format that is written for people cannot be read back.
    pub(crate) fn no_source() -> Self {
        Self::UnfitFormat { reason: "the format \"table\" is for people; a source can't read it".to_owned() }
    }

    /// What reads it was left out of this build. Plans are refused that have one, so this is told where old plans are looked at.
    #[cfg(not(all(feature = "avro", feature = "flights", feature = "kafka", feature = "objects")))]
    pub(crate) fn unbuilt() -> Self {
        Self::UnfitFormat { reason: "this flowc was built without what reads it".to_owned() }
    }

    /// Whether the pipeline may be right: the network, the service or the credentials fail, and may not fail later.
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Object { is_of_machine, .. } => *is_of_machine,
            Self::Changed { .. } => true,
            _ => false,
        }
    }

    /// A format that records of topics have alone.
    pub(crate) fn of_records(format: &Format) -> Self {
        Self::UnfitFormat { reason: format!("the format {:?} is for topics", format.record_name()) }
    }

    /// The column that is not what the schema says, where that is what is wrong. Bytes that are no text are of no type.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::MissingColumn { column, .. }
            | Self::TypeDiffers { column, .. }
            | Self::FolderValue { column, .. }
            | Self::UnexpectedNull { column, .. }
            | Self::Misfit { column, .. }
            | Self::ColumnTooLarge { column, .. } => Some(column),
            Self::BadRow { column, reason, .. } | Self::BadRecord { column, reason, .. } if reason != NOT_UTF8 => {
                column.as_deref()
            }
            _ => None,
        }
    }

    /// Wraps a refusal of the system: `.map_err(SourceError::io(name, "open"))`.
    pub(crate) fn io(file: &str, action: &'static str) -> impl Fn(io::Error) -> SourceError {
        let file = file.to_owned();
        move |error| match error.downcast() {
            Ok(known) => known,
            Err(error) => SourceError::Io { file: file.clone(), action, error },
        }
    }
}

fn list_names(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        text.push_str("none");
    } else if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
