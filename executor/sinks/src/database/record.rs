//! What a database has of a sink, as it says itself.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use flowc_adbc::{Connection, DatabaseError, parameters};
use flowc_planner::plan::BoundValue;
use serde::{Deserialize, Serialize};

use super::statements::Statements;
use crate::matching::Appended;

/// The version of the form.
const VERSION: u8 = 1;

/// What a database has of a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u8,
    /// Identity of the dataset, and of what is made of it.
    #[serde(with = "flowc_planner::digest_form")]
    pub(super) result: [u8; 32],
    /// Whether the sink made the table.
    pub(super) made: bool,
    /// The segments that it has, in the order of the dataset.
    pub(super) segments: Vec<Appended>,
}

impl Record {
    pub(super) fn new(result: [u8; 32], made: bool, segments: Vec<Appended>) -> Self {
        Self { version: VERSION, result, made, segments }
    }

    /// The number of rows that the sink has written.
    pub(super) fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }
}

/// What is there of a table and its sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The table's columns; none where there is no table, or where it may not be read.
    pub(super) columns: Option<SchemaRef>,
    /// What it has of the sink. A table that is gone took all with it.
    pub(super) record: Option<Record>,
}

impl Found {
    /// Looks at a table. What is not there, or can't be seen, is none: it is looked at again within the transaction.
    pub(super) fn look(
        connection: &mut Connection,
        statements: &Statements<'_>,
        id: &str,
    ) -> Result<Self, DatabaseError> {
        let columns = seen(connection.columns(&statements.no_rows(), None))?;
        let record = match &columns {
            Some(_) => seen(read(connection, statements, id))?.flatten(),
            None => None,
        };
        Ok(Self { columns, record })
    }
}

/// What a database has refused is not there.
fn seen<T>(looked: Result<T, DatabaseError>) -> Result<Option<T>, DatabaseError> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(DatabaseError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The record of a sink; none if it has none, or one that can't be read.
///
/// # Errors
/// If the database refuses, as where there is no table of records.
pub(super) fn read(
    connection: &mut Connection,
    statements: &Statements<'_>,
    id: &str,
) -> Result<Option<Record>, DatabaseError> {
    let bound = parameters(&[BoundValue::Text(id.to_owned())]);
    let mut rows = connection.query(&statements.read_record(), bound.as_ref())?;
    let mut found = None;
    while let Some(batch) = rows.next()? {
        let states = cast(batch.column(0), &DataType::Utf8).ok();
        let text = states.as_ref().filter(|states| !states.is_empty()).map(|states| states.as_string::<i32>().value(0));
        found =
            text.and_then(|text| serde_json::from_str(text).ok()).filter(|record: &Record| record.version == VERSION);
    }
    Ok(found)
}

/// Notes what a sink has now, within the transaction that makes it so.
pub(super) fn write(
    connection: &mut Connection,
    statements: &Statements<'_>,
    id: &str,
    record: &Record,
    is_there: bool,
) -> Result<(), DatabaseError> {
    let state = serde_json::to_string(record).unwrap_or_default();
    let bound = parameters(&[BoundValue::Text(state), BoundValue::Text(id.to_owned())]);
    let statement = if is_there { statements.change_record() } else { statements.add_record() };
    connection.execute(&statement, bound.as_ref()).map(drop)
}
