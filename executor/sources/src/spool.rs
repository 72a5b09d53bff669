//! Compressed and unseekable input, written plain to a file without a name that goes when it is closed.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flowc_planner::plan::Compression;

use crate::error::SourceError;

/// A reader of plain bytes.
pub(crate) fn decompress<'a>(input: impl Read + Send + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None | Compression::Auto => Box::new(input),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, input))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(input)?),
    })
}

/// Writes all of `input`, plain, to an unlinked file in `folder`.
pub(crate) fn spool(
    input: impl Read + Send,
    compression: Compression,
    folder: &Path,
    name: &str,
) -> Result<File, SourceError> {
    let mut file = tempfile::tempfile_in(folder).map_err(SourceError::io(&folder.to_string_lossy(), "write to it"))?;
    let mut plain = decompress(input, compression).map_err(|error| unreadable(error, compression, name))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match plain.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(read) => file.write_all(&buffer[..read]).map_err(SourceError::io(name, "spool it"))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error, compression, name)),
        }
    }
}

/// A decoder says "truncated" and "corrupt" as errors of reading.
pub(crate) fn unreadable(error: io::Error, compression: Compression, name: &str) -> SourceError {
    let format = match compression {
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::None | Compression::Auto => return SourceError::io(name, "read it")(error),
    };
    // An error with the system's own number comes from the file, not from the decoder.
    if error.raw_os_error().is_some() {
        return SourceError::io(name, "read it")(error);
    }
    SourceError::Damaged { file: name.to_owned(), format, reason: error.to_string() }
}
