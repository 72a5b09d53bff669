//! The one device of this process, the programs that it has compiled, and what is on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use flowc_kernel::Shader;
use flowc_runner::Outlet;

use crate::adapter::{Adapter, Sort};
use crate::adapters::Adapters;
use crate::budget::{Admitted, Budget, Digest};
use crate::device::{Device, DeviceFault, Filling, Held, Program, Traffic};
use crate::tables::Tables;
use crate::vulkan;

/// Opens a device of an adapter.
type Open = Box<dyn Fn(&Adapter) -> Result<Arc<dyn Device>, DeviceFault> + Send + Sync>;

/// The device of this process.
pub(crate) struct Devices {
    adapters: Arc<Adapters>,
    open: Open,
    state: Mutex<State>,
    budget: Budget,
    /// Tables that may come again, in memory.
    pub(crate) tables: Tables,
    /// Builds whose results were found not to depend on how rows are grouped, nor on their order; with the rows of the largest block of which that is known.
    compared: Mutex<HashMap<[u8; 32], usize>>,
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
        let (state, budget, tables, compared, traffic) = Default::default();
        Self { adapters, open, state, budget, tables, compared, traffic, warned: Once::new() }
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
    pub(crate) fn resident(&self, ready: &Ready, digest: &Digest, bytes: &[u8]) -> Result<(Held, u64), DeviceFault> {
        let size = bytes.len() as u64;
        let make = || self.traffic.fill(&*ready.device, &Filling::Bytes(bytes));
        let (held, is_made) = self.budget.resident(ready.number, digest, size, make)?;
        Ok((held, if is_made { size } else { 0 }))
    }

    /// Waits until a block of so many bytes may be on the device, with the tables that it needs.
    pub(crate) fn admit(&self, bytes: u64, needed: &[Digest]) -> Admitted<'_> {
        self.budget.admit(bytes, needed)
    }

    /// Makes room on the device where its memory did not do. Says whether there was something to let go of.
    pub(crate) fn make_room(&self) -> bool {
        self.budget.evict_all()
    }

    /// Whether results of a build were compared, over at least half as many rows.
    pub(crate) fn is_compared(&self, key: &[u8; 32], rows: usize) -> bool {
        lock(&self.compared).get(key).is_some_and(|compared| rows <= compared.saturating_mul(2))
    }

    /// Notes that results of a build were compared, over so many rows, and are equal.
    pub(crate) fn note_compared(&self, key: &[u8; 32], rows: usize) {
        let mut compared = lock(&self.compared);
        let most = compared.entry(*key).or_default();
        *most = rows.max(*most);
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
