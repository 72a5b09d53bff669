//! Compressed and unseekable input, written plain to a file without a name that goes when it is closed.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use flowc_planner::plan::Compression;

use crate::error::SourceError;
use crate::files::list::SourceFile;
use crate::files::view::View;

/// What zstd says where it would need more memory than it takes unasked.
const LONG_WINDOW: &str = "requires too much memory";

/// A reader of plain bytes.
pub(crate) fn decompress<'a>(input: impl Read + Send + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None | Compression::Auto => Box::new(input),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, input))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(input)?),
    })
}

/// Opens a file so that its plain bytes can be read at any place. Gives the file itself too.
pub(crate) fn open_plain(
    file: &SourceFile,
    compression: Compression,
    folder: &Path,
) -> Result<(View, File), SourceError> {
    let origin = File::open(&file.path).map_err(SourceError::io(&file.name, "open it"))?;
    let metadata = origin.metadata().map_err(SourceError::io(&file.name, "stat it"))?;
    if metadata.is_dir() {
        return Err(SourceError::Folder { file: file.name.clone() });
    }
    let again = origin.try_clone().map_err(SourceError::io(&file.name, "open it"))?;
    let compression = compression.of(&file.name);
    let plain = match compression {
        Compression::None | Compression::Auto if metadata.is_file() => again,
        _ => spool(again, compression, folder, &file.name)?,
    };
    Ok((View::new(Arc::new(plain), &file.name)?, origin))
}

/// The plain bytes of a view of stored bytes.
#[cfg(feature = "objects")]
pub(crate) fn plain_view(stored: View, compression: Compression, folder: &Path) -> Result<View, SourceError> {
    match compression.of(stored.name()) {
        Compression::None | Compression::Auto => Ok(stored),
        compression => {
            let plain = spool(stored.cursor(0), compression, folder, stored.name())?;
            View::new(Arc::new(plain), stored.name())
        }
    }
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
    // An error with the system's own number, or one of ours, comes from the file, not from the decoder.
    if error.raw_os_error().is_some() || error.get_ref().is_some_and(|error| error.is::<SourceError>()) {
        return SourceError::io(name, "read it")(error);
    }
    let reason = error.to_string();
    if compression == Compression::Zstd && reason.contains(LONG_WINDOW) {
        let what = "compressed with a window of more than 128 MiB (`zstd --long`)".to_owned();
        return SourceError::Unreadable { file: name.to_owned(), what, remedy: "without `--long`" };
    }
    SourceError::Damaged { file: name.to_owned(), format, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gzip;

    fn read(bytes: &[u8], compression: Compression) -> Result<Vec<u8>, SourceError> {
        let mut file = spool(bytes, compression, &std::env::temp_dir(), "input")?;
        let mut plain = Vec::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut plain).unwrap();
        Ok(plain)
    }

    #[test]
    fn what_follows_the_last_member_is_damage() {
        for (bytes, compression) in
            [(gzip(b"one\n"), Compression::Gzip), (zstd::encode_all(&b"one\n"[..], 1).unwrap(), Compression::Zstd)]
        {
            assert_eq!(read(&bytes, compression).unwrap(), b"one\n");
            assert_eq!(read(&[&bytes[..], &bytes].concat(), compression).unwrap(), b"one\none\n");
            for rest in [&b"x"[..], b"\0", b"\x1F", b"\x28\xB5", b"plain text after it\n"] {
                let result = read(&[&bytes, rest].concat(), compression);
                assert!(matches!(result, Err(SourceError::Damaged { .. })), "{compression:?} {rest:?}: {result:?}");
            }
        }
    }

    #[test]
    fn a_window_that_takes_much_memory_is_named() {
        // A frame of one plain block; the byte after the flags is the window's size.
        let frame = |log: u8| [b"\x28\xB5\x2F\xFD\x00", &[(log - 10) << 3][..], b"\x21\0\0one\n"].concat();
        assert_eq!(read(&frame(27), Compression::Zstd).unwrap(), b"one\n");
        let error = read(&frame(28), Compression::Zstd).unwrap_err().to_string();
        assert!(
            error.contains("with a window of more than 128 MiB (`zstd --long`), which flowc cannot read"),
            "{error}"
        );
    }
}
