//! The runner for Python stages.
//!
//! A stage is a folder with a `pyproject.toml`, a `uv.lock` and modules ([`Project`]). Its packages are installed by `uv`
//! into an environment that is kept ([`Environments`]). It runs from a snapshot of the folder as it was hashed, in a process in
//! a sandbox, behind the stage protocol ([`PythonRunner`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod built;
mod environment;
mod error;
mod interpreter;
mod kind;
mod launch;
mod lock;
mod project;
mod removal;
mod runner;
mod sdk;
mod seal;
mod uv;

pub use environment::Environments;
pub use error::PythonError;
pub use interpreter::Interpreter;
pub use launch::{Launch, ProcessKey};
pub use project::Project;
pub use runner::{PythonLauncher, PythonRunner};
pub use sdk::modules as sdk_modules;
