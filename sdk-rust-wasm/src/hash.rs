//! Hash tables with one seed.

/// A hash table that behaves alike on every run.
///
/// `std`'s own is seeded from addresses on wasm32, so that the order of its entries may differ between two runs of the
/// same component on the same rows. Whatever comes from iterating over it would differ too, and a cached result would
/// be another than a fresh one. Make one with `HashMap::default()`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Hasher>;

/// A hash set that behaves alike on every run; see [`HashMap`].
pub type HashSet<K> = std::collections::HashSet<K, Hasher>;

/// The hasher of both, with a fixed seed.
pub type Hasher = foldhash::fast::FixedState;
