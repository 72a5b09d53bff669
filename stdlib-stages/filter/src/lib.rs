//! Keeps the rows that meet conditions.
