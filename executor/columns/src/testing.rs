//! Generators of types and arrays, for property tests.
