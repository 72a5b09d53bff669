//! The rows of an input, as a table. What does not fit into memory is in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_data::ArrayData;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use tempfile::{NamedTempFile, TempPath};

use crate::memory::RowMemory;
use crate::rules::one_nan;

/// The name of the column with the numbers of a table's rows.
pub(crate) const ROW: &str = "flowc row";

/// An input. It is planned with all of its columns, and has those alone that the plan turns out to read.
#[derive(Debug)]
pub(crate) struct Table {
    all: SchemaRef,
    /// The columns that it has, once that is known.
    reads: Arc<OnceLock<Vec<usize>>>,
    held: Arc<Mutex<Held>>,
    /// What scans of it read.
    scanned: Arc<Mutex<Vec<Weak<Rows>>>>,
    /// Whether a further column has the numbers of its rows.
    is_numbered: bool,
}

impl Table {
    /// A table of these columns, without rows. It keeps rows in this memory as long as there is room.
    pub(crate) fn new(all: SchemaRef, memory: Arc<RowMemory>) -> Self {
        let held = Held { memory, batches: Vec::new(), bytes: 0, size: 0, spill: None };
        let (held, scanned) = (Arc::new(Mutex::new(held)), Arc::default());
        Self { all, reads: Arc::default(), held, scanned, is_numbered: false }
    }

    /// A table that is planned with, and never has rows.
    pub(crate) fn planned(all: SchemaRef) -> Self {
        Self::new(all, RowMemory::new(0))
    }

    /// The same rows with their numbers in a further column.
    pub(crate) fn numbered(&self) -> Self {
        let (all, reads, held, scanned) =
            (self.all.clone(), self.reads.clone(), self.held.clone(), self.scanned.clone());
        Self { all, reads, held, scanned, is_numbered: true }
    }

    /// Whether this is what a scan reads.
    pub(crate) fn is_read_by(&self, scan: &StreamingTableExec) -> bool {
        let address = |rows: *const ()| scan.partitions().iter().any(|partition| Arc::as_ptr(partition).cast() == rows);
        lock(&self.scanned).iter().any(|rows| address(rows.as_ptr().cast()))
    }

    /// Lets go of all rows.
    pub(crate) fn clear(&self) {
        lock(&self.held).clear();
    }

    /// Bytes of all rows, those in a file as well.
    pub(crate) fn size(&self) -> usize {
        lock(&self.held).size
    }

    /// Says which columns it has. Nothing else is ever read.
    pub(crate) fn set_reads(&self, reads: Vec<usize>) {
        let _ = self.reads.set(reads);
    }

    /// The columns that it has.
    fn reads(&self) -> Vec<usize> {
        self.reads.get().cloned().unwrap_or_else(|| (0..self.all.fields().len()).collect())
    }

    /// Takes more rows, of the columns that it has.
    ///
    /// # Errors
    /// If they can't be written to a file.
    pub(crate) fn append(&self, columns: &[Option<ArrayRef>], rows: usize) -> Result<()> {
        let reads = self.reads();
        let fields: Vec<_> = reads.iter().map(|&column| self.all.fields()[column].clone()).collect();
        let columns = columns.iter().take(fields.len()).flatten().map(one_nan).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        lock(&self.held).append(batch)
    }
}

/// The columns of a table with one for the numbers of its rows.
fn with_number(fields: impl IntoIterator<Item = FieldRef>) -> SchemaRef {
    let number = Arc::new(Field::new(ROW, DataType::UInt64, false));
    Arc::new(Schema::new(fields.into_iter().chain([number]).collect::<Vec<_>>()))
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        if self.is_numbered { with_number(self.all.fields().iter().cloned()) } else { self.all.clone() }
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (reads, width) = (self.reads(), self.all.fields().len());
        let place = |column: &usize| {
            let number = self.is_numbered && *column == width;
            let place = if number { Some(reads.len()) } else { reads.iter().position(|read| read == column) };
            place.ok_or_else(|| internal_datafusion_err!("column {column} was not described as read"))
        };
        let all: Vec<usize> = (0..width + usize::from(self.is_numbered)).collect();
        let projection = projection.unwrap_or(&all).iter().map(place).collect::<Result<Vec<_>>>()?;
        let fields: Vec<_> = reads.iter().map(|&column| self.all.fields()[column].clone()).collect();
        let schema = if self.is_numbered { with_number(fields) } else { Arc::new(Schema::new(fields)) };
        let partitions = session.config().target_partitions();
        if partitions > 1 && !self.is_numbered {
            let batches = lock(&self.held).parted(partitions)?;
            return Ok(MemorySourceConfig::try_new_exec(&batches, schema, Some(projection))?);
        }
        let rows = Rows { schema: schema.clone(), is_numbered: self.is_numbered, held: self.held.clone() };
        let rows = Arc::new(rows);
        let mut scanned = lock(&self.scanned);
        scanned.retain(|rows| rows.strong_count() > 0);
        scanned.push(Arc::downgrade(&rows));
        let scan = StreamingTableExec::try_new(schema, vec![rows], Some(&projection), [], false, limit)?;
        Ok(Arc::new(scan))
    }
}

