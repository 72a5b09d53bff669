//! What is known of this machine's adapters. Drivers are opened only where that is not known, or a kernel runs.

use std::sync::{Mutex, PoisonError};

use flowc_runner::DeviceIdentity;

use crate::adapter::{Adapter, Choice};
use crate::evidence::Drivers;
use crate::probe;

/// The device of stages where there was none yet.
const UNKNOWN: &str = "unknown";

/// Keeps what was found of adapters for later runs.
pub trait Remembered: Send + Sync {
    /// What was found when drivers were as this digest says.
    fn adapters(&self, drivers: &[u8; 32]) -> Option<Vec<Adapter>>;

    /// Keeps what was found.
    fn keep_adapters(&self, drivers: &[u8; 32], adapters: &[Adapter]);

    /// The identity of the adapter that kernels ran on last.
    fn last(&self) -> Option<String>;

    /// Keeps the identity of the adapter that kernels run on.
    fn keep_last(&self, identity: &str);
}

/// Remembers nothing.
pub struct Forgetful;

impl Remembered for Forgetful {
    fn adapters(&self, _: &[u8; 32]) -> Option<Vec<Adapter>> {
        None
    }

    fn keep_adapters(&self, _: &[u8; 32], _: &[Adapter]) {}

    fn last(&self) -> Option<String> {
        None
    }

    fn keep_last(&self, _: &str) {}
}

/// The adapters of this machine.
pub(crate) struct Adapters {
    choice: Choice,
    remembered: Box<dyn Remembered>,
    /// What was found in this process, under the digest of the drivers.
    found: Mutex<Option<([u8; 32], Vec<Adapter>)>>,
    probe: fn() -> Vec<Adapter>,
}

impl Adapters {
    pub(crate) fn new(choice: Choice, remembered: Box<dyn Remembered>) -> Self {
        let probe = || probe::open().into_iter().map(|(_, adapter)| adapter).collect();
        Self { choice, remembered, found: Mutex::default(), probe }
    }

    /// The adapter that a kernel is to run on.
    ///
    /// # Errors
    /// In words, if there is none.
    pub(crate) fn chosen(&self) -> Result<Adapter, String> {
        self.chosen_with(&Drivers::find())
    }

    fn chosen_with(&self, drivers: &Drivers) -> Result<Adapter, String> {
        let adapters = self.all(drivers);
        let chosen = self.choice.among(&adapters)?;
        self.remembered.keep_last(&chosen.identity);
        Ok(chosen.clone())
    }

    /// Whether the adapter was picked, and not named.
    pub(crate) fn is_picked(&self) -> bool {
        self.choice == Choice::Best
    }

    /// What results of kernels depend on, where they depend on the device. Without an adapter it is the one that kernels ran on
    /// last: its results are still good, and no other ones can be made.
    pub(crate) fn identity(&self) -> DeviceIdentity {
        let drivers = Drivers::find();
        self.identity_with(drivers)
    }

    fn identity_with(&self, drivers: Drivers) -> DeviceIdentity {
        let name = match self.choice.among(&self.all(&drivers)) {
            Ok(chosen) => chosen.identity.clone(),
            Err(_) => self.remembered.last().unwrap_or_else(|| UNKNOWN.to_owned()),
        };
        DeviceIdentity { name, evidence: drivers.evidence }
    }

    fn all(&self, drivers: &Drivers) -> Vec<Adapter> {
        // Elsewhere than on Linux there are adapters without manifests.
        if self.choice == Choice::None || (cfg!(target_os = "linux") && !drivers.any) {
            return Vec::new();
        }
        let digest = drivers.digest();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, adapters)) = &*found
            && *known == digest
        {
            return adapters.clone();
        }
        let adapters = self.remembered.adapters(&digest).unwrap_or_else(|| {
            let adapters = (self.probe)();
            self.remembered.keep_adapters(&digest, &adapters);
            adapters
        });
        *found = Some((digest, adapters.clone()));
        adapters
    }
}

/// The adapters of this machine, as their drivers have them.
pub fn adapters() -> Vec<Adapter> {
    if cfg!(target_os = "linux") && !Drivers::find().any {
        return Vec::new();
    }
    probe::open().into_iter().map(|(_, adapter)| adapter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::adapter::Sort;
    use crate::adapter::tests::adapter;

    #[derive(Default)]
    struct Kept {
        adapters: Mutex<HashMap<[u8; 32], Vec<Adapter>>>,
        last: Mutex<Option<String>>,
    }

    impl Remembered for Arc<Kept> {
        fn adapters(&self, drivers: &[u8; 32]) -> Option<Vec<Adapter>> {
            self.adapters.lock().unwrap().get(drivers).cloned()
        }

        fn keep_adapters(&self, drivers: &[u8; 32], adapters: &[Adapter]) {
            self.adapters.lock().unwrap().insert(*drivers, adapters.to_vec());
        }

        fn last(&self) -> Option<String> {
            self.last.lock().unwrap().clone()
        }

        fn keep_last(&self, identity: &str) {
            *self.last.lock().unwrap() = Some(identity.to_owned());
        }
    }

    fn with(kept: &Arc<Kept>, choice: Choice, probe: fn() -> Vec<Adapter>) -> Adapters {
        Adapters { probe, ..Adapters::new(choice, Box::new(Arc::clone(kept))) }
    }

    fn drivers(any: bool) -> Drivers {
        Drivers { any, ..Drivers::find() }
    }

    fn one() -> Vec<Adapter> {
        vec![adapter("H200", Sort::Discrete)]
    }

    fn never() -> Vec<Adapter> {
        panic!("the drivers were opened")
    }

    #[test]
    fn drivers_are_opened_once_while_they_are_the_same() {
        let kept = Arc::<Kept>::default();
        assert_eq!(with(&kept, Choice::Best, one).identity_with(drivers(true)).name, "vulkan 1:2 H200");
        assert_eq!(with(&kept, Choice::Best, never).identity_with(drivers(true)).name, "vulkan 1:2 H200");
    }

    #[test]
    fn without_an_adapter_the_last_one_counts() {
        let kept = Arc::<Kept>::default();
        let none = |choice| with(&kept, choice, never).identity_with(drivers(false)).name;
        assert_eq!(none(Choice::Best), UNKNOWN);
        with(&kept, Choice::Best, one).identity_with(drivers(true));
        assert_eq!(none(Choice::Best), UNKNOWN, "nothing has run on it");
        with(&kept, Choice::Best, one).chosen_with(&drivers(true)).unwrap();
        assert_eq!(none(Choice::Best), "vulkan 1:2 H200");
        assert_eq!(with(&kept, Choice::None, never).identity_with(drivers(true)).name, "vulkan 1:2 H200");
    }
}
