//! The rows that a table does not have yet: kept while the run goes on, written into data files and committed at its end.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, FieldRef, SchemaRef};
use flowc_delta::{Added, Change, Head, NewFile};
use flowc_planner::plan::{SinkSpec, WriteMode};
use flowc_planner::quantity::count;
use flowc_platform::lock;

use super::files::{FileSet, Layout, table_schema};
use super::place::{Place, finished};
use super::record::{Found, Record};
use crate::error::SinkError;
use crate::formats::conform::conform;
use crate::pending::{Decided, EncodedRows, PendingSegments};
use crate::rows::{RowKeeper, RowPiece, first_row};
use crate::sink::{Dataset, Finalized, Job, RowWriter, Transaction, Written};
use crate::spool::Spool;
use crate::state::layout_digest;
use crate::syncs::Syncs;

/// How often others may come first with a version of theirs.
const ATTEMPTS: usize = 20;

/// How many notes are removed at once that do not count any more.
const FORGOTTEN: i64 = 16;

/// Rows that wait for the end of the run.
pub(super) struct TableTransaction {
    place: Place,
    schema: SchemaRef,
    rows: Layout,
    partition_by: Vec<String>,
    result: [u8; 32],
    layout: [u8; 32],
    before: Found,
    /// What the table does not have yet, in pieces of so many rows.
    pending: PendingSegments<RowPiece>,
    spool: Spool,
    /// What is to be written, once that is decided; none if nothing is.
    decided: Mutex<Option<Decided<RowPiece>>>,
    /// Data files that lie in the table's folder and that no version has.
    files: Mutex<Vec<NewFile>>,
    /// Tells this transaction from all others.
    token: String,
    /// For messages.
    shown: PathBuf,
}

impl TableTransaction {
    pub(super) fn new(
        place: Place,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        result: [u8; 32],
    ) -> Result<Self, SinkError> {
        let before = Found::look(&place)?;
        let layout = layout_digest(shaping, &dataset.schema);
        let is_append = place.sink.mode == WriteMode::Append;
        if !is_append && before.head.as_ref().is_some_and(|head| head.tells_changes) {
            return Err(place.refused(
                "its change data feed is on (`delta.enableChangeDataFeed`): a version that replaces rows would have to say which, and flowc does not \
                 write that. Use mode=\"append\", or turn the feed off"
                    .to_owned(),
            ));
        }
        let appended = match &before.record {
            Some(record) if is_append || is_done(&place, &before, result) => &record.segments[..],
            _ => &[],
        };
        let pending = PendingSegments::new("flowc delta segment 1", &layout, dataset, appended);
        let pending = if is_append { pending } else { pending.without_lost() };
        let (rows, partition_by) = rows_of_table(&place, before.head.as_ref(), &dataset.schema, &shaping.partition_by)?;
        let shown = place.shown();
        let (spool, token) = (Spool::new()?, flowc_delta::token());
        let (schema, decided, files) = (dataset.schema.clone(), Mutex::default(), Mutex::default());
        Ok(Self {
            place,
            schema,
            rows,
            partition_by,
            result,
            layout,
            before,
            pending,
            spool,
            decided,
            files,
            token,
            shown,
        })
    }

    fn is_append(&self) -> bool {
        self.place.sink.mode == WriteMode::Append
    }

    fn changed(&self, lost: usize) -> SinkError {
        self.place.refused(format!(
            "of {} that were appended rows have changed or are gone, and appending takes nothing back; if another sink writes here too, give each an \
             `id`; or write with mode=\"replace\". `on-change \"append\"` in `delta` appends all rows of the segments that changed, also \
             those that are there already",
            count(lost, "segment")
        ))
    }

