//! The content-addressed store: objects, results, and what was learnt about files.
