//! Keeps, drops, renames and reorders columns.
