//! Joins rows with a table by key.
