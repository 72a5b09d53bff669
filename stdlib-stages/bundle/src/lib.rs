//! The standard stages as components, embedded in the binary.
