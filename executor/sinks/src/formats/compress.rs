//! Compression around a format's bytes. Equal bytes in give equal bytes out, however they are cut into writes.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flowc_planner::plan::Compression;

/// Bytes that a compressor is given at a time.
const BLOCK: usize = 64 << 10;

/// Zstandard's level: its own default.
const ZSTD_LEVEL: i32 = 3;

/// Compresses what is written to it.
///
/// Writes are re-cut into fixed blocks and `flush` does nothing, since compressors end a block where they are flushed.
pub(crate) struct Compressor<W: Write> {
    pending: Vec<u8>,
    codec: Codec<W>,
}

enum Codec<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// `compression` is resolved: [`Compression::Auto`] counts as none.
    pub(crate) fn new(compression: Compression, out: W) -> io::Result<Self> {
        let codec = match compression {
            Compression::Auto | Compression::None => Codec::None(out),
            // The encoder writes no file name and a time of 0.
            Compression::Gzip => Codec::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => Codec::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?),
        };
        Ok(Self { pending: Vec::new(), codec })
    }

    /// Writes what is pending and the compression's end.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.codec.write_all(&self.pending)?;
        match self.codec {
            Codec::None(out) => Ok(out),
            Codec::Gzip(encoder) => encoder.finish(),
            Codec::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Codec<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Codec::None(out) => out.write_all(bytes),
            Codec::Gzip(encoder) => encoder.write_all(bytes),
            Codec::Zstd(encoder) => encoder.write_all(bytes),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Codec::None(out) = &mut self.codec {
            return out.write(bytes);
        }
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.len() - self.pending.len() % BLOCK;
        for block in self.pending[..whole].chunks(BLOCK) {
            self.codec.write_all(block)?;
        }
        self.pending.drain(..whole);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
