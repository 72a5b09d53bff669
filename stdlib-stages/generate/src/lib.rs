//! Makes rows: numbers, choices, words, time stamps.
