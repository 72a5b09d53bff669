//! The engine: what to run, running it, and remembering the results.
