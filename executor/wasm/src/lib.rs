//! The wasm runner: components behind host-owned batches.
