//! The one device of this process, the programs that it has compiled, and how much may be on it at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};

use flowc_kernel::Shader;
use flowc_runner::Outlet;

use crate::adapter::{Adapter, Sort};
use crate::adapters::Adapters;
use crate::device::{Device, DeviceFault, Filling, Held, Program, Traffic};
use crate::tables::Tables;
use crate::vulkan;

/// Blocks that are on the device at once: one is filled, one runs, one is read.
const MOST_BLOCKS: usize = 3;

/// Bytes of the buffers of all blocks on the device. A larger block has it to itself.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes of the tables that stay on the device. A larger one is alone there.
const MOST_RESIDENT: u64 = 1 << 30;

/// Opens a device of an adapter.
type Open = Box<dyn Fn(&Adapter) -> Result<Arc<dyn Device>, DeviceFault> + Send + Sync>;

/// The device of this process.
pub(crate) struct Devices {
    adapters: Arc<Adapters>,
    open: Open,
    state: Mutex<State>,
    admission: Admission,
    resident: Mutex<Resident>,
    /// Tables that may come again, in memory.
    pub(crate) tables: Tables,
    /// Builds whose results were found not to depend on how rows are grouped.
    compared: Mutex<HashSet<[u8; 32]>>,
    /// All that went to the device and came back.
    pub(crate) traffic: Traffic,
    warned: Once,
}

#[derive(Default)]
struct State {
    adapter: Option<Adapter>,
    opened: Option<Arc<dyn Device>>,
    /// The number of the device: each that is lost is followed by another.
    number: u64,
    programs: HashMap<[u8; 32], Arc<dyn Program>>,
    /// Builds that the driver does not compile.
    refused: HashMap<[u8; 32], DeviceFault>,
}

/// Programs on a device.
pub(crate) struct Ready {
    pub(crate) device: Arc<dyn Device>,
    pub(crate) programs: Vec<Arc<dyn Program>>,
    /// The number of the device.
    pub(crate) number: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Devices {
    pub(crate) fn new(adapters: Arc<Adapters>) -> Self {
        Self::with(adapters, Box::new(vulkan::open))
    }

    /// Devices that are opened so.
    fn with(adapters: Arc<Adapters>, open: Open) -> Self {
        let (state, admission, resident, tables, compared, traffic) = Default::default();
        Self { adapters, open, state, admission, resident, tables, compared, traffic, warned: Once::new() }
    }

    /// The device of an adapter, opened so.
    #[cfg(test)]
    pub(crate) fn on(adapter: Adapter, open: Open) -> Self {
        let adapters = Adapters::new(crate::Choice::Best, Box::new(crate::Forgetful));
        let devices = Self::with(Arc::new(adapters), open);
        lock(&devices.state).adapter = Some(adapter);
        devices
    }

    /// The adapter that kernels run on. It stays the same.
    ///
    /// # Errors
    /// In words, if there is none.
    pub(crate) fn adapter(&self) -> Result<Adapter, String> {
        let mut state = lock(&self.state);
        if state.adapter.is_none() {
            state.adapter = Some(self.adapters.chosen()?);
        }
        Ok(state.adapter.clone().expect("an adapter was chosen"))
    }

    /// Says that kernels run on the processor, once, where nobody asked for that.
    pub(crate) fn warn_of_cpu(&self, adapter: &Adapter, outlet: &mut dyn Outlet) {
        if adapter.sort == Sort::Cpu && self.adapters.is_picked() {
            self.warned.call_once(|| {
                let message = format!(
                    "there is no GPU: kernels run on the CPU by `{}`; say `--gpu cpu` if that is meant",
                    adapter.name
                );
                outlet.log("warn", &message);
            });
        }
    }

    /// Programs of one device, compiled where it has not compiled them. Each module has a key.
    ///
    /// # Errors
    /// If no device can be opened, or the driver does not compile the module of the number that is given.
    pub(crate) fn ready(&self, shaders: &[([u8; 32], Arc<Shader>)]) -> Result<Ready, (usize, DeviceFault)> {
        let adapter = self.adapter().map_err(|why| (0, DeviceFault::Refused(why)))?;
        let mut state = lock(&self.state);
        let refused = |(number, (key, _)): (usize, &([u8; 32], _))| Some((number, state.refused.get(key)?.clone()));
        if let Some(refused) = shaders.iter().enumerate().find_map(refused) {
            return Err(refused);
        }
        let device = match &state.opened {
            Some(device) => Arc::clone(device),
            None => Arc::clone(state.opened.insert((self.open)(&adapter).map_err(|fault| (0, fault))?)),
        };
        let programs = shaders
            .iter()
            .enumerate()
            .map(|(number, (key, shader))| state.program(&*device, key, shader).map_err(|fault| (number, fault)));
        let programs = programs.collect::<Result<_, _>>()?;
        Ok(Ready { device, programs, number: state.number })
    }

    /// Gives up a device that was lost, so that another one is opened.
    pub(crate) fn lose(&self, device: u64) {
        let mut state = lock(&self.state);
        if state.number == device {
            state.close();
        }
    }

    /// A buffer of these bytes that stays on the device: what tables are made of. Others of the same content share it. Gives how many
    /// bytes went there, too.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn resident(&self, ready: &Ready, digest: &[u8; 32], bytes: &[u8]) -> Result<(Held, u64), DeviceFault> {
        let mut resident = lock(&self.resident);
        resident.held.retain(|one| one.device == ready.number);
        if let Some(place) = resident.held.iter().position(|one| one.digest == *digest) {
            let one = resident.held.remove(place);
            let held = one.held.clone();
            resident.held.push(one);
            return Ok((held, 0));
        }
        let size = bytes.len() as u64;
        resident.make_room(size);
        let held = self.traffic.fill(&*ready.device, &Filling::Bytes(bytes))?;
        resident.held.push(OnDevice { digest: *digest, device: ready.number, bytes: size, held: held.clone() });
        Ok((held, size))
    }

