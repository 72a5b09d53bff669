//! Reading an open file at any place, from several threads at once.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
#[cfg(any(feature = "databases", feature = "flights", feature = "kafka"))]
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
#[cfg(any(feature = "databases", feature = "flights", feature = "kafka"))]
use flowc_platform::{content_length, is_sealed};

use crate::error::SourceError;
#[cfg(feature = "objects")]
use crate::objects::RemoteFile;

/// How much is read at once of what is only looked at.
const READ_SIZE: u64 = 4 << 20;

/// The plain (decompressed) bytes of a source file.
#[derive(Clone, Debug)]
pub(crate) struct View {
    place: Place,
    name: Arc<str>,
    length: u64,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
enum Place {
    File(Arc<File>),
    #[cfg(feature = "objects")]
    Remote(Arc<RemoteFile>),
    /// Nothing is there yet.
    #[cfg(any(feature = "databases", feature = "kafka"))]
    Nowhere,
}

impl View {
    /// A view of a regular file.
    pub(crate) fn new(file: Arc<File>, name: &str) -> Result<Self, SourceError> {
        let length = file.metadata().map_err(SourceError::io(name, "stat it"))?.len();
        Ok(Self { place: Place::File(file), name: name.into(), length })
    }

    /// A view of an object of a store.
    #[cfg(feature = "objects")]
    pub(crate) fn of_remote(file: Arc<RemoteFile>) -> Self {
        let (name, length) = (file.name().into(), file.length());
        Self { place: Place::Remote(file), name, length }
    }

    /// A view of no bytes, for what is still on its way.
    #[cfg(any(feature = "databases", feature = "kafka"))]
    pub(crate) fn of_nothing(name: &str) -> Self {
        Self { place: Place::Nowhere, name: name.into(), length: 0 }
    }

    /// A view of what a sealed file holds. One that is damaged is an error of kind `InvalidData`.
    #[cfg(any(feature = "databases", feature = "flights", feature = "kafka"))]
    pub(crate) fn of_sealed(path: &Path, name: &str) -> Result<Self, SourceError> {
        let io = |action| SourceError::io(name, action);
        if !is_sealed(path) {
            return Err(io("trust what is kept of it")(io::ErrorKind::InvalidData.into()));
        }
        let file = File::open(path).map_err(io("open what is kept of it"))?;
        let length = file.metadata().map_err(io("stat what is kept of it"))?.len();
        let length = content_length(length).unwrap_or(0);
        Ok(Self { place: Place::File(Arc::new(file)), name: name.into(), length })
    }

    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes when the view was made.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Exactly these bytes. A file that has become shorter is an error.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Result<Bytes, SourceError> {
        #[cfg(feature = "objects")]
        if let Place::Remote(file) = &self.place {
            self.check_range(offset, length)?;
            return file.read(offset, length as usize);
        }
        let mut buffer = Vec::new();
        self.append(&mut buffer, offset, length)?;
        Ok(buffer.into())
    }

    /// Appends exactly these bytes to a buffer.
    pub(crate) fn append(&self, buffer: &mut Vec<u8>, offset: u64, length: u64) -> Result<(), SourceError> {
        self.check_range(offset, length)?;
        let start = buffer.len();
        buffer.resize(start + length as usize, 0);
        match &self.place {
            Place::File(file) => file.read_exact_at(&mut buffer[start..], offset).map_err(|error| self.failed(error)),
            #[cfg(feature = "objects")]
            Place::Remote(file) => file.read_exact_at(&mut buffer[start..], offset),
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Place::Nowhere => Ok(()),
        }
    }

    /// Shows exactly these bytes, in pieces of any length.
    pub(crate) fn show(&self, range: Range<u64>, look: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        let (mut at, mut buffer) = (range.start, Vec::new());
        while at < range.end {
            let length = READ_SIZE.min(range.end - at);
            match &self.place {
                #[cfg(feature = "objects")]
                Place::Remote(file) => {
                    self.check_range(at, length)?;
                    file.read_pieces(at, length as usize)?.iter().for_each(|piece| look(piece));
                }
                _ => {
                    buffer.clear();
                    self.append(&mut buffer, at, length)?;
                    look(&buffer);
                }
            }
            at += length;
        }
        Ok(())
    }

    fn check_range(&self, offset: u64, length: u64) -> Result<(), SourceError> {
        match offset.checked_add(length).is_none_or(|end| end > self.length) {
            true => Err(self.changed("it does not have the bytes that it had")),
            false => Ok(()),
        }
    }

    /// Reads from `offset` on.
    pub(crate) fn cursor(&self, offset: u64) -> Cursor {
        Cursor { view: self.clone(), offset }
    }

    /// Why bytes could not be had, if they couldn't: of that decoders hand on no more than a text.
    pub(crate) fn failure(&self) -> Option<SourceError> {
        match &self.place {
            Place::File(_) => None,
            #[cfg(feature = "objects")]
            Place::Remote(file) => file.failure(),
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Place::Nowhere => None,
        }
    }

    /// The error for a file that changed.
    pub(crate) fn changed(&self, what: &'static str) -> SourceError {
        SourceError::Changed { file: self.name.to_string(), what }
    }

    fn failed(&self, error: io::Error) -> SourceError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.changed("it became shorter"),
            _ => SourceError::Io { file: self.name.to_string(), action: "read it", error },
        }
    }
}

/// A place in a view; reading moves it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    view: View,
    offset: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.view.length.saturating_sub(self.offset);
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match &self.view.place {
            Place::File(file) => file.read_at(&mut buffer[..wanted], self.offset)?,
            #[cfg(feature = "objects")]
            Place::Remote(file) => {
                file.read_exact_at(&mut buffer[..wanted], self.offset).map_err(io::Error::other)?;
                wanted
            }
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Place::Nowhere => 0,
        };
        self.offset += read as u64;
        Ok(read)
    }
}
