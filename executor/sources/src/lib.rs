//! Sources: files to segments of batches.
