//! A device, as the runner uses it: it compiles modules, holds buffers, and runs modules over them.
//!
//! The seam is small, so that tests can put a device in its place that fails, or one that counts.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowc_kernel::Shader;

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
    /// So many bytes, all zero.
    Zeros(u64),
    /// So many bytes, all ones.
    Ones(u64),
}

impl Filling<'_> {
    /// Bytes that go to the device: those of zeros are made there.
    pub(crate) fn sent(&self) -> u64 {
        if matches!(self, Self::Zeros(_)) { 0 } else { self.bytes() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(bytes) | Self::Ones(bytes) => *bytes,
        }
    }
}

/// A buffer on a device, of the device's own type. It is there as long as this or a copy of it is.
pub(crate) type Held = Arc<dyn Any + Send + Sync>;

/// A run of a module over buffers, of the device's own type, that waits for its turn.
pub(crate) type Queued = Box<dyn Any + Send + Sync>;

/// A device.
pub(crate) trait Device: Send + Sync {
    /// Compiles a module.
    ///
    /// # Errors
    /// If the driver does not compile it, or not in time.
    fn compile(&self, shader: &Arc<Shader>) -> Result<Arc<dyn Program>, DeviceFault>;

    /// Makes a buffer of exactly the size that a module is to see.
    ///
    /// # Errors
    /// If the device fails.
    fn fill(&self, filling: &Filling<'_>) -> Result<Held, DeviceFault>;

    /// Runs what is queued, in order, and gives what is then in some buffers.
    ///
    /// # Errors
    /// If the device fails, or takes longer.
    fn run(&self, queued: Vec<Queued>, buffers: &[Held], timeout: Option<Duration>) -> Result<Done, DeviceFault>;
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// What is in the buffers.
    pub(crate) read: Vec<Vec<u8>>,
    /// How long each module ran, in nanoseconds, where the device measures that.
    pub(crate) nanoseconds: Option<Vec<u64>>,
}

/// A module that is ready to run.
pub(crate) trait Program: Send + Sync {
    /// A run of it over some buffers, by the number of their binding.
    ///
    /// # Errors
    /// If the device fails.
    fn queue(&self, buffers: &[Held], groups: [u32; 2]) -> Result<Queued, DeviceFault>;
}

/// Bytes that went to a device and came back.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
}

impl Traffic {
    /// Makes a buffer, and counts what is sent for it.
    ///
    /// # Errors
    /// Those of [`Device::fill`].
    pub(crate) fn fill(&self, device: &dyn Device, filling: &Filling<'_>) -> Result<Held, DeviceFault> {
        self.up.fetch_add(filling.sent(), Ordering::Relaxed);
        device.fill(filling)
    }

    /// Runs what is queued, and counts what comes back.
    ///
    /// # Errors
    /// Those of [`Device::run`].
    pub(crate) fn run(
        &self,
        device: &dyn Device,
        queued: Vec<Queued>,
        buffers: &[Held],
        timeout: Option<Duration>,
    ) -> Result<Done, DeviceFault> {
        let done = device.run(queued, buffers, timeout)?;
        self.down.fetch_add(done.read.iter().map(|bytes| bytes.len() as u64).sum(), Ordering::Relaxed);
        Ok(done)
    }

    /// Bytes that went up, and that came down.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        [&self.up, &self.down].map(|bytes| bytes.load(Ordering::Relaxed))
    }
}
