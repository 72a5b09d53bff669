//! A segment file while it is written: small ones stay in memory, to be packed together.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use arrow_buffer::{Buffer, MutableBuffer};

use crate::error::io_at;
use crate::objects::{Objects, create};
use crate::{ObjectId, StoreError};

/// Smaller segment files are packed together.
const SMALL: usize = 1 << 20;

/// A segment file that is being written: in memory while small, then in a temporary file.
pub(crate) struct Spill {
    /// The folder of files that are being written.
    folder: PathBuf,
    /// The name that its object gets, if it has one of its own.
    id: ObjectId,
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
        /// The name that the object gets.
        id: ObjectId,
        /// The path while it is written.
        path: PathBuf,
        /// The open file.
        file: File,
        /// Number of bytes.
        length: u64,
    },
}

impl Spill {
    /// An empty file, in memory.
    pub(crate) fn new(objects: &Objects, id: ObjectId) -> Self {
        Self { folder: objects.temporaries().to_owned(), id, memory: MutableBuffer::new(0), file: None }
    }

    /// Where it lies; the folder where it would, while it is in memory.
    pub(crate) fn path(&self) -> PathBuf {
        self.file.as_ref().map_or_else(|| self.folder.clone(), |file| file.path.clone())
    }

    /// Number of bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.file.as_ref().map_or(self.memory.len() as u64, |file| file.length)
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
            let id = self.id;
            let path = self.folder.join(id.to_string());
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
