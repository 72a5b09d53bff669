//! Runs rustc for cargo: see `wrapper.rs` in flowc-componentize.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(rustc) = args.next() else { return ExitCode::FAILURE };
    let mut args: Vec<OsString> = args.collect();
    if is_local() {
        let metadata = metadata(&args);
        for arg in args.iter_mut().filter(|arg| arg.to_str().is_some_and(|arg| arg.starts_with("metadata="))) {
            *arg = OsString::from(&metadata);
        }
    }
    let mut command = Command::new(rustc);
    command.args(&args);
    for pair in std::env::var("FLOWC_REMAP").unwrap_or_default().lines() {
        command.arg("--remap-path-prefix").arg(pair);
    }
    // The linker of this machine, for build scripts, is looked for on the path; no module needs it.
    let is_module = args.iter().any(|arg| arg.to_str().is_some_and(|arg| arg.starts_with("wasm32")));
    let passed = std::env::var("FLOWC_PASSED").unwrap_or_default();
    let hidden = passed.lines().filter(|name| is_module || *name != "PATH");
    hidden.for_each(|name| drop(command.env_remove(name)));
    let own = ["FLOWC_REMAP", "FLOWC_CARGO_HOME", "FLOWC_PASSED", "RUSTC", "RUSTC_WRAPPER"];
    own.iter().for_each(|name| drop(command.env_remove(name)));
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("rustc can't be run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether this is a crate in a folder of the user's.
fn is_local() -> bool {
    let (Some(dir), Some(home)) = (std::env::var_os("CARGO_MANIFEST_DIR"), std::env::var_os("FLOWC_CARGO_HOME")) else {
        return false;
    };
    !Path::new(&dir).starts_with(home)
}

/// What tells this crate from all others in the build, but where it lies.
fn metadata(args: &[OsString]) -> String {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let mut parts = vec![variable("CARGO_PKG_NAME"), variable("CARGO_PKG_VERSION")];
    for pair in args.windows(2) {
        let (option, value) = (pair[0].to_string_lossy(), pair[1].to_string_lossy());
        if ["--crate-name", "--crate-type", "--cfg", "--target"].contains(&option.as_ref()) {
            parts.push(format!("{option} {value}"));
        }
    }
    parts.sort();
    format!("metadata=flowc-{:016x}", fnv(parts.join("\n").as_bytes()))
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
