//! Builds a Rust stage crate into a WASM component, the same bytes from any folder.
