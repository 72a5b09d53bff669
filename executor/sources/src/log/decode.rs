//! Values of records to columns, one decoder per format.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{ArrowError, SchemaRef};
use flowc_planner::plan::Format;

use crate::error::{NOT_UTF8, SourceError};
use crate::fields::project;
use crate::ignored::Ignored;
use crate::text::json::{self, JsonParser};
use crate::text::parser::{BadRecord, Parser};

/// Turns values into columns.
pub(super) enum Decoder {
    /// A JSON object each.
    Json(Box<JsonParser>),
    /// The bytes, as the only column.
    Plain {
        /// The column.
        schema: SchemaRef,
        /// The column, or none.
        projection: Vec<usize>,
        /// Whether it is text.
        text: bool,
    },
}

impl Decoder {
    /// A decoder of some of the columns of values.
    pub(super) fn new(format: &Format, schema: &SchemaRef, projection: &[usize]) -> Self {
        let (plain, columns) = (schema.clone(), projection.to_vec());
        match format {
            Format::JsonLines => Self::Json(Box::new(JsonParser::new(schema, projection))),
            format => Self::Plain { schema: plain, projection: columns, text: *format == Format::Lines },
        }
    }

    /// Says which types the values of a format can be read as.
    pub(super) fn check_types(format: &Format, schema: &SchemaRef) -> Result<(), SourceError> {
        match format {
            Format::JsonLines => json::check_types(schema),
            _ => Ok(()),
        }
    }

    /// A row per value; none of the columns may be wanted. Fails if one value does not fit.
    pub(super) fn decode(&mut self, values: &BinaryArray) -> Result<RecordBatch, ArrowError> {
        match self {
            Self::Json(parser) => parser.parse_texts(values.iter()),
            Self::Plain { schema, projection, text } => {
                let column: ArrayRef = if *text { Arc::new(as_text(values)?) } else { Arc::new(values.clone()) };
                let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
                let columns = projection.iter().map(|_| column.clone()).collect();
                RecordBatch::try_new_with_options(project(schema, projection), columns, &options)
            }
        }
    }

    /// Why this one value does not fit.
    pub(super) fn explain(&mut self, value: Option<&[u8]>, error: &ArrowError) -> BadRecord {
        match (self, value) {
            (_, None) => {
                let reason = "the record has no value (it is a tombstone), and a column allows no nulls".to_owned();
                BadRecord { column: None, reason }
            }
            (Self::Json(parser), Some(value)) => parser.explain(value, error),
            (Self::Plain { .. }, Some(_)) => BadRecord { column: None, reason: NOT_UTF8.to_owned() },
        }
    }

    /// What the values have that no column takes.
    pub(super) fn take_ignored(&mut self) -> Ignored {
        match self {
            Self::Json(parser) => parser.take_ignored(),
            Self::Plain { .. } => Ignored::default(),
        }
    }
}

/// Bytes as text. A slice is checked without what lies beside it.
pub(super) fn as_text(bytes: &BinaryArray) -> Result<StringArray, ArrowError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| ArrowError::ParseError(NOT_UTF8.to_owned()));
    bytes.iter().map(|bytes| bytes.map(text).transpose()).collect()
}
