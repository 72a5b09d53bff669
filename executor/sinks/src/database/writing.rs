//! One transaction of a database: the rows, and what the sink has then.

use arrow_array::cast::AsArray;
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use flowc_adbc::{Connection, DatabaseError, Ingest, IngestMode, parameters, quoted, sliced};
use flowc_planner::plan::{BoundValue, DatabaseSink, WriteMode};

use super::record::{self, Found, Record};
use super::rows::EncodedRows;
use super::sink::TablePlace;
use super::statements::{STAGED, Statements};
use crate::error::SinkError;
use crate::spool::Spool;

/// Rows that wait in a spool.
pub(super) struct NewRows<'t> {
    pub(super) schema: &'t SchemaRef,
    pub(super) spool: &'t Spool,
    /// The rows of each job, and how many of the first ones the table has.
    pub(super) new: &'t [(EncodedRows, u64)],
}

/// What is written, and over what.
pub(super) struct Writing<'t> {
    pub(super) place: &'t TablePlace,
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
        let mut connection = self.place.connect()?;
        let vendor = connection.vendor().clone();
        let DatabaseSink { table, key, id, .. } = &self.place.sink;
        let columns = self.rows.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let statements = Statements { table, columns, key, vendor: &vendor };
        let failed = |error: DatabaseError| self.place.failed(error);
        connection.begin().map_err(failed)?;
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
        let ingest = Ingest { schema: None, table: STAGED.to_owned(), mode: IngestMode::Create, temporary: true };
        self.ingest(connection, ingest)?;
        if mode == WriteMode::Upsert {
            self.check_keys(connection, statements, &quoted(STAGED))?;
            if let Some(change) = statements.change_by_key() {
                execute(connection, &change)?;
            }
            execute(connection, &statements.add_by_key())?;
        } else {
            execute(connection, &statements.add_staged())?;
        }
        execute(connection, &statements.drop_staged())
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
        let mut repeated = connection.query(&statements.repeated_key(table), None).map_err(failed)?;
        let mut key = None;
        while let Some(batch) = repeated.next().map_err(failed)? {
            if batch.num_rows() > 0 {
                let text =
                    |column| cast(column, &DataType::Utf8).map(|texts| texts.as_string::<i32>().value(0).to_owned());
                key = Some(batch.columns().iter().map(|column| text(column).unwrap_or_default()).collect::<Vec<_>>());
            }
        }
        match key {
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

    fn ingest(&self, connection: &mut Connection, ingest: Ingest) -> Result<(), SinkError> {
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
        connection.ingest(ingest, self.rows.schema, next).map(drop).map_err(|fault| match fault {
            Fault::Database(error) => self.place.failed(error),
            Fault::Spool(error) => error,
        })
    }
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
