//! What of the caller's environment reaches cargo. Where packages are fetched, no code of theirs runs; where they are built, nothing
//! of the caller's reaches them but what is part of [`crate::Source::digest`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowc_code::{Evidence, FETCHING};

/// Variables that decide which toolchain runs.
const TOOLCHAIN: [&str; 5] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// The variable that says where rustup fetches toolchains from. What is fetched is pinned by digests.
const RUSTUP_SERVER: &str = "RUSTUP_DIST_SERVER";

/// How names of variables begin that say where packages come from. What is fetched is pinned by digests.
const FETCHING_SETS: [&str; 4] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];

/// How names of variables begin that say things of one registry.
const REGISTRIES: &str = "CARGO_REGISTRIES_";

/// Where programs of the system lie. Folders of the caller's own `PATH` differ from shell to shell.
const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables of the caller's that `is_wanted`.
fn variables(is_wanted: fn(&str) -> bool) -> BTreeMap<String, OsString> {
    let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    named.filter(|(name, _)| is_wanted(name)).collect()
}

fn is_for_fetching(name: &str) -> bool {
    TOOLCHAIN.contains(&name)
        || FETCHING.contains(&name)
        || name == RUSTUP_SERVER
        || FETCHING_SETS.iter().any(|set| name.starts_with(set))
}

/// Whether a variable says which registry a package is of, which cargo asks also for packages that are on this machine.
fn names_a_registry(name: &str) -> bool {
    let of_a_registry = name.strip_prefix(REGISTRIES);
    of_a_registry.is_some_and(|name| name.ends_with("_INDEX") || name.ends_with("_PROTOCOL"))
}

/// A tool that picks a toolchain or fetches packages, in this folder, where its toolchain may be named.
pub(crate) fn fetching(tool: impl AsRef<Path>, dir: &Path) -> Command {
    let mut command = Command::new(tool.as_ref());
    command.current_dir(dir).env_clear().envs(variables(is_for_fetching));
    command
}

/// All variables that reach build scripts and come from elsewhere than cargo and the folder in which it builds.
pub(crate) fn building(sysroot: &Path) -> BTreeMap<String, OsString> {
    let mut path = sysroot.join("bin").into_os_string();
    path.push(":");
    path.push(SYSTEM);
    let own = [("PATH", path), ("CARGO_HOME", cargo_home().into_os_string())];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    variables(names_a_registry).into_iter().chain(own).collect()
}

/// The cargo of a toolchain; where it has none, the first one on the caller's path.
pub(crate) fn cargo(sysroot: &Path) -> PathBuf {
    let own = sysroot.join("bin/cargo");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut elsewhere = std::env::split_paths(&path).map(|folder| folder.join("cargo"));
    if own.is_file() { own } else { elsewhere.find(|cargo| cargo.is_file()).unwrap_or(own) }
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
    evidence.variables_beginning(REGISTRIES);
    variables(names_a_registry).keys().for_each(|name| drop(evidence.variable(name)));
    let names = [".cargo/config.toml", ".cargo/config", "rust-toolchain", "rust-toolchain.toml", "Cargo.toml"];
    evidence.look_above(dir, &names);
    ["config.toml", "config"].iter().for_each(|name| evidence.look(cargo_home().join(name)));
    let rustup = home("RUSTUP_HOME", ".rustup");
    ["settings.toml", "toolchains", "update-hashes"].iter().for_each(|name| evidence.look(rustup.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).for_each(|folder| evidence.look(folder));
    evidence
}
