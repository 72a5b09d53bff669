//! Records that wait until the run commits: a transaction of Kafka lasts minutes at most, a run as long as it wants.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{At, SinkError};

/// A file without a name, which goes with the process. Pieces of several writers lie in it as they come.
pub(crate) struct Spool {
    file: File,
    end: AtomicU64,
}

/// A piece of a spool.
pub(crate) type Piece = Range<u64>;

impl Spool {
    /// In the system's folder of temporary files.
    pub(crate) fn new() -> Result<Self, SinkError> {
        let file = tempfile::tempfile().at(&std::env::temp_dir(), "making a temporary file")?;
        Ok(Self { file, end: AtomicU64::new(0) })
    }

    /// Keeps bytes; says where.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Piece, SinkError> {
        let length = bytes.len() as u64;
        let start = self.end.fetch_add(length, Ordering::Relaxed);
        self.at(self.file.write_all_at(bytes, start), "writing")?;
        Ok(start..start + length)
    }

    /// The bytes of a piece.
    pub(crate) fn get(&self, piece: &Piece) -> Result<Vec<u8>, SinkError> {
        let mut bytes = vec![0; (piece.end - piece.start) as usize];
        self.at(self.file.read_exact_at(&mut bytes, piece.start), "reading")?;
        Ok(bytes)
    }

    /// The result of doing something with it, whose error says where.
    pub(crate) fn at<T>(&self, result: io::Result<T>, action: &'static str) -> Result<T, SinkError> {
        let folder = std::env::temp_dir();
        result.at(Path::new(&folder), action)
    }
}
