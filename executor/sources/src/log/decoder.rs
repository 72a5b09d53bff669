//! Values of records to columns: rows, or changes of rows.

use arrow_array::BinaryArray;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_planner::plan::Format;

use crate::error::SourceError;
use crate::ignored::Ignored;
use crate::log::changes::Changes;
use crate::log::decode::{Decoded, RowDecoder};
use crate::log::reading::SharedSchemas;
use crate::text::json;
use crate::text::parser::BadRecord;

/// Turns values into columns.
pub(super) enum Decoder {
    /// A row each, or several.
    Rows(RowDecoder),
    /// An event of Debezium each.
    Changes(Box<Changes>),
}

impl Decoder {
    /// A decoder of some of the columns of values. `schemas` has those in which records were written.
    pub(super) fn new(
        format: &Format,
        schema: &SchemaRef,
        projection: &[usize],
        schemas: Option<SharedSchemas>,
    ) -> Result<Self, SourceError> {
        Ok(match format {
            Format::Debezium(rows) => Self::Changes(Box::new(Changes::new(rows, schema, projection, schemas)?)),
            rows => Self::Rows(RowDecoder::new(rows, schema, projection, schemas)?),
        })
    }

    /// Says which types the values of a format can be read as.
    pub(super) fn check_types(format: &Format, schema: &SchemaRef) -> Result<(), SourceError> {
        match format.of_rows() {
            Format::JsonLines => json::check_types(schema),
            _ => Ok(()),
        }
    }

    /// The rows of values; none of the columns may be wanted. Fails if one value does not fit.
    pub(super) fn decode(&mut self, values: &BinaryArray) -> Result<Decoded, ArrowError> {
        match self {
            Self::Rows(rows) => rows.decode(values),
            Self::Changes(changes) => changes.decode(values),
        }
    }

    /// Why this one value does not fit.
    pub(super) fn explain(&mut self, value: Option<&[u8]>, error: &ArrowError) -> BadRecord {
        match (self, value) {
            (Self::Changes(changes), Some(value)) => changes.explain(value, error),
            (Self::Rows(rows), Some(value)) => rows.explain(value, error),
            (_, None) => {
                let reason = "the record has no value (it is a tombstone), and a column allows no nulls".to_owned();
                BadRecord { column: None, reason }
            }
        }
    }

    /// What the values have that no column takes.
    pub(super) fn take_ignored(&mut self) -> Ignored {
        match self {
            Self::Rows(rows) => rows.take_ignored(),
            Self::Changes(changes) => changes.take_ignored(),
        }
    }
}
