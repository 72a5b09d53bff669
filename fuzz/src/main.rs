//! The binary that libFuzzer drives: mutates bytes for the target that `FLOWC_FUZZ` names.

#![no_main]

use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock, PoisonError};

use flowc_fuzz::{TARGETS, Target, target};

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

/// What the last panic said. Readers catch panics of decoders that they do not trust, and nobody wants to read those.
static LAST: Mutex<String> = Mutex::new(String::new());

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|panic| *LAST.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string())),
    |bytes: &[u8]| {
        let run = CHOSEN.get_or_init(chosen).run;
        if catch_unwind(|| run(bytes)).is_err() {
            eprintln!("{}", LAST.lock().unwrap_or_else(PoisonError::into_inner));
            std::process::abort();
        }
    }
);

fn chosen() -> &'static Target {
    let name = std::env::var("FLOWC_FUZZ").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("FLOWC_FUZZ names a target: {}", names.join(", "));
        std::process::exit(2)
    })
}
