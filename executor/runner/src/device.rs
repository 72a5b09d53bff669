//! What a stage had a device do.

use std::ops::AddAssign;

/// The work of a device for a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// How long the device worked, in nanoseconds.
    pub nanoseconds: u64,
    /// Whether some of that was not measured by the device: of that it is the time from handing work over until its results were there.
    pub is_waited: bool,
    /// Bytes that went to the device.
    pub up: u64,
    /// Bytes that came back.
    pub down: u64,
}

impl AddAssign for DeviceUse {
    fn add_assign(&mut self, other: Self) {
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
        self.is_waited |= other.is_waited;
        self.up += other.up;
        self.down += other.down;
    }
}