/// The rows of a table, as a scan reads them.
#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    is_numbered: bool,
    held: Arc<Mutex<Held>>,
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = lock(&self.held).read();
        let (schema, is_numbered) = (self.schema.clone(), self.is_numbered);
        let mut next = 0;
        let batches = batches.map(move |batch| match batch {
            Ok(batch) if is_numbered => numbered(&batch, &schema, &mut next),
            other => other,
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(batches)))
    }
}

/// Bytes of memory that columns hold: all of what they are slices of, and that once.
pub(crate) fn bytes_of<'a>(columns: impl IntoIterator<Item = &'a ArrayRef>) -> usize {
    fn add(data: &ArrayData, allocations: &mut BTreeMap<usize, usize>) {
        let nulls = data.nulls().map(|nulls| nulls.buffer());
        for buffer in data.buffers().iter().chain(nulls) {
            allocations.insert(buffer.data_ptr().as_ptr() as usize, buffer.capacity());
        }
        data.child_data().iter().for_each(|child| add(child, allocations));
    }
    let mut allocations = BTreeMap::new();
    columns.into_iter().for_each(|column| add(&column.to_data(), &mut allocations));
    allocations.into_values().sum()
}

/// A batch with the numbers of its rows.
fn numbered(batch: &RecordBatch, schema: &SchemaRef, next: &mut u64) -> Result<RecordBatch> {
    let end = *next + batch.num_rows() as u64;
    let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(*next..end));
    *next = end;
    let columns = batch.columns().iter().cloned().chain([numbers]).collect();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// What came, first what is in the file.
#[derive(Debug)]
struct Held {
    memory: Arc<RowMemory>,
    batches: Vec<RecordBatch>,
    /// What they take of the memory.
    bytes: usize,
    /// Bytes of all values.
    size: usize,
    spill: Option<Spill>,
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

impl Held {
    fn append(&mut self, batch: RecordBatch) -> Result<()> {
        let bytes = bytes_of(batch.columns());
        let values = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
        self.size += values.sum::<Result<usize, _>>()?;
        let schema = batch.schema();
        self.batches.push(batch);
        if self.memory.take(bytes) {
            self.bytes += bytes;
            return Ok(());
        }
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::new(&schema)?),
        };
        for batch in self.batches.drain(..) {
            spill.writer.write(&batch)?;
        }
        self.memory.give_back(std::mem::take(&mut self.bytes));
        Ok(())
    }

    /// All batches, by turns in so many parts.
    fn parted(&mut self, parts: usize) -> Result<Vec<Vec<RecordBatch>>> {
        let mut parted = vec![Vec::new(); parts];
        for (at, batch) in self.read().enumerate() {
            parted[at % parts].push(batch?);
        }
        Ok(parted)
    }

    fn clear(&mut self) {
        self.batches.clear();
        self.size = 0;
        self.spill = None;
        self.memory.give_back(std::mem::take(&mut self.bytes));
    }

    fn read(&mut self) -> Batches {
        let held = self.batches.clone().into_iter().map(Ok);
        match self.spill.as_mut().map(Spill::read) {
            None => Box::new(held),
            Some(Ok(spilled)) => Box::new(spilled.chain(held)),
            Some(Err(error)) => Box::new(std::iter::once(Err(error))),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A file of batches.
struct Spill {
    writer: StreamWriter<BufWriter<File>>,
    /// Removed when it is dropped.
    path: TempPath,
}

impl std::fmt::Debug for Spill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Spill").field(&self.path).finish()
    }
}

impl Spill {
    /// A file in the folder that the program runs in, which flowc removes with it.
    fn new(schema: &SchemaRef) -> Result<Self> {
        let (file, path) = NamedTempFile::new_in(".")?.into_parts();
        Ok(Self { writer: StreamWriter::try_new(BufWriter::new(file), schema)?, path })
    }

    /// What was written so far. Its end mark is missing, and a reader takes the end of the file for it.
    fn read(&mut self) -> Result<Batches> {
        self.writer.flush()?;
        let batches = StreamReader::try_new(BufReader::new(File::open(&self.path)?), None)?;
        Ok(Box::new(batches.map(|batch| Ok(batch?))))
    }
}
