//! Kernels, and what is remembered of the adapters that they run on.

use flowc_gpu::{Adapter, Choice, Kernels, Remembered};
use flowc_planner::key::KeyHasher;
use flowc_runner::StageKind;
use flowc_store::Store;

use crate::Error;
use crate::remembered::{ADAPTER, ADAPTERS};
use crate::runners::lent::Lent;

/// The kind of stages that are kernels.
pub(super) fn kind(lent: &Lent<'_>) -> Result<Box<dyn StageKind>, Error> {
    let choice = lent.options.gpu.as_deref().map_or(Choice::Best, Choice::named);
    Ok(Box::new(Kernels::new(choice, Box::new(Found(lent.store.clone())))))
}

/// Keeps what was found in a store. What can't be kept is looked for again.
struct Found(Store);

impl Remembered for Found {
    fn adapters(&self, drivers: &[u8; 32]) -> Option<Vec<Adapter>> {
        self.0.memo(ADAPTERS, drivers).ok().flatten()
    }

    fn keep_adapters(&self, drivers: &[u8; 32], adapters: &[Adapter]) {
        let _ = self.0.remember(ADAPTERS, drivers, &adapters);
    }

    fn last(&self) -> Option<String> {
        self.0.memo(ADAPTER, &last()).ok().flatten()
    }

    fn keep_last(&self, identity: &str) {
        if self.last().as_deref() != Some(identity) {
            let _ = self.0.remember(ADAPTER, &last(), &identity);
        }
    }
}

/// There is one in a store.
fn last() -> [u8; 32] {
    KeyHasher::new("last adapter").finish()
}
