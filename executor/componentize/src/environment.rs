//! What of the caller's environment reaches cargo: nothing but what is listed here.

use std::path::{Path, PathBuf};
use std::process::Command;

use flowc_code::{Evidence, FETCHING};

/// Variables that decide which toolchain runs.
const TOOLCHAIN: [&str; 5] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// The variable that says where rustup fetches toolchains from. What is fetched is pinned by digests.
const RUSTUP_SERVER: &str = "RUSTUP_DIST_SERVER";

/// How names of variables begin that say where packages come from. What is fetched is pinned by digests.
const FETCHING_SETS: [&str; 4] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];

/// Whether a variable of the caller's reaches cargo, and so build scripts. The compiler sees none of them.
pub(crate) fn is_passed(name: &str) -> bool {
    TOOLCHAIN.contains(&name)
        || FETCHING.contains(&name)
        || name == RUSTUP_SERVER
        || FETCHING_SETS.iter().any(|set| name.starts_with(set))
}

/// The names of all variables of the caller's that are set and reach cargo.
pub(crate) fn passed() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| is_passed(name)).collect()
}

/// A tool in this folder, where its toolchain may be named.
pub(crate) fn command(tool: impl AsRef<Path>, dir: &Path) -> Command {
    let mut command = Command::new(tool.as_ref());
    command.current_dir(dir).env_clear();
    command.envs(passed().into_iter().filter_map(|name| Some((name.clone(), std::env::var_os(name)?))));
    command
}

/// Cargo's home.
pub(crate) fn cargo_home() -> PathBuf {
    home("CARGO_HOME", ".cargo")
}

fn home(variable: &str, folder: &str) -> PathBuf {
    let own = || std::env::home_dir().unwrap_or_default().join(folder);
    std::env::var_os(variable).map_or_else(own, PathBuf::from)
}

/// Cargo's own settings for a folder.
pub(crate) fn settings(dir: &Path) -> Vec<PathBuf> {
    let names = [".cargo/config.toml", ".cargo/config"];
    let above = dir.ancestors().flat_map(|above| names.map(|name| above.join(name)));
    let own = ["config.toml", "config"].map(|name| cargo_home().join(name));
    let mut settings: Vec<PathBuf> = above.filter(|path| path.is_file()).collect();
    settings.extend(own.into_iter().filter(|path| path.is_file() && !settings.contains(path)).collect::<Vec<_>>());
    settings
}

/// By what a later run sees that the same toolchain would run with the same settings.
pub(crate) fn evidence(dir: &Path) -> Evidence {
    let mut evidence = Evidence::default();
    TOOLCHAIN.iter().for_each(|name| drop(evidence.variable(name)));
    let names = [".cargo/config.toml", ".cargo/config", "rust-toolchain", "rust-toolchain.toml", "Cargo.toml"];
    evidence.look_above(dir, &names);
    ["config.toml", "config"].iter().for_each(|name| evidence.look(cargo_home().join(name)));
    let rustup = home("RUSTUP_HOME", ".rustup");
    ["settings.toml", "toolchains", "update-hashes"].iter().for_each(|name| evidence.look(rustup.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).for_each(|folder| evidence.look(folder));
    evidence
}
