//! One layer of settings: what one place says, with gaps.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use super::ByteSize;

/// When to colour what people read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ColorChoice {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The flags that are settings.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// Folder of the store [env: FLOWC_STORE] [default: ~/.cache/flowc]
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Number of worker threads [env: FLOWC_JOBS] [default: all cores]
    #[arg(long, short, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Memory for one instance of a stage [env: FLOWC_MEMORY] [default: 512MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<ByteSize>,
    /// Memory for all that runs at once [env: FLOWC_BUDGET] [default: 3/4 of what there is]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) budget: Option<ByteSize>,
    /// Set a pipeline parameter (repeatable) [env: FLOWC_PARAM_name]
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = parse_param)]
    pub(crate) params: Vec<(String, String)>,
    /// Require `flow.lock` to be up to date [env: FLOWC_LOCKED]
    #[arg(long)]
    pub(crate) locked: bool,
    /// Never build `rust` stages; use what has been built [env: FLOWC_NO_BUILD]
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Run no stage in a process that is not isolated in full [env: FLOWC_REQUIRE_ISOLATION]
    #[arg(long)]
    pub(crate) require_isolation: bool,
    /// Run WebAssembly components on the worker described by FILE (repeatable) [env: FLOWC_WORKER]
    #[arg(long = "worker", value_name = "FILE")]
    pub(crate) workers: Vec<PathBuf>,
    /// Run kernels on the adapter with NAME in its name, on a CPU driver (`cpu`) or not at all (`none`) [env: FLOWC_GPU]
    #[arg(long, value_name = "NAME")]
    pub(crate) gpu: Option<String>,
    /// Set from the option that every command has.
    #[arg(skip)]
    pub(crate) color: Option<ColorChoice>,
}

impl SettingsArgs {
    /// What the flags say.
    pub(super) fn layer(&self) -> Layer {
        Layer {
            store: self.store.clone(),
            jobs: self.jobs,
            memory: self.memory,
            budget: self.budget,
            params: self.params.iter().cloned().collect(),
            locked: self.locked.then_some(true),
            no_build: self.no_build.then_some(true),
            require_isolation: self.require_isolation.then_some(true),
            workers: self.workers.clone(),
            gpu: self.gpu.clone(),
            color: self.color,
        }
    }
}

/// What one place says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) store: Option<PathBuf>,
    pub(super) jobs: Option<NonZeroUsize>,
    pub(super) memory: Option<ByteSize>,
    pub(super) budget: Option<ByteSize>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) locked: Option<bool>,
    pub(super) no_build: Option<bool>,
    pub(super) require_isolation: Option<bool>,
    pub(super) workers: Vec<PathBuf>,
    pub(super) gpu: Option<String>,
    pub(super) color: Option<ColorChoice>,
}

impl Layer {
    /// This layer with its gaps filled from a weaker one.
    pub(super) fn over(self, weaker: Layer) -> Layer {
        let mut params = weaker.params;
        params.extend(self.params);
        Layer {
            store: self.store.or(weaker.store),
            jobs: self.jobs.or(weaker.jobs),
            memory: self.memory.or(weaker.memory),
            budget: self.budget.or(weaker.budget),
            params,
            locked: self.locked.or(weaker.locked),
            no_build: self.no_build.or(weaker.no_build),
            require_isolation: self.require_isolation.or(weaker.require_isolation),
            workers: if self.workers.is_empty() { weaker.workers } else { self.workers },
            gpu: self.gpu.or(weaker.gpu),
            color: self.color.or(weaker.color),
        }
    }
}

/// A number of threads as clap reads it.
fn parse_jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "write a whole number, 1 or more".to_owned())
}

/// A number of bytes as clap reads it.
fn parse_size(text: &str) -> Result<ByteSize, String> {
    text.parse()
}

/// `NAME=VALUE` as clap reads it.
fn parse_param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_param_is_split_at_its_first_equals_sign() {
        assert_eq!(parse_param("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parse_param("=x").is_err());
        assert!(parse_param("x").is_err());
    }
}
