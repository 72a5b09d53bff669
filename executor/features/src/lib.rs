//! Nothing but the features of its dependencies: `Cargo.toml` says what for.
