//! Builds the standard stages as components and writes the table that embeds them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a build script that fails stops the build, with this text"
)]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The version of every standard stage.
const VERSION: u32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    // As it is now: one target folder may serve several checkouts.
    let bundle = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let stages = bundle.parent().ok_or("no folder above the bundle")?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    watch(stages)?;
    let mut components = flowc_componentize::build_workspace(stages, &shared(&out), &mut |_| ())?;
    components.sort();
    let mut table = String::from("&[\n");
    for (package, component) in &components {
        let name = package.strip_prefix("stage_").ok_or("a standard stage's package is named stage-*")?;
        let file = out.join(format!("{name}.wasm"));
        std::fs::write(&file, component)?;
        let digest = blake3::hash(component).to_hex();
        writeln!(
            table,
            "StdStage {{ name: {name:?}, version: {VERSION}, component: include_bytes!({file:?}), digest_hex: \"{digest}\" }},"
        )?;
    }
    table.push(']');
    Ok(std::fs::write(out.join("stages.rs"), table)?)
}

/// A target folder beside `build/`: kept, and shared by all variants of this build script.
fn shared(out: &Path) -> PathBuf {
    out.ancestors().nth(3).unwrap_or(out).join("stages")
}

/// Rebuilds when a source changes: of the stages, of the SDK, of the contract.
fn watch(stages: &Path) -> Result<(), Box<dyn Error>> {
    for path in flowc_componentize::sources(stages)? {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    Ok(())
}
