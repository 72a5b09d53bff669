//! `flow.lock`: pinned digests of components and inferred columns of sources, as TOML that is made to be read in diffs.
//!
//! ```toml
//! version = 1
//!
//! [components]
//! "std count@1" = "6e0f..."
//!
//! [images]
//! "python:3.12" = "sha256:7a3f..."
//!
//! [sources."orders"]
//! columns = [
//!     { name = "id", type = "Int64", nullable = false },
//! ]
//! ```
//!
//! Printing is canonical: equal locks have equal text. A type is written as Arrow's text where that says all of it, and
//! as JSON otherwise (fields within it may have metadata, which the text leaves out).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::Deserialize;

use crate::key::{StageDigest, canonical_json};

/// The version of the lock's form.
pub const LOCK_VERSION: u32 = 1;

/// What a pipeline's runs have pinned.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    /// [`LOCK_VERSION`] of the flowc that wrote it.
    pub version: u32,
    /// By the code as the text has it (`std count@1`).
    pub components: BTreeMap<String, StageDigest>,
    /// By the reference, of images that are not pinned by it: their ids.
    pub images: BTreeMap<String, String>,
    /// By the source's name: the columns of sources that do not declare them.
    pub sources: BTreeMap<String, SchemaRef>,
}

impl Default for Lock {
    fn default() -> Self {
        let (components, images, sources) = Default::default();
        Self { version: LOCK_VERSION, components, images, sources }
    }
}

/// Why a lock cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It is not TOML, or of another form.
    #[error("the lock cannot be read: {0} (correct it, or delete it to pin everything again)")]
    Form(String),
    /// Another flowc wrote it.
    #[error(
        "the lock has version {found}, and this flowc reads {LOCK_VERSION} (use the flowc that wrote it, or delete it)"
    )]
    Version {
        /// The message of the parser.
        found: u32,
    },
    /// A column's type is not Arrow.
    #[error(
        "the lock gives the column `{column}` of `{source_name}` a type that is none: `{data_type}` (delete the lock to \
             pin everything again)"
    )]
    Type {
        /// The source.
        source_name: String,
        /// The column's name.
        column: String,
        /// The name of the type, as written.
        data_type: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    #[serde(default)]
    components: BTreeMap<String, StageDigest>,
    #[serde(default)]
    images: BTreeMap<String, String>,
    #[serde(default)]
    sources: BTreeMap<String, SourceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceText {
    columns: Vec<ColumnText>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnText {
    name: String,
    r#type: String,
    nullable: bool,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct VersionText {
    version: u32,
}

impl Lock {
    /// Reads a lock's text.
    ///
    /// # Errors
    /// If the text is no TOML of a lock's form, has another version, or names a type that there is not.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let form = |error: toml::de::Error| LockError::Form(error.to_string().trim_end().to_owned());
        // The version first: what follows may have another form in another version.
        let VersionText { version } = toml::from_str(text).map_err(form)?;
        if version != LOCK_VERSION {
            return Err(LockError::Version { found: version });
        }
        let Text { version, components, images, sources } = toml::from_str(text).map_err(form)?;
        let sources = sources.into_iter().map(|(name, source)| Ok((name.clone(), schema(&name, source)?)));
        Ok(Self { version, components, images, sources: sources.collect::<Result<_, LockError>>()? })
    }
}

fn schema(source_name: &str, source: SourceText) -> Result<SchemaRef, LockError> {
    let fields = source.columns.into_iter().map(|column| {
        let parsed = read_type(&column.r#type).ok_or_else(|| LockError::Type {
            source_name: source_name.to_owned(),
            column: column.name.clone(),
            data_type: column.r#type.clone(),
        })?;
        Ok(Field::new(column.name, parsed, column.nullable).with_metadata(column.metadata))
    });
    Ok(Arc::new(Schema::new_with_metadata(fields.collect::<Result<Vec<_>, LockError>>()?, source.metadata)))
}

fn read_type(text: &str) -> Option<DataType> {
    if text.starts_with(['{', '"']) { serde_json::from_str(text).ok() } else { text.parse().ok() }
}

/// Arrow's text if it says all, JSON otherwise.
fn type_text(data_type: &DataType) -> String {
    let text = data_type.to_string();
    if text.parse::<DataType>().is_ok_and(|parsed| parsed == *data_type) {
        return text;
    }
    let json = serde_json::to_value(data_type).expect("a type is plain data");
    canonical_json(&json)
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "# Made by flowc. Commit it: it pins what the pipeline runs and the columns that it reads.")?;
        writeln!(f, "version = {}", self.version)?;
        if !self.components.is_empty() {
            writeln!(f, "\n[components]")?;
        }
        for (code, digest) in &self.components {
            writeln!(f, "{} = \"{digest}\"", quoted(code))?;
        }
        if !self.images.is_empty() {
            writeln!(f, "\n[images]")?;
        }
        for (reference, id) in &self.images {
            writeln!(f, "{} = {}", quoted(reference), quoted(id))?;
        }
        for (name, schema) in &self.sources {
            writeln!(f, "\n[sources.{}]\ncolumns = [", quoted(name))?;
            for field in schema.fields() {
                let (name, data_type) = (quoted(field.name()), quoted(&type_text(field.data_type())));
                let metadata =
                    metadata(field.metadata()).map(|text| format!(", metadata = {text}")).unwrap_or_default();
                let nullable = field.is_nullable();
                writeln!(f, "    {{ name = {name}, type = {data_type}, nullable = {nullable}{metadata} }},")?;
            }
            writeln!(f, "]")?;
            if let Some(text) = metadata(schema.metadata()) {
                writeln!(f, "metadata = {text}")?;
            }
        }
        Ok(())
    }
}

fn metadata(metadata: &HashMap<String, String>) -> Option<String> {
    let sorted: BTreeMap<_, _> = metadata.iter().collect();
    let pairs: Vec<String> = sorted.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))).collect();
    (!pairs.is_empty()).then(|| format!("{{ {} }}", pairs.join(", ")))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(fields: Vec<Field>) -> Lock {
        let mut lock = Lock::default();
        lock.components.insert("wasm a \"b\"\\c\n.wasm".into(), StageDigest::new([7; 32]));
        lock.images.insert("python:3.12".into(), "sha256:00".into());
        lock.sources.insert("orders.x".into(), Arc::new(Schema::new(fields)));
        lock
    }

    #[test]
    fn types_that_arrows_text_loses_are_kept() {
        let inner = Field::new("item", DataType::Int64, true).with_metadata([("k".into(), "v".into())].into());
        let lock = lock(vec![
            Field::new("a", DataType::List(Arc::new(inner.clone())), true),
            Field::new("b", DataType::Struct(vec![inner].into()), false)
                .with_metadata([("x".into(), "\"".into())].into()),
            Field::new("c", "Timestamp(us, \"UTC\")".parse().unwrap(), true),
        ]);
        assert_eq!(Lock::parse(&lock.to_string()), Ok(lock));
    }

    #[test]
    fn bad_locks_say_what_to_do() {
        assert_eq!(Lock::parse("version = 9\nnew = 1"), Err(LockError::Version { found: 9 }));
        assert!(matches!(Lock::parse("version ="), Err(LockError::Form(_))));
        assert!(matches!(Lock::parse("version = 1\ncomponents = 3"), Err(LockError::Form(_))));
        let bad = "version = 1\n[sources.a]\ncolumns = [{ name = \"x\", type = \"Int65\", nullable = true }]";
        assert!(matches!(Lock::parse(bad), Err(LockError::Type { .. })));
    }
}
