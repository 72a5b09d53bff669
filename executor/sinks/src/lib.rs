//! Sinks: batches to files, whole or not at all.
