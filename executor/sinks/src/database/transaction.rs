//! The rows that a table does not have yet: encoded while the run goes on, and written when it commits.

use std::path::PathBuf;
use std::sync::Mutex;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_adbc::{Connection, Vendor};
use flowc_planner::plan::{SinkSpec, WriteMode};
use flowc_planner::quantity::count;
use flowc_platform::lock;

use super::fits::{check_columns, check_table, check_values};
use super::idle::Idle;
use super::place::{TablePlace, finished};
use super::record::{Found, Record};
use super::writing::{NewRows, Writing};
use crate::error::SinkError;
use crate::formats::conform::conform;
use crate::pending::{Decided, PendingSegments};
use crate::rows::{RowKeeper, RowPiece, first_row};
use crate::sink::{Dataset, Finalized, Job, RowWriter, Transaction, Written};
use crate::spool::Spool;
use crate::state::layout_digest;
use crate::syncs::Syncs;

/// Rows that wait for the end of the run.
pub(super) struct TableTransaction {
    place: TablePlace,
    /// The connection by which the place was looked at.
    idle: Idle,
    vendor: Vendor,
    schema: SchemaRef,
    result: [u8; 32],
    layout: [u8; 32],
    before: Found,
    /// What the table does not have yet, in pieces of so many rows.
    pending: PendingSegments<RowPiece>,
    spool: Spool,
    /// What is to be written, once that is decided; none if nothing is.
    decided: Mutex<Option<Decided<RowPiece>>>,
    /// For messages.
    shown: PathBuf,
}

impl TableTransaction {
    pub(super) fn new(
        place: &TablePlace,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        result: [u8; 32],
    ) -> Result<Self, SinkError> {
        let mut connection = place.connect()?;
        let before = place.look(&mut connection)?;
        let vendor = connection.vendor().clone();
        let layout = layout_digest(shaping, &dataset.schema);
        let appended = match (&before.record, place.sink.mode) {
            (Some(record), _) if record.result == result => &record.segments[..],
            (Some(record), WriteMode::Append | WriteMode::Upsert) => &record.segments,
            _ => &[],
        };
        let pending = PendingSegments::new("flowc table segment 1", &layout, dataset, appended);
        let pending = if place.sink.mode == WriteMode::Append { pending } else { pending.without_lost() };
        check_columns(&vendor, &dataset.schema).map_err(|reason| place.refused(reason))?;
        check_place(place, &before, &dataset.schema, result)?;
        let idle = Idle::default();
        if before.record.as_ref().is_none_or(|record| record.result != result) {
            idle.keep(connection);
        }
        Ok(Self {
            place: place.clone(),
            idle,
            vendor,
            schema: dataset.schema.clone(),
            result,
            layout,
            before,
            pending,
            spool: Spool::new()?,
            decided: Mutex::default(),
            shown: PathBuf::from(format!("table `{}`", place.sink.table)),
        })
    }

    /// What is there now. Another sink of the run may have made the table since.
    fn now(&self) -> Result<Found, SinkError> {
        if self.before.columns.is_some() {
            return Ok(self.before.clone());
        }
        let mut connection = self.place.connect()?;
        let now = self.place.look(&mut connection)?;
        check_place(&self.place, &now, &self.schema, self.result)?;
        self.idle.keep(connection);
        Ok(now)
    }

    /// Whether it has just what it is to have.
    fn is_done(&self) -> bool {
        self.before.record.as_ref().is_some_and(|record| record.result == self.result)
    }

    /// What the table is to note of itself.
    fn noted(&self, decided: &Decided<RowPiece>) -> Record {
        let made = self.before.columns.is_none() || self.before.record.as_ref().is_some_and(|record| record.made);
        Record::new(self.result, made, decided.segments.clone())
    }

