//! Any text, planned: run with `cargo fuzz run plan`. The catalogue is the tests' table.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|text: &str| {
    support::planned(text);
});