    /// Waits until so many bytes may be on the device.
    pub(crate) fn admit(&self, bytes: u64) -> Admitted<'_> {
        self.admission.admit(bytes)
    }

    /// Whether results of a build were compared.
    pub(crate) fn is_compared(&self, key: &[u8; 32]) -> bool {
        lock(&self.compared).contains(key)
    }

    /// Notes that results of a build were compared, and are equal.
    pub(crate) fn note_compared(&self, key: &[u8; 32]) {
        lock(&self.compared).insert(*key);
    }
}

impl State {
    fn program(
        &mut self,
        device: &dyn Device,
        key: &[u8; 32],
        shader: &Arc<Shader>,
    ) -> Result<Arc<dyn Program>, DeviceFault> {
        if let Some(program) = self.programs.get(key) {
            return Ok(Arc::clone(program));
        }
        match device.compile(shader) {
            Ok(program) => {
                self.programs.insert(*key, Arc::clone(&program));
                Ok(program)
            }
            Err(fault) => {
                if matches!(fault, DeviceFault::Timeout | DeviceFault::Refused(_)) {
                    self.refused.insert(*key, fault.clone());
                }
                // A driver that failed to compile may have left the device in any state.
                self.close();
                Err(fault)
            }
        }
    }

    fn close(&mut self) {
        self.opened = None;
        self.programs.clear();
        self.number += 1;
    }
}

/// Buffers that stay on the device, the one that was used last at the end.
#[derive(Default)]
struct Resident {
    held: Vec<OnDevice>,
}

struct OnDevice {
    digest: [u8; 32],
    device: u64,
    bytes: u64,
    held: Held,
}

impl Resident {
    /// Lets go of those that were not used for longest. What still uses them has them as long as it does.
    fn make_room(&mut self, bytes: u64) {
        while !self.held.is_empty() && self.held.iter().map(|one| one.bytes).sum::<u64>() + bytes > MOST_RESIDENT {
            self.held.remove(0);
        }
    }
}

/// What is on the device.
#[derive(Default)]
struct Admission {
    there: Mutex<(usize, u64)>,
    left: Condvar,
}

/// A block that is on the device until this is dropped.
pub(crate) struct Admitted<'a> {
    admission: &'a Admission,
    bytes: u64,
}

impl Admission {
    fn admit(&self, bytes: u64) -> Admitted<'_> {
        let is_full = |there: &mut (usize, u64)| {
            let (blocks, others) = *there;
            blocks > 0 && (blocks >= MOST_BLOCKS || others.saturating_add(bytes) > MOST_BYTES)
        };
        let mut there = self.left.wait_while(lock(&self.there), is_full).unwrap_or_else(PoisonError::into_inner);
        there.0 += 1;
        there.1 += bytes;
        Admitted { admission: self, bytes }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut there = lock(&self.admission.there);
        there.0 -= 1;
        there.1 -= self.bytes;
        self.admission.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn blocks_and_bytes_on_the_device_are_bounded() {
        let admission = Admission::default();
        let (most, now) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let admitted = admission.admit(1);
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    drop(admitted);
                });
            }
        });
        assert!(most.into_inner() <= MOST_BLOCKS);
        let large = admission.admit(MOST_BYTES * 2);
        assert_eq!(*lock(&admission.there), (1, MOST_BYTES * 2), "a large block has the device to itself");
        drop(large);
        assert_eq!(*lock(&admission.there), (0, 0));
    }
}
