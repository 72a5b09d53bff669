//! One transaction of a database: the rows, and what the sink has then.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use flowc_adbc::{Connection, DatabaseError, Ingest, IngestMode, Vendor, parameters, quoted, sliced};
use flowc_planner::plan::{BoundValue, DatabaseSink, WriteMode};

use super::conversions::{Conversion, TypedColumn, conversions};
use super::idle::Idle;
use super::place::TablePlace;
use super::record::{self, Found, Record};
use super::statements::{FITTED, STAGED, Statements};
use crate::error::SinkError;
use crate::pending::EncodedRows;
use crate::rows::RowPiece;
use crate::spool::Spool;

/// The code of the error that a row has what another one has to have alone.
const UNIQUE: &str = "23505";

/// Rows that wait in a spool.
pub(super) struct NewRows<'t> {
    pub(super) schema: &'t SchemaRef,
    pub(super) spool: &'t Spool,
    /// The rows of each job, and how many of the first ones the table has.
    pub(super) new: &'t [(EncodedRows<RowPiece>, u64)],
}

/// What is written, and over what.
pub(super) struct Writing<'t> {
    pub(super) place: &'t TablePlace,
    pub(super) idle: &'t Idle,
    pub(super) before: &'t Found,
    pub(super) after: &'t Record,
    pub(super) rows: NewRows<'t>,
}

