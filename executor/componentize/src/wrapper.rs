//! A wrapper around rustc that makes what it compiles independent of folders.
//!
//! Cargo gives every crate a hash (`-C metadata`) that goes into symbol names, type ids and thereby into the order of
//! functions. For crates that lie outside of the workspace's folder it is a hash of their absolute paths. The wrapper
//! puts another in its place, of the package's name, version, kind and features, and maps away all paths. Variables that cargo
//! and build scripts need are taken away, so that `env!` finds none of them. It is a
//! program of its own since cargo runs it; it is compiled once per target folder.

use std::path::{Path, PathBuf};

use flowc_code::Tools;

use crate::BuildError;
use crate::environment::fetching;
use crate::toolchain::not_run;

/// The variable with pairs of paths to map, a line each.
pub(crate) const REMAP: &str = "FLOWC_REMAP";
/// The variable with cargo's home: crates in there keep their hash, which is of their registry and version.
pub(crate) const HOME: &str = "FLOWC_CARGO_HOME";

/// The variable with the names of variables that the compiler is not to see, a line each.
pub(crate) const PASSED: &str = "FLOWC_PASSED";

const SOURCE: &str = include_str!("wrapper/main.rs");

/// The path of the wrapper, compiled if need be.
pub(crate) fn compile(target_dir: &Path, dir: &Path, tools: Tools<'_>) -> Result<PathBuf, BuildError> {
    let version = &blake3::hash(SOURCE.as_bytes()).to_hex()[..16];
    let program = target_dir.join(format!("rustc-{version}{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    let scratch = tempfile::tempdir_in(target_dir).map_err(BuildError::io(target_dir))?;
    let (source, fresh) = (scratch.path().join("wrapper.rs"), scratch.path().join("wrapper.exe"));
    std::fs::write(&source, SOURCE).map_err(BuildError::io(&source))?;
    let mut rustc = fetching("rustc", dir);
    rustc.args(["--edition", "2024", "-O", "-o"]).arg(&fresh).arg(&source);
    let ran = tools.run(&mut rustc, &mut |_| ()).map_err(not_run("rustc"))?;
    if !ran.status.success() {
        return Err(BuildError::Compile { dir: target_dir.to_owned(), output: ran.stderr });
    }
    std::fs::rename(&fresh, &program).map_err(BuildError::io(&program))?;
    Ok(program)
}
