//! Bytes as they come out of an encoder.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use flowc_platform::lock;

/// Bytes on their way from an encoder to the output, which need not be fit for other threads as encoders want it.
#[derive(Clone, Default)]
pub(crate) struct Handover(Arc<Mutex<Vec<u8>>>);

impl Handover {
    /// Those since it was last asked.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Write for Handover {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
