//! Builds a Rust stage crate into a WASM component, the same bytes from any folder.
//!
//! [`Source`] says whether a crate has changed, [`build`] compiles it and [`encode`]s the module as a component.
//! Nothing of the machine enters the bytes: paths are mapped away, cargo's hashes of folders are replaced (see
//! [`wrapper`]), the lock file must be there, and the caller's environment does not reach the compiler (see [`environment`]).
//!
//! A crate is built where it lies, since only the build tells which files it reads. What it read beside the packages' folders
//! ([`Reads`]) is remembered, and belongs to the crate from then on.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cargo;
mod environment;
mod error;
mod fresh;
mod manifest;
mod reads;
mod source;
mod toolchain;
mod wrapper;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flowc_code::{Digests, PipelineFiles, Reader, Tools};
use flowc_platform::FileStamp;

pub use error::BuildError;
pub use source::{Known, Reads, Source};

use cargo::Cargo;
use fresh::Held;
use manifest::Sources;
use source::changed_since;

/// What the compiler is told beside the crate's own profile. Part of [`Source::digest`].
const RUSTFLAGS: &str = "-Ctarget-feature=+simd128";
const TARGET: &str = "wasm32-unknown-unknown";

/// How often a crate is built that changes meanwhile.
const TRIES: usize = 5;

/// A component that was built, and what it was built from.
pub struct Built {
    /// The component.
    pub component: Vec<u8>,
    /// The crate as it was built.
    pub source: Source,
    /// What the build read besides.
    pub reads: Reads,
    /// The crate with what the build read.
    pub known: Known,
}

/// Builds the crate in `dir` and gives its component. Compiled dependencies stay in `target_dir`. What cargo says goes
/// to `log`, line by line. The sources are read before the build, and nothing that the build read has changed since: else the
/// crate is built again. Files are told by their paths from `base`.
///
/// # Errors
/// If the crate, its lock file or the toolchain lacks something, if it does not compile, if it is no component, or if its files
/// change all the time.
pub fn build(
    dir: &Path,
    base: &Path,
    target_dir: &Path,
    tools: Tools<'_>,
    reader: &Reader<'_>,
    log: &mut dyn FnMut(&str),
) -> Result<Built, BuildError> {
    Sources::find(dir)?.expect_cdylib()?;
    std::fs::create_dir_all(target_dir).map_err(BuildError::io(target_dir))?;
    let held = Held::new(target_dir)?;
    let mut changed = None;
    for _ in 0..TRIES {
        // What was written just before can be written again without a trace: not after a moment.
        std::thread::sleep(FileStamp::TICK);
        let began = SystemTime::now();
        let source = Source::find(dir, tools, reader)?;
        let cargo = Cargo::new(&source, target_dir, tools)?;
        let built = cargo.build(&held, &["--package", source.sources.name()], reader, log);
        changed = changed_since(&source.files, began).cloned();
        // What the compiler complains of may be there no more.
        if matches!(built, Err(BuildError::Compile { .. })) && changed.is_some() {
            continue;
        }
        let modules = built?;
        let module = modules.iter().find(|module| module.package_dir == source.sources.dir());
        let manifest = || source.sources.dir().join("Cargo.toml");
        let module = module.ok_or_else(|| BuildError::NoCdylib { manifest: manifest() })?;
        let reads = cargo.reads(module);
        let component = encode_file(&module.path)?;
        let known = source.with(&reads, base, reader)?;
        match changed_since(&known.files, began) {
            None => {
                held.note(source.packages(), source.sources.dir(), &known.reads)?;
                return Ok(Built { component, source, reads, known });
            }
            Some(path) => changed = Some(path.clone()),
        }
    }
    Err(BuildError::Changing { path: changed.unwrap_or_else(|| dir.to_owned()) })
}

/// Builds the crate in `dir` as [`build`] does, and gives the component alone.
///
/// # Errors
/// As for [`build`].
pub fn component(dir: &Path, target_dir: &Path) -> Result<Vec<u8>, BuildError> {
    let files = PipelineFiles::default();
    let reader = Reader::new(&files, None, Digests::default());
    Ok(build(dir, dir, target_dir, Tools::direct(), &reader, &mut |_| ())?.component)
}

/// Files and folders that the crates in `dir` are read from.
///
/// # Errors
/// If one of them can't be read, there is no `Cargo.lock`, or no toolchain.
pub fn sources(dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let files = PipelineFiles::default();
    let source = Source::find(dir, Tools::direct(), &Reader::new(&files, None, Digests::default()))?;
    Ok(source.paths().cloned().collect())
}

/// Builds all crates of the workspace in `dir` that are stages; gives their package names with their components.
///
/// # Errors
/// As for [`build`].
pub fn build_workspace(
    dir: &Path,
    target_dir: &Path,
    log: &mut dyn FnMut(&str),
) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    std::fs::create_dir_all(target_dir).map_err(BuildError::io(target_dir))?;
    let held = Held::new(target_dir)?;
    let files = PipelineFiles::default();
    let reader = Reader::new(&files, None, Digests::default());
    let source = Source::find(dir, Tools::direct(), &reader)?;
    let modules = Cargo::new(&source, target_dir, Tools::direct())?.build(&held, &["--workspace"], &reader, log)?;
    held.note(source.packages(), source.sources.dir(), &Default::default())?;
    let component = |module: cargo::Module| Ok((module.package, encode_file(&module.path)?));
    modules.into_iter().map(component).collect()
}

/// Makes a core module with embedded interface descriptions, as wit-bindgen leaves it, a component.
///
/// # Errors
/// If it is none: [`BuildError::NotAComponent`].
pub fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encode = || wit_component::ComponentEncoder::default().validate(true).module(module)?.encode();
    encode().map_err(|error| BuildError::NotAComponent { reason: format!("{error:#}") })
}

fn encode_file(path: &Path) -> Result<Vec<u8>, BuildError> {
    encode(&std::fs::read(path).map_err(BuildError::io(path))?)
}