impl Writing<'_> {
    /// Writes all of it in one transaction.
    ///
    /// # Errors
    /// If the database refuses, or somebody else has written since the transaction was opened. Then nothing is written, unless the
    /// connection was lost while the transaction was committed: the database tells.
    pub(super) fn write(&self) -> Result<(), SinkError> {
        let mut connection = self.begun()?;
        let vendor = connection.vendor().clone();
        let DatabaseSink { table, key, id, .. } = &self.place.sink;
        let columns = self.rows.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let statements = Statements { table, columns, key, vendor: &vendor };
        let failed = |error: DatabaseError| self.place.failed(error);
        connection.execute(&statements.make_records(), None).map_err(failed)?;
        let bound = parameters(&[BoundValue::Text(id.clone())]);
        let held = connection.execute(&statements.hold_record(), bound.as_ref());
        held.map_err(failed)?;
        let noted = record::read(&mut connection, &statements, id).map_err(failed)?;
        // A record without its table is of a table that was dropped.
        let is_noted = noted.is_some();
        if noted.filter(|_| self.before.columns.is_some()) != self.before.record {
            return Err(self.place.refused("another run has written to it meanwhile; run again".to_owned()));
        }
        self.write_rows(&mut connection, &statements)?;
        record::write(&mut connection, &statements, id, self.after, is_noted).map_err(failed)?;
        connection.commit().map_err(failed)
    }

    /// A connection with a transaction.
    fn begun(&self) -> Result<Connection, SinkError> {
        if let Some(mut waited) = self.idle.take()
            && waited.begin().is_ok()
        {
            return Ok(waited);
        }
        let mut connection = self.place.connect()?;
        connection.begin().map_err(|error| self.place.failed(error))?;
        Ok(connection)
    }

    fn write_rows(&self, connection: &mut Connection, statements: &Statements<'_>) -> Result<(), SinkError> {
        let mode = self.place.sink.mode;
        let Some(columns) = &self.before.columns else { return self.make(connection, statements) };
        let execute = |connection: &mut Connection, sql: &str| {
            connection.execute(sql, None).map(drop).map_err(|error| self.place.failed(error))
        };
        let is_made = self.before.record.as_ref().is_some_and(|record| record.made);
        let is_same =
            columns.fields().iter().map(|field| field.name()).eq(self.rows.schema.fields().iter().map(|f| f.name()));
        if mode == WriteMode::Replace && is_made && !is_same {
            execute(connection, &statements.drop_table())?;
            return self.make(connection, statements);
        }
        if mode == WriteMode::Replace {
            execute(connection, &statements.empty_table())?;
        }
        if self.rows.new.iter().all(|(encoded, skipped)| encoded.rows == *skipped) {
            return Ok(());
        }
        let staged = Ingest { schema: None, table: STAGED.to_owned(), mode: IngestMode::Create, temporary: true };
        if *statements.vendor == Vendor::PostgreSql && self.fill(connection, statements, staged.clone())? {
            return Ok(());
        }
        self.ingest(connection, staged)?;
        let table = self.types(connection, statements, false)?;
        let conversions = conversions(&self.types(connection, statements, true)?, &table);
        if mode == WriteMode::Replace && is_made && !conversions.is_empty() {
            execute(connection, &format!("DROP TABLE {}", quoted(STAGED)))?;
            execute(connection, &statements.drop_table())?;
            return self.make(connection, statements);
        }
        let waiting = self.fit(connection, statements, &conversions)?;
        if mode == WriteMode::Upsert {
            self.check_keys(connection, statements, &quoted(waiting))?;
            if let Some(change) = statements.change_by_key(waiting) {
                execute(connection, &change)?;
            }
            execute(connection, &statements.add_by_key(waiting))?;
        } else {
            execute(connection, &statements.add_rows(waiting))?;
        }
        execute(connection, &format!("DROP TABLE {}", quoted(waiting)))
    }

    /// Copies rows straight into a table that has no rows, and just their types; says whether it has.
    fn fill(
        &self,
        connection: &mut Connection,
        statements: &Statements<'_>,
        staged: Ingest,
    ) -> Result<bool, SinkError> {
        let failed = |error: DatabaseError| self.place.failed(error);
        if !texts(connection, &statements.any_row(), &[]).map_err(failed)?.is_empty() {
            return Ok(false);
        }
        connection.ingest(staged.clone(), self.rows.schema, || Ok::<_, DatabaseError>(None)).map_err(failed)?;
        let types = self.types(connection, statements, true)?;
        connection.execute(&format!("DROP TABLE {}", quoted(STAGED)), None).map_err(failed)?;
        if !conversions(&types, &self.types(connection, statements, false)?).is_empty() {
            return Ok(false);
        }
        let DatabaseSink { table, mode, .. } = &self.place.sink;
        let (schema, table) = (table.schema.clone(), table.table.clone());
        let ingest = Ingest { schema, table, mode: IngestMode::Append, temporary: false };
        if *mode != WriteMode::Upsert {
            return self.ingest(connection, ingest).map(|()| true);
        }
        let is_unique = self.has_unique_keys(connection, statements)?;
        self.copy(connection, ingest).map_err(|fault| self.repeated(statements, staged, fault))?;
        if !is_unique {
            self.check_keys(connection, statements, &statements.name())?;
        }
        Ok(true)
    }

    /// Whether the table itself refuses rows of one key.
    fn has_unique_keys(&self, connection: &mut Connection, statements: &Statements<'_>) -> Result<bool, SinkError> {
        let Some((sql, table)) = statements.unique_columns() else { return Ok(false) };
        let rows = texts(connection, sql, &[table]).map_err(|error| self.place.failed(error))?;
        let mut indexes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows {
            if let Ok([index, column]) = <[String; 2]>::try_from(row) {
                indexes.entry(index).or_default().push(column);
            }
        }
        Ok(indexes.values().any(|columns| columns.iter().all(|column| self.place.sink.key.contains(column))))
    }

    /// What it means that the table has refused rows: if several have one key, that is told with the key, from a transaction of its own.
    fn repeated(&self, statements: &Statements<'_>, staged: Ingest, fault: Fault) -> SinkError {
        if !matches!(&fault, Fault::Database(DatabaseError::Refused { sqlstate: Some(state), .. }) if state == UNIQUE) {
            return self.failed(fault);
        }
        let found = self.place.connect().and_then(|mut connection| {
            self.ingest(&mut connection, staged)?;
            self.check_keys(&mut connection, statements, &quoted(STAGED))
        });
        found.err().unwrap_or_else(|| self.failed(fault))
    }

    /// Gives staged rows the types of the table, if all values are what they are in them; gives the table where they wait then.
    fn fit(
        &self,
        connection: &mut Connection,
        statements: &Statements<'_>,
        conversions: &[Conversion],
    ) -> Result<&'static str, SinkError> {
        for conversion in conversions {
            let Some(query) = conversion.changed_value(statements.vendor, &quoted(STAGED)) else { continue };
            let Conversion { column, from, to } = conversion;
            let of_column = |reason: String| {
                self.place.refused(format!("the column `{column}` is {to} there, and {from} in the stream: {reason}"))
            };
            let found = texts(connection, &query, &[]).map_err(|error| of_column(error.to_string()))?;
            if let Some(value) = found.first().and_then(|row| row.first()) {
                return Err(of_column(format!(
                    "the value {value:?} would be another one; convert the column in a stage before, or change the table"
                )));
            }
        }
        // SQLite converts where it meets a column.
        if conversions.is_empty() || *statements.vendor == Vendor::Sqlite {
            return Ok(STAGED);
        }
        for sql in [statements.fit(conversions), format!("DROP TABLE {}", quoted(STAGED))] {
            connection.execute(&sql, None).map_err(|error| self.place.failed(error))?;
        }
        Ok(FITTED)
    }

    /// The columns of the table, or of staged rows, with their types.
    fn types(
        &self,
        connection: &mut Connection,
        statements: &Statements<'_>,
        is_staged: bool,
    ) -> Result<Vec<TypedColumn>, SinkError> {
        let (sql, bound) = statements.types(is_staged);
        let rows = texts(connection, &sql, &bound).map_err(|error| self.place.failed(error))?;
        let column = |row: Vec<String>| {
            let [name, data_type] = <[String; 2]>::try_from(row).ok()?;
            Some(TypedColumn { name, data_type })
        };
        Ok(rows.into_iter().filter_map(column).collect())
    }

    /// Makes the table, with all rows.
    fn make(&self, connection: &mut Connection, statements: &Statements<'_>) -> Result<(), SinkError> {
        let DatabaseSink { table, mode, .. } = &self.place.sink;
        let ingest = Ingest {
            schema: table.schema.clone(),
            table: table.table.clone(),
            mode: IngestMode::Create,
            temporary: false,
        };
        self.ingest(connection, ingest)?;
        if *mode == WriteMode::Upsert {
            self.check_keys(connection, statements, &statements.name())?;
            connection.execute(&statements.index(), None).map_err(|error| self.place.failed(error))?;
        }
        Ok(())
    }

    /// Refuses rows of which several have one key: which of them counts would depend on their order.
    fn check_keys(
        &self,
        connection: &mut Connection,
        statements: &Statements<'_>,
        table: &str,
    ) -> Result<(), SinkError> {
        let failed = |error: DatabaseError| self.place.failed(error);
        if let Some(query) = statements.has_repeated_key(table)
            && texts(connection, &query, &[]).map_err(failed)?.is_empty()
        {
            return Ok(());
        }
        let repeated = texts(connection, &statements.repeated_key(table), &[]).map_err(failed)?;
        match repeated.into_iter().next() {
            None => Ok(()),
            Some(values) => {
                let named =
                    self.place.sink.key.iter().zip(values).map(|(column, value)| format!("{column} = {value:?}"));
                let key = named.collect::<Vec<_>>().join(", ");
                let advice = "leave all but one out in a stage before, such as `std \"dedup@1\"`";
                Err(self.place.refused(format!("several rows have the key {key}; {advice}")))
            }
        }
    }

    fn failed(&self, fault: Fault) -> SinkError {
        match fault {
            Fault::Database(error) => self.place.failed(error),
            Fault::Spool(error) => error,
        }
    }

    fn ingest(&self, connection: &mut Connection, ingest: Ingest) -> Result<(), SinkError> {
        self.copy(connection, ingest).map_err(|fault| self.failed(fault))
    }

    /// Adds the rows that wait to a table.
    fn copy(&self, connection: &mut Connection, ingest: Ingest) -> Result<(), Fault> {
        let mut pieces = self.rows.new.iter().flat_map(|(encoded, skipped)| {
            let mut before = 0;
            encoded.pieces.iter().filter_map(move |(piece, rows)| {
                let first = usize::try_from(skipped.saturating_sub(before)).unwrap_or(usize::MAX);
                before += *rows as u64;
                (first < *rows).then_some((piece, first))
            })
        });
        let next = || -> Result<Option<Vec<u8>>, Fault> {
            let Some((piece, first)) = pieces.next() else { return Ok(None) };
            let content = self.rows.spool.get(piece)?;
            Ok(Some(if first > 0 { sliced(content, first)? } else { content }))
        };
        connection.ingest(ingest, self.rows.schema, next).map(drop)
    }
}

/// The rows of a query, all values as texts.
fn texts(connection: &mut Connection, sql: &str, bound: &[BoundValue]) -> Result<Vec<Vec<String>>, DatabaseError> {
    let mut rows = connection.query(sql, parameters(bound).as_ref())?;
    let mut all = Vec::new();
    while let Some(batch) = rows.next()? {
        let columns: Vec<_> = batch.columns().iter().filter_map(|column| cast(column, &DataType::Utf8).ok()).collect();
        let row = |row| columns.iter().map(|column| column.as_string::<i32>().value(row).to_owned()).collect();
        all.extend((0..batch.num_rows()).map(row));
    }
    Ok(all)
}

/// Why rows could not be added.
enum Fault {
    Database(DatabaseError),
    Spool(SinkError),
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<SinkError> for Fault {
    fn from(error: SinkError) -> Self {
        Self::Spool(error)
    }
}
