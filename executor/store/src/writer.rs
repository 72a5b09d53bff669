//! Writes a segment: batches of any cut to a segment file of canonical cuts, digested on the way.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;
use flowc_columns::{ColumnDigest, Recut, Unifier, canonical};

use crate::error::{io_at, writing};
use crate::objects::create;
use crate::segment::{LEAVES, ROWS};
use crate::store::Shared;
use crate::{ObjectId, StagedSegment, StoreError};

/// Smaller segment files are packed together.
const SMALL: usize = 1 << 20;

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves nothing behind.
pub struct SegmentWriter {
    shared: Arc<Shared>,
    schema: SchemaRef,
    recut: Recut,
    columns: Vec<Column>,
    leaves: String,
    rows: u64,
    file: Option<FileWriter<Spill>>,
}

struct Column {
    digest: ColumnDigest,
    unifier: Unifier,
}

impl SegmentWriter {
    pub(crate) fn new(shared: Arc<Shared>, schema: SchemaRef) -> Self {
        let column = |field: &Arc<_>| Column { digest: ColumnDigest::new(field), unifier: Unifier::default() };
        let columns = schema.fields().iter().map(column).collect();
        let recut = Recut::new(schema.clone());
        Self { shared, schema, recut, columns, leaves: String::new(), rows: 0, file: None }
    }

    /// Adds rows, cut as they may be.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.rows += batch.num_rows() as u64;
        if self.columns.is_empty() {
            return Ok(());
        }
        for cut in self.recut.push(batch.clone())? {
            self.write_cut(&cut)?;
        }
        Ok(())
    }

    /// Number of rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the segment. Its columns can be read at once, but last only once they are recorded and flushed.
    pub fn finish(mut self) -> Result<StagedSegment, StoreError> {
        let recut = std::mem::replace(&mut self.recut, Recut::new(self.schema.clone()));
        if let Some(cut) = recut.finish()? {
            self.write_cut(&cut)?;
        }
        if self.columns.is_empty() {
            return Ok(StagedSegment { rows: self.rows, columns: Vec::new() });
        }
        let mut file = self.file()?;
        file.write_metadata(LEAVES, std::mem::take(&mut self.leaves));
        file.write_metadata(ROWS, self.rows.to_string());
        let path = file.get_ref().path();
        let spill = file.into_inner().map_err(|e| writing(e, &path))?;
        let contents = self.columns.into_iter().map(|column| column.digest.finish()).collect();
        let columns = self.shared.stage(spill, contents, self.rows)?;
        Ok(StagedSegment { rows: self.rows, columns })
    }

    fn write_cut(&mut self, cut: &RecordBatch) -> Result<(), StoreError> {
        let columns = self.columns.iter_mut().zip(cut.columns());
        let columns = columns.map(|(column, array)| column.add(array, &mut self.leaves)).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(cut.num_rows()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let mut file = self.file()?;
        let written = file.write(&batch).map_err(|e| writing(e, &file.get_ref().path()));
        self.file = Some(file);
        written
    }

    fn file(&mut self) -> Result<FileWriter<Spill>, StoreError> {
        if let Some(file) = self.file.take() {
            return Ok(file);
        }
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)?;
        let options = options.with_dictionary_handling(DictionaryHandling::Delta);
        let spill = Spill { shared: self.shared.clone(), memory: MutableBuffer::new(0), file: None };
        Ok(FileWriter::try_new_with_options(spill, &self.schema, options)?)
    }
}

impl Column {
    fn add(&mut self, array: &ArrayRef, leaves: &mut String) -> Result<ArrayRef, StoreError> {
        let cut = canonical(array)?;
        let leaf = self.digest.update(&cut);
        leaves.push_str(&blake3::Hash::from_bytes(leaf).to_hex());
        Ok(self.unifier.push(&cut)?)
    }
}

/// A segment file that is being written: in memory while small, then in a temporary file.
pub(crate) struct Spill {
    shared: Arc<Shared>,
    memory: MutableBuffer,
    file: Option<SpillFile>,
}

struct SpillFile {
    id: ObjectId,
    path: PathBuf,
    out: BufWriter<File>,
    length: u64,
}

/// A complete segment file.
pub(crate) enum Spilled {
    /// To be packed.
    Memory(Buffer),
    /// An object of its own, under its temporary name.
    File {
        /// Its name to be.
        id: ObjectId,
        /// Its temporary name.
        path: PathBuf,
        /// The file.
        file: File,
        /// Bytes.
        length: u64,
    },
}

impl Spill {
    fn path(&self) -> PathBuf {
        self.file.as_ref().map_or_else(|| self.shared.dir.clone(), |file| file.path.clone())
    }

    /// Ends it. Whoever takes a file must publish or remove it.
    pub(crate) fn finish(mut self) -> Result<Spilled, StoreError> {
        let Some(mut spill) = self.file.take() else {
            return Ok(Spilled::Memory(std::mem::replace(&mut self.memory, MutableBuffer::new(0)).into()));
        };
        let flushed = spill.out.flush().map_err(io_at("write", &spill.path));
        let (file, _) = spill.out.into_parts();
        match flushed {
            Ok(()) => Ok(Spilled::File { id: spill.id, path: spill.path, file, length: spill.length }),
            Err(error) => {
                let _ = std::fs::remove_file(&spill.path);
                Err(error)
            }
        }
    }

    fn open(&mut self) -> io::Result<&mut SpillFile> {
        if self.file.is_none() {
            let id = ObjectId::random();
            let path = self.shared.objects.temporary(id);
            let file = create(&path)?;
            self.file = Some(SpillFile { id, path, out: BufWriter::with_capacity(SMALL, file), length: 0 });
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("no temporary file"))
    }
}

impl Write for Spill {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= SMALL {
            self.memory.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let memory = std::mem::replace(&mut self.memory, MutableBuffer::new(0));
        let file = self.open()?;
        file.out.write_all(&memory)?;
        file.out.write_all(bytes)?;
        file.length += (memory.len() + bytes.len()) as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.out.flush())
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(&file.path);
        }
    }
}
