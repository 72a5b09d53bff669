//! Memory of the processor that a device copies from and into. It is used again: the first touch of fresh memory costs more than the copy.

use std::sync::{Arc, Mutex, PoisonError};

/// Below so many bytes the queue's own way is as good.
const LEAST: u64 = 64 << 10;

/// Bytes of the largest block. What has more is copied in pieces.
const LARGEST: u64 = 64 << 20;

/// Bytes that are kept in each direction: three blocks that are under way, and one that is filled.
const KEPT: u64 = 4 * LARGEST;

/// Blocks that wait to be used again, in each direction.
#[derive(Default)]
pub(crate) struct Staging {
    up: Arc<Ring>,
    down: Ring,
}

/// Blocks of one direction that wait to be used again.
#[derive(Default)]
struct Ring(Mutex<Vec<wgpu::Buffer>>);

impl Ring {
    /// One of this size, if it is there.
    fn take(&self, size: u64) -> Option<wgpu::Buffer> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = waiting.iter().position(|block| block.size() == size)?;
        Some(waiting.swap_remove(place))
    }

    /// Keeps one, and lets go of the oldest that are too many.
    fn give(&self, block: wgpu::Buffer) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(block);
        while waiting.iter().map(wgpu::Buffer::size).sum::<u64>() > KEPT {
            waiting.remove(0);
        }
    }
}

/// The size of a block that holds so many bytes: few sizes, so that blocks fit again.
fn size_of_block(bytes: u64) -> u64 {
    bytes.max(LEAST).next_power_of_two()
}

impl Staging {
    /// Writes bytes into a buffer of the device, before all that is submitted later.
    ///
    /// # Errors
    /// If the memory can't be written.
    pub(crate) fn write(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        to: &wgpu::Buffer,
        bytes: &[u8],
    ) -> Result<(), wgpu::MapRangeError> {
        if (bytes.len() as u64) < LEAST {
            queue.write_buffer(to, 0, bytes);
            return Ok(());
        }
        for (piece, start) in bytes.chunks(LARGEST as usize).zip((0..).step_by(LARGEST as usize)) {
            let (length, size) = (piece.len() as u64, size_of_block(piece.len() as u64));
            let block = self.up.take(size).unwrap_or_else(|| {
                let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
                device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: true })
            });
            block.slice(..length).get_mapped_range_mut()?.copy_from_slice(piece);
            block.unmap();
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&block, 0, to, start, length);
            queue.submit([encoder.finish()]);
            // It is there again once the copy is done, which whoever waits for the device finds.
            let (ring, again) = (Arc::clone(&self.up), block.clone());
            block.map_async(wgpu::MapMode::Write, .., move |mapped| {
                if mapped.is_ok() {
                    ring.give(again);
                }
            });
        }
        Ok(())
    }

    /// A block that the device can copy so many bytes into, and that can then be read.
    pub(crate) fn to_read(&self, device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
        let size = size_of_block(bytes).min(device.limits().max_buffer_size).max(bytes);
        self.down.take(size).unwrap_or_else(|| {
            let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        })
    }

    /// Takes back a block that has been read. Larger ones than are kept go.
    pub(crate) fn read(&self, block: wgpu::Buffer) {
        block.unmap();
        self.down.give(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_few_sizes_and_hold_what_is_asked_for() {
        assert_eq!(size_of_block(1), LEAST);
        assert_eq!(size_of_block(LEAST + 4), 2 * LEAST);
        assert_eq!(size_of_block(LARGEST), LARGEST);
    }
}