    fn changed(&self, lost: usize) -> SinkError {
        self.place.refused(format!(
            "of {} that were appended rows have changed or are gone, and appending takes nothing back; if another sink writes here too, give each an \
             `id`; or write with mode=\"upsert\" or mode=\"replace\". `on-change \"append\"` in `adbc` appends all rows of the segments that changed, also \
             those that are there already",
            count(lost, "segment")
        ))
    }

    /// Whether a transaction was committed though something has failed: the database tells.
    fn is_committed(&self, after: &Record) -> bool {
        let found = self.place.connect().and_then(|mut connection| self.place.look(&mut connection));
        found.is_ok_and(|found| found.record.as_ref() == Some(after))
    }
}

/// Refuses a table that can't be written so, before any row is made.
fn check_place(place: &TablePlace, found: &Found, schema: &SchemaRef, result: [u8; 32]) -> Result<(), SinkError> {
    let Found { columns, record } = found;
    let Some(columns) = columns else { return Ok(()) };
    if record.as_ref().is_some_and(|record| record.result == result) {
        return Ok(());
    }
    if place.sink.mode == WriteMode::Create {
        let whose = if record.is_some() { "and has other rows" } else { "and this sink did not make it" };
        return Err(place.refused(format!(
            "the table is there already, {whose}; drop it, name another one, or say what is to become of its rows: mode=\"append\", \
             mode=\"replace\" or mode=\"upsert\""
        )));
    }
    // A table that the sink made and replaces is made again.
    let is_made_again = place.sink.mode == WriteMode::Replace && record.as_ref().is_some_and(|record| record.made);
    if is_made_again {
        return Ok(());
    }
    check_table(columns, schema).map_err(|reason| place.refused(reason))
}

impl Transaction for TableTransaction {
    fn jobs(&self) -> &[Job] {
        self.pending.jobs()
    }

    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        let is_append = self.place.sink.mode == WriteMode::Append;
        let rows = RowKeeper::new(&self.pending, &self.spool, &self.shown, (job, &self.schema, is_append))?;
        Ok(Box::new(TableWriter { of: self, rows }))
    }

    fn prepare(&self, _syncs: &mut Syncs) -> Result<(), SinkError> {
        if !self.is_done() {
            let decided =
                self.pending.decide(self.place.sink.changed, (&self.spool, first_row), |lost| self.changed(lost))?;
            *lock(&self.decided) = Some(decided);
        }
        Ok(())
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        let state = |rows| finished(&self.place.sink, self.result, self.layout, rows);
        let decided = lock(&self.decided).take();
        let Some(decided) = decided else {
            let rows = self.before.record.as_ref().map_or(0, Record::rows);
            return match self.is_done() {
                true => Ok(Finalized { state: state(rows), written: Written::Records(0), untidy: None }),
                false => Err(SinkError::Incomplete { job: 0 }),
            };
        };
        let (records, mut after) = (decided.records(), self.noted(&decided));
        let rows = NewRows { schema: &self.schema, spool: &self.spool, new: &decided.new };
        let now = self.now()?;
        after.made &= self.before.columns.is_some() || now.columns.is_none();
        let writing = Writing { place: &self.place, idle: &self.idle, before: &now, after: &after, rows };
        match writing.write() {
            Err(error) if !self.is_committed(&after) => Err(error),
            _ => Ok(Finalized { state: state(after.rows()), written: Written::Records(records), untidy: None }),
        }
    }
}

/// Writes the rows of one job.
struct TableWriter<'t> {
    of: &'t TableTransaction,
    rows: RowKeeper<'t>,
}

impl RowWriter for TableWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let TableTransaction { place, vendor, schema, shown, .. } = self.of;
        let batch = conform(batch, schema, shown)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        check_values(&batch, &place.sink.key, vendor).map_err(|misfit| SinkError::Value {
            path: shown.clone(),
            row: self.rows.rows() + misfit.row as u64 + 1,
            column: misfit.column,
            reason: misfit.reason,
        })?;
        self.rows.keep(&batch, |batch| Connection::encoded(schema, Some(batch)).map_err(|error| place.failed(error)))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.rows.finish();
        Ok(())
    }
}
