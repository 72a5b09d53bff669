//! Kernels, and what is remembered of the adapters that they run on.

use flowc_gpu::{Adapter, Choice, Kernels, Remembered};
use flowc_planner::key::KeyHasher;
use flowc_runner::StageKind;
use flowc_store::Store;

use crate::Error;
use crate::remembered::{ADAPTER, ADAPTERS};
use crate::runners::lent::Lent;

#[cfg(test)]
#[path = "../../build/digests.rs"]
mod digests;

/// The code that makes results of kernels, and the crates that it is compiled with.
const MADE_BY: &str = env!("FLOWC_KERNELS");

/// The kind of stages that are kernels.
pub(super) fn kind(lent: &Lent<'_>) -> Result<Box<dyn StageKind>, Error> {
    let choice = lent.options.gpu.as_deref().map_or(Choice::Best, Choice::named);
    Ok(Box::new(Kernels::new(choice, Box::new(Found(lent.store.clone())), MADE_BY)))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn results_of_kernels_are_known_by_the_sources_that_make_them() {
        assert_eq!(MADE_BY, digests::kernels(&workspace()).to_hex().as_str());
    }

    /// Each file that makes results, and each crate that takes part, in a copy of which it changes.
    #[test]
    fn a_change_of_any_source_or_crate_that_makes_results_makes_other_keys() {
        let copy = tempfile::tempdir().unwrap();
        let root = copy.path();
        let all = digests::files(&workspace(), &["executor/gpu", "executor/kernel"]);
        let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
        fs::write(root.join("Cargo.lock"), &lock).unwrap();
        for file in &all {
            let place = root.join(file.strip_prefix(workspace()).unwrap());
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(file, place).unwrap();
        }
        assert_eq!(digests::kernels(root).to_hex().as_str(), MADE_BY);
        let needed = [
            "executor/kernel/src/standard/top_k.wgsl",
            "executor/kernel/src/standard/top_k.rs",
            "executor/kernel/src/build/rewrite.rs",
            "executor/kernel/src/passes.rs",
            "executor/gpu/src/counted.rs",
            "executor/gpu/src/written.rs",
            "executor/gpu/src/passage/mod.rs",
            "executor/gpu/Cargo.toml",
        ];
        for name in needed {
            let before = fs::read(root.join(name)).unwrap();
            fs::write(root.join(name), [&before[..], b" "].concat()).unwrap();
            assert_ne!(digests::kernels(root).to_hex().as_str(), MADE_BY, "{name}");
            fs::write(root.join(name), before).unwrap();
        }
        for name in ["naga", "wgpu", "wgpu-core", "wgpu-hal", "arrow-select", "half"] {
            let of = format!("name = \"{name}\"\nversion = \"");
            assert!(lock.contains(&of), "{name}");
            fs::write(root.join("Cargo.lock"), lock.replace(&of, &format!("{of}9"))).unwrap();
            assert_ne!(digests::kernels(root).to_hex().as_str(), MADE_BY, "{name}");
        }
        fs::write(
            root.join("Cargo.lock"),
            lock.replace("name = \"tokio\"\nversion = \"", "name = \"tokio\"\nversion = \"9"),
        )
        .unwrap();
        assert_eq!(digests::kernels(root).to_hex().as_str(), MADE_BY, "tokio takes no part");
    }
}
