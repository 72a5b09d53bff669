//! Writes the table that embeds the components of the standard stages: see `tests/components.rs` for how they are made.
#![allow(clippy::unwrap_used, reason = "a build script that fails stops the build, with this text")]

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=components");
    // As it is now: one target folder may serve several checkouts.
    let bundle = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let entries = std::fs::read_dir(bundle.join("components"))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>, std::io::Error>>()?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let (name, version) = stem.split_once('@').ok_or("a component is named NAME@VERSION.wasm")?;
        let version: u32 = version.parse()?;
        let digest = blake3::hash(&std::fs::read(file)?).to_hex();
        writeln!(
            table,
            "StdStage {{ name: {name:?}, version: {version}, component: include_bytes!({file:?}), digest_hex: \"{digest}\" }},"
        )?;
    }
    table.push(']');
    Ok(std::fs::write(out.join("stages.rs"), table)?)
}
