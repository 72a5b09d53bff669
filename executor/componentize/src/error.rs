//! Why a crate does not become a component.

use std::path::{Path, PathBuf};

/// Why a crate does not become a component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no crate.
    #[error("{} has no Cargo.toml: a `rust` stage is a folder with a crate", .dir.display())]
    NotACrate {
        /// The folder.
        dir: PathBuf,
    },
    /// A manifest that can't be read.
    #[error("{}: {reason}", .manifest.display())]
    Manifest {
        /// The Cargo.toml.
        manifest: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Versions are not pinned.
    #[error("{} has no Cargo.lock, so its dependencies are not pinned: run `cargo generate-lockfile` there", .dir.display())]
    NoLock {
        /// The crate's workspace.
        dir: PathBuf,
    },
    /// The lock file is not that of the manifests.
    #[error(
        "{}/Cargo.lock does not fit Cargo.toml any more: run `cargo update --workspace` there, which adds what is missing \
         and leaves all other versions as they are",
        .dir.display()
    )]
    StaleLock {
        /// The crate's workspace.
        dir: PathBuf,
    },
    /// The crate makes no module.
    #[error("{} makes no module: add `crate-type = [\"cdylib\"]` under `[lib]`", .manifest.display())]
    NoCdylib {
        /// The Cargo.toml.
        manifest: PathBuf,
    },
    /// A tool is missing or does not start.
    #[error("`{tool}` can't be run ({reason}): `rust` stages need a Rust toolchain, see https://rustup.rs")]
    NoTool {
        /// Its name.
        tool: &'static str,
        /// What happened.
        reason: String,
    },
    /// No tool can be run here.
    #[error(transparent)]
    NoTools(flowc_code::ToolError),
    /// The toolchain can't make modules.
    #[error("the Rust toolchain lacks the target {target}: run `rustup target add {target}`")]
    NoTarget {
        /// Its name.
        target: &'static str,
    },
    /// Cargo or the compiler failed.
    #[error("{} does not build:\n{output}", .dir.display())]
    Compile {
        /// The crate.
        dir: PathBuf,
        /// What they said.
        output: String,
    },
    /// The module does not fit the contract of stages.
    #[error("the module is no component ({reason}): does the crate have a `flowc_sdk::export!(..)`?")]
    NotAComponent {
        /// What is wrong with it.
        reason: String,
    },
    /// The run was stopped.
    #[error("stopped")]
    Stopped,
    /// What is built does not stay as it is.
    #[error("{} changes while the crate is built; save everything and run again. If a build script writes it, have it write to OUT_DIR", .path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// Code can't be read.
    #[error(transparent)]
    Code(#[from] flowc_code::CodeError),
    /// A file can't be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl BuildError {
    /// An error with a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Whether it is the machine that lacks or refuses something.
    pub fn is_of_machine(&self) -> bool {
        matches!(self, Self::NoTool { .. } | Self::NoTools(_) | Self::NoTarget { .. } | Self::Io { .. })
    }
}
