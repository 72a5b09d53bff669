//! What batches are made of on their way to a program that runs a stage, and which types that can be made of.

use arrow_schema::{DataType, FieldRef, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

/// What batches are made of on their way to a program that runs a stage, and back. It changes no result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serialization {
    /// Arrow's own messages: the columns as they lie in memory.
    #[default]
    Arrow,
    /// A Parquet file per batch.
    Parquet,
    /// Lines of JSON, an object per row.
    Json,
}

impl Serialization {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Arrow, Self::Parquet, Self::Json];

    /// As texts and the stage protocol name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|serialization| serialization.name() == name)
    }

    /// Whether it is the one that is used where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether values of a type come back exactly as they were; but for numbers that are none, of which JSON knows nothing.
    pub fn carries(self, data_type: &DataType) -> bool {
        match self {
            Self::Arrow => true,
            Self::Parquet => is_parquet(data_type),
            Self::Json => is_json(data_type),
        }
    }
}

impl std::fmt::Display for Serialization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What JSON has, and what is made of that. Times, decimals and bytes could be written as text, which programs read in
/// different ways.
fn is_json(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Float32 | DataType::Float64 => true,
        DataType::Utf8 | DataType::LargeUtf8 => true,
        DataType::List(item) | DataType::LargeList(item) => is_json(item.data_type()),
        DataType::Struct(fields) => is_group(fields) && fields.iter().all(|field| is_json(field.data_type())),
        other => other.is_integer(),
    }
}

/// What Parquet has, and what its readers find again by the Arrow schema in the file's footer.
fn is_parquet(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Float32 | DataType::Float64 | DataType::Date32 => true,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => true,
        DataType::Timestamp(unit, _) => *unit != TimeUnit::Second,
        DataType::Time32(unit) => *unit == TimeUnit::Millisecond,
        DataType::Time64(_) => true,
        // pyarrow takes no other scales.
        DataType::Decimal128(_, scale) => *scale >= 0,
        DataType::FixedSizeBinary(width) => *width > 0,
        DataType::List(item) | DataType::LargeList(item) => is_parquet(item.data_type()),
        DataType::Struct(fields) => is_group(fields) && fields.iter().all(|field| is_parquet(field.data_type())),
        other => other.is_integer(),
    }
}

/// Whether fields can be told apart by their names, and there are some.
fn is_group(fields: &Fields) -> bool {
    let is_new = |(place, field): (usize, &FieldRef)| fields[..place].iter().all(|other| other.name() != field.name());
    !fields.is_empty() && fields.iter().enumerate().all(is_new)
}
