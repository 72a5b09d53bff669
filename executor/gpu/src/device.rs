//! A device, as the runner uses it: it compiles modules, and runs them over buffers.
//!
//! The seam is small, so that tests can put a device in its place that fails.

use std::sync::Arc;
use std::time::Duration;

use flowc_kernel::Build;

/// What goes wrong on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceFault {
    /// The device is gone: a crash of its driver, a reset. Another may take its place.
    Lost(String),
    /// It has not enough memory.
    Memory,
    /// It took longer than it may.
    Timeout,
    /// It does not take the module, or what it is bound to.
    Refused(String),
}

/// What a buffer begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filling<'a> {
    /// These bytes: a whole number of words.
    Bytes(&'a [u8]),
    /// So many bytes, all zero; they are given back.
    Zeros(u64),
    /// So many bytes, all ones; they are given back.
    Ones(u64),
}

impl Filling<'_> {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(bytes) | Self::Ones(bytes) => *bytes,
        }
    }
}

/// A module over some buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispatch<'a> {
    /// By the number of their binding.
    pub(crate) buffers: &'a [Filling<'a>],
    pub(crate) groups: u32,
    pub(crate) timeout: Option<Duration>,
}

/// A device.
pub(crate) trait Device: Send + Sync {
    /// Compiles a module.
    ///
    /// # Errors
    /// If the driver does not compile it, or not in time.
    fn compile(&self, build: &Arc<Build>) -> Result<Arc<dyn Program>, DeviceFault>;
}

/// A module that is ready to run.
pub(crate) trait Program: Send + Sync {
    /// Runs it, and gives the buffers that are given back, in order.
    ///
    /// # Errors
    /// If the device fails.
    fn run(&self, dispatch: &Dispatch<'_>) -> Result<Vec<Vec<u8>>, DeviceFault>;
}