    /// Writes the new rows of all jobs into data files, several jobs at a time.
    fn write_files(&self, new: &[(EncodedRows<RowPiece>, u64)]) -> Result<(), SinkError> {
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while let Some((job, (rows, skipped))) = new.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.write_job(job, rows, *skipped) {
                    next.store(new.len(), Ordering::Relaxed);
                    lock(&failure).get_or_insert(error);
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(new.len());
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        lock(&failure).take().map_or(Ok(()), Err)
    }

    fn write_job(&self, job: usize, rows: &EncodedRows<RowPiece>, skipped: u64) -> Result<(), SinkError> {
        let name = format!("{job:05}-{}.parquet", self.token);
        let mut files = FileSet::new(&self.place, &self.rows, name, &self.shown);
        let mut left = usize::try_from(skipped).unwrap_or(usize::MAX);
        for (piece, count) in &rows.pieces {
            if left >= *count {
                left -= count;
                continue;
            }
            let bytes = self.spool.get(piece)?;
            for batch in StreamReader::try_new(&bytes[..], None).map_err(|error| self.broken(&error))? {
                let batch = batch.map_err(|error| self.broken(&error))?;
                let skip = left.min(batch.num_rows());
                left -= skip;
                files.write(&batch.slice(skip, batch.num_rows() - skip))?;
            }
        }
        files.finish(&mut |file| lock(&self.files).push(file))
    }

    fn broken(&self, error: &ArrowError) -> SinkError {
        SinkError::batch(&self.shown, error)
    }

    /// Adds a version that has the files. Gives its number, and what is still to be tidied up.
    fn commit(&self, decided: &Decided<RowPiece>, files: &[NewFile]) -> Result<(u64, Option<String>), SinkError> {
        let mut now = None;
        let mut number = self.applied();
        for _ in 0..ATTEMPTS {
            let head = now.as_ref().or(self.before.head.as_ref());
            let version = head.map_or(0, |head| head.number() + 1);
            let record = Record::new(self.result, version, &self.token, decided.segments.clone());
            number = record.write(&self.place, number + 1)?;
            let app = self.place.app();
            let change = Change { app: (&app, number), files, replaces: !self.is_append() };
            let added = match head {
                Some(head) => head.add(&change),
                None => self.place.table.create(self.rows.schema.fields(), &self.partition_by, &change),
            };
            match added {
                Ok(Added::Yes(left)) => {
                    // The one before may be looked at by another run just now.
                    Record::forget(&self.place, (self.applied() - FORGOTTEN).max(0)..self.applied());
                    return Ok((version, left.map(|reason| self.without_checkpoint(&reason))));
                }
                Ok(Added::Overtaken) => now = self.still()?,
                // Its answer may be lost.
                Err(error) => {
                    return match self.committed(number) {
                        Some(version) => Ok((version, None)),
                        None => Err(self.place.failed(error)),
                    };
                }
            }
        }
        Err(self.place.refused(format!("others have added {ATTEMPTS} versions meanwhile; run again later")))
    }

    /// The number of the last change before this one.
    fn applied(&self) -> i64 {
        self.before.head.as_ref().and_then(|head| head.applied).unwrap_or(0)
    }

    /// The newest version now, if this sink may still add one to it.
    fn still(&self) -> Result<Option<Head>, SinkError> {
        let now = self.place.table.head(&self.place.app()).map_err(|error| self.place.failed(error))?;
        if let Some(head) = &now {
            if head.applied != self.before.head.as_ref().and_then(|head| head.applied) {
                return Err(self.place.refused(
                    "another run writes there at the same time, and has taken over; run again when it is done"
                        .to_owned(),
                ));
            }
            let (rows, _) = rows_of_table(&self.place, Some(head), &self.schema, &self.partition_by)?;
            if (&rows.schema, &rows.partition) != (&self.rows.schema, &self.rows.partition) {
                return Err(self
                    .place
                    .refused("its columns were changed while the run was writing; run again".to_owned()));
            }
        }
        Ok(now)
    }

    /// The version that has a change, if the table says that it is there.
    fn committed(&self, number: i64) -> Option<u64> {
        let head = self.place.table.head(&self.place.app()).ok()??;
        (head.applied == Some(number)).then(|| head.number())
    }

    /// What it means that no checkpoint was written.
    fn without_checkpoint(&self, reason: &str) -> String {
        format!(
            "the version is there, but no checkpoint of the log of {} could be written: {reason}. Until there is one readers read more of \
             the log; the next version tries again",
            self.shown.display()
        )
    }
}

/// Whether the table has just what it is to have.
fn is_done(place: &Place, found: &Found, result: [u8; 32]) -> bool {
    let newest = found.head.as_ref().map(Head::number);
    let is_newest = |record: &Record| place.sink.mode == WriteMode::Append || Some(record.table_version) == newest;
    found.record.as_ref().is_some_and(|record| record.result == result && is_newest(record))
}

/// How rows become those of the table, and by which columns it is partitioned. A table that can't take them is refused before any is made.
fn rows_of_table(
    place: &Place,
    head: Option<&Head>,
    schema: &SchemaRef,
    asked: &[String],
) -> Result<(Layout, Vec<String>), SinkError> {
    let own = table_schema(schema).map_err(|reason| place.refused(reason))?;
    let Some(head) = head else {
        let partition = asked.iter().filter_map(|name| own.index_of(name).ok()).collect();
        return Ok((Layout::new(own, partition), asked.to_vec()));
    };
    if !asked.is_empty() && asked != head.partition_by {
        let by = if head.partition_by.is_empty() { "no column".to_owned() } else { head.partition_by.join(", ") };
        return Err(
            place.refused(format!("it is partitioned by {by}, which can't be changed; leave out `partition-by`"))
        );
    }
    let field = |field: &FieldRef| {
        let column = head.columns.iter().find(|column| column.field.name() == field.name()).ok_or_else(|| {
            let names: Vec<_> = head.columns.iter().map(|column| column.field.name().as_str()).collect();
            place.refused(format!(
                "it has no column `{}`, but {}; leave the column out before the sink, or add it to the table",
                field.name(),
                names.join(", ")
            ))
        })?;
        match column.field.data_type() == field.data_type() {
            true => Ok(column.field.clone()),
            false => Err(place.refused(format!(
                "its column `{}` is {}, and the rows have {}; convert them in a stage before the sink",
                field.name(),
                column.field.data_type(),
                field.data_type()
            ))),
        }
    };
    let fields = own.fields().iter().map(field).collect::<Result<Vec<_>, SinkError>>()?;
    let missing =
        head.columns.iter().find(|column| !column.field.is_nullable() && own.index_of(column.field.name()).is_err());
    if let Some(column) = missing {
        return Err(place.refused(format!(
            "its column `{}` takes no nulls, and the rows have no such column",
            column.field.name()
        )));
    }
    let place_of = |name: &String| {
        own.index_of(name)
            .map_err(|_| place.refused(format!("it is partitioned by `{name}`, and the rows have no such column")))
    };
    let partition = head.partition_by.iter().map(place_of).collect::<Result<Vec<_>, SinkError>>()?;
    Ok((Layout::new(arrow_schema::Schema::new(fields).into(), partition), head.partition_by.clone()))
}

impl Transaction for TableTransaction {
    fn jobs(&self) -> &[Job] {
        self.pending.jobs()
    }

    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        let rows = RowKeeper::new(&self.pending, &self.spool, &self.shown, (job, &self.schema, self.is_append()))?;
        Ok(Box::new(TableWriter { of: self, rows }))
    }

