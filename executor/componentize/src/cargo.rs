//! Runs cargo with nothing of the caller's environment.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::fresh::Held;
use crate::manifest::Sources;
use crate::{BuildError, RUSTFLAGS, TARGET, wrapper};

/// Cargo, ready to build some sources.
pub(crate) struct Cargo<'a> {
    sources: &'a Sources,
    target_dir: &'a Path,
    wrapper: PathBuf,
    remap: String,
    home: PathBuf,
}

/// A module that cargo built.
pub(crate) struct Module {
    pub(crate) package: String,
    pub(crate) package_dir: PathBuf,
    pub(crate) path: PathBuf,
}

impl<'a> Cargo<'a> {
    /// Makes sure that all is there that a build needs.
    pub(crate) fn new(sources: &'a Sources, target_dir: &'a Path) -> Result<Self, BuildError> {
        sources.lock()?;
        let sysroot = PathBuf::from(ask("rustc", &["--print", "sysroot"], sources.dir())?.trim());
        if !sysroot.join("lib/rustlib").join(TARGET).is_dir() {
            return Err(BuildError::NoTarget { target: TARGET });
        }
        std::fs::create_dir_all(target_dir).map_err(BuildError::io(target_dir))?;
        let home = cargo_home();
        let remap = remap(sources, target_dir, &sysroot, &home);
        Ok(Self { sources, target_dir, wrapper: wrapper::compile(target_dir, sources.dir())?, remap, home })
    }

    /// Builds the packages that `select` names, and gives their modules: they stay as they are while the target folder
    /// is held.
    pub(crate) fn build(&self, select: &[&str], log: &mut dyn FnMut(&str)) -> Result<(Vec<Module>, Held), BuildError> {
        let held = Held::new(self.target_dir)?;
        held.refresh(&self.sources.packages, |stale| self.clean(stale))?;
        let mut command = self.command("build");
        command.args(["--lib", "--message-format", "json-render-diagnostics"]).args(select);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| BuildError::NoTool { tool: "cargo", reason: error.to_string() })?;
        Ok((self.watch(child, log)?, held))
    }

    /// Removes what was built of these packages.
    fn clean(&self, packages: &[&str]) -> Result<(), BuildError> {
        let mut command = self.command("clean");
        command.args(packages.iter().flat_map(|package| ["--package", package]));
        let output =
            command.output().map_err(|error| BuildError::NoTool { tool: "cargo", reason: error.to_string() })?;
        match output.status.success() {
            true => Ok(()),
            false => Err(BuildError::Compile {
                dir: self.sources.dir().to_owned(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            }),
        }
    }

    fn command(&self, what: &str) -> Command {
        let mut command = command("cargo", self.sources.dir());
        command.args([what, "--release", "--locked", "--target", TARGET, "--target-dir"]).arg(self.target_dir);
        command.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS).env("CARGO_INCREMENTAL", "0");
        command.env("RUSTC_WRAPPER", &self.wrapper).env("RUSTC_WORKSPACE_WRAPPER", "");
        command.env(wrapper::REMAP, &self.remap).env(wrapper::HOME, &self.home);
        command
    }

    /// Cargo's messages for people come on stderr, those about artifacts on stdout.
    fn watch(&self, mut child: Child, log: &mut dyn FnMut(&str)) -> Result<Vec<Module>, BuildError> {
        let stdout = child.stdout.take();
        let artifacts = std::thread::spawn(move || stdout.map(modules).unwrap_or_default());
        let mut output = String::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                log(&line);
                output.push_str(&line);
                output.push('\n');
            }
        }
        let status = child.wait().map_err(|error| BuildError::NoTool { tool: "cargo", reason: error.to_string() })?;
        match status.success() {
            true => Ok(artifacts.join().unwrap_or_default()),
            false => Err(BuildError::Compile { dir: self.sources.dir().to_owned(), output }),
        }
    }
}

/// The compiler's version and host, in full.
pub(crate) fn toolchain(dir: &Path) -> Result<String, BuildError> {
    ask("rustc", &["-vV"], dir)
}

/// What a tool answers; an error if it fails.
pub(crate) fn ask(tool: &'static str, args: &[&str], dir: &Path) -> Result<String, BuildError> {
    let failed = |reason: String| BuildError::NoTool { tool, reason };
    let output = command(tool, dir).args(args).output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// A tool in this folder, where its toolchain may be named, with what may reach it of the environment.
pub(crate) fn command(tool: &str, dir: &Path) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(dir);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_leak) {
            command.env_remove(name);
        }
    }
    command
}

/// Variables that would change what is built: settings of cargo and rustc, and what cargo tells a build script. Where
/// packages come from stays.
fn is_leak(name: &str) -> bool {
    const KEPT: [&str; 4] = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR"];
    const LEAKS: [&str; 12] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC",
        "RUSTDOC",
        "TARGET",
        "HOST",
        "OUT_DIR",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "SOURCE_DATE_EPOCH",
    ];
    let prefixed = ["CARGO", "RUSTC_", "DEP_"].iter().any(|prefix| name.starts_with(prefix));
    LEAKS.contains(&name) || (prefixed && !KEPT.iter().any(|kept| name.starts_with(kept)))
}

fn cargo_home() -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_default().join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Pairs of a real path and the one that is written in its place, a line each; the later ones are the more special.
fn remap(sources: &Sources, target_dir: &Path, sysroot: &Path, home: &Path) -> String {
    let crates = sources.packages.iter().map(|package| (package.dir.clone(), format!("/src/{}", package.name)));
    let mut pairs: Vec<(PathBuf, String)> = crates.collect();
    pairs.push((sources.workspace.clone(), "/src".to_owned()));
    pairs.push((target_dir.to_owned(), "/target".to_owned()));
    pairs.push((sysroot.to_owned(), "/rust".to_owned()));
    pairs.push((sysroot.join("lib/rustlib/src/rust"), "/rust/std".to_owned()));
    pairs.push((home.to_owned(), "/cargo".to_owned()));
    pairs.sort_by_key(|(from, to)| (from.as_os_str().len(), to.clone()));
    pairs.iter().map(|(from, to)| format!("{}={to}\n", from.display())).collect()
}

/// The part of cargo's messages that matters.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

fn modules(stdout: impl Read) -> Vec<Module> {
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines.filter_map(|line| module(serde_json::from_str(&line).ok()?)).collect()
}

fn module(message: Message) -> Option<Module> {
    let target = message.target?;
    let built = message.reason == "compiler-artifact" && target.crate_types.iter().any(|t| t == "cdylib");
    let path = message.filenames.into_iter().find(|file| file.extension().is_some_and(|e| e == "wasm"))?;
    let package_dir = message.manifest_path?.parent()?.to_owned();
    built.then_some(Module { package: target.name, package_dir, path })
}