    fn prepare(&self, _syncs: &mut Syncs) -> Result<(), SinkError> {
        if is_done(&self.place, &self.before, self.result) {
            return Ok(());
        }
        let decided =
            self.pending.decide(self.place.sink.changed, (&self.spool, first_row), |lost| self.changed(lost))?;
        self.write_files(&decided.new)?;
        *lock(&self.decided) = Some(decided);
        Ok(())
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        let state = |rows, version| finished(&self.place, self.result, self.layout, rows, version);
        let Some(decided) = lock(&self.decided).take() else {
            let version = self.before.head.as_ref().map(Head::number);
            return match &self.before.record {
                Some(record) if is_done(&self.place, &self.before, self.result) => {
                    Ok(Finalized { state: state(record.rows(), version), written: Written::Records(0), untidy: None })
                }
                _ => Err(SinkError::Incomplete { job: 0 }),
            };
        };
        // From here on it may be that a version has them.
        let files = std::mem::take(&mut *lock(&self.files));
        let (version, untidy) = self.commit(&decided, &files)?;
        let rows = decided.segments.iter().map(|segment| segment.rows).sum();
        Ok(Finalized { state: state(rows, Some(version)), written: Written::Records(decided.records()), untidy })
    }
}

impl Drop for TableTransaction {
    fn drop(&mut self) {
        let files = std::mem::take(&mut *lock(&self.files));
        self.place.table.remove(&files.into_iter().map(|file| file.path).collect::<Vec<_>>());
    }
}

/// Keeps the rows of one job.
struct TableWriter<'t> {
    of: &'t TableTransaction,
    rows: RowKeeper<'t>,
}

impl RowWriter for TableWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let TableTransaction { schema, shown, .. } = self.of;
        let batch = conform(batch, schema, shown)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows.keep(&batch, |batch| ipc(batch).map_err(|error| SinkError::batch(shown, &error)))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.rows.finish();
        Ok(())
    }
}

/// Rows as a stream of Arrow.
fn ipc(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}
