//! Runs cargo with nothing of the caller's environment.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::environment::{cargo_home, command, passed};
use crate::fresh::Held;
use crate::manifest::Sources;
use crate::reads::reads;
use crate::source::{Reads, Source};
use crate::{BuildError, RUSTFLAGS, TARGET, wrapper};

/// Cargo, ready to build some sources.
pub(crate) struct Cargo<'a> {
    source: &'a Source,
    sources: &'a Sources,
    target_dir: &'a Path,
    wrapper: PathBuf,
    remap: String,
    home: PathBuf,
    sysroot: PathBuf,
}

/// What cargo says that it made.
#[derive(Default)]
pub(crate) struct Artifacts {
    pub(crate) modules: Vec<Module>,
    /// Files with what build scripts of the author's packages printed.
    scripts: Vec<PathBuf>,
}

/// A module that cargo built.
pub(crate) struct Module {
    pub(crate) package: String,
    pub(crate) package_dir: PathBuf,
    pub(crate) path: PathBuf,
}

impl<'a> Cargo<'a> {
    /// Makes sure that all is there that a build needs.
    pub(crate) fn new(source: &'a Source, target_dir: &'a Path) -> Result<Self, BuildError> {
        let sources = &source.sources;
        let sysroot = PathBuf::from(ask("rustc", &["--print", "sysroot"], sources.dir())?.trim());
        if !sysroot.join("lib/rustlib").join(TARGET).is_dir() {
            return Err(BuildError::NoTarget { target: TARGET });
        }
        std::fs::create_dir_all(target_dir).map_err(BuildError::io(target_dir))?;
        let home = cargo_home();
        let remap = remap(sources, target_dir, &sysroot, &home);
        let wrapper = wrapper::compile(target_dir, sources.dir())?;
        Ok(Self { source, sources, target_dir, wrapper, remap, home, sysroot })
    }

    /// Builds the packages that `select` names, and gives their modules: they stay as they are while the target folder
    /// is held.
    pub(crate) fn build(
        &self,
        held: &Held,
        select: &[&str],
        log: &mut dyn FnMut(&str),
    ) -> Result<Artifacts, BuildError> {
        held.refresh(self.source.packages(), |stale| self.clean(stale))?;
        let mut command = self.command("build");
        command.args(["--lib", "--message-format", "json"]).args(select);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| BuildError::NoTool { tool: "cargo", reason: error.to_string() })?;
        self.watch(child, log)
    }

    /// What the build of a module read beside what is hashed with its packages.
    pub(crate) fn reads(&self, module: &Module, artifacts: &Artifacts) -> Reads {
        let made = [self.target_dir, &self.home, &self.sysroot];
        reads(self.source, &module.path, &artifacts.scripts, &made)
    }

    /// Removes what was built of these packages.
    fn clean(&self, packages: &[&str]) -> Result<(), BuildError> {
        let mut command = self.command("clean");
        command.args(packages.iter().flat_map(|package| ["--package", package]));
        let output =
            command.output().map_err(|error| BuildError::NoTool { tool: "cargo", reason: error.to_string() })?;
        match output.status.success() {
            true => Ok(()),
            false => Err(self.failure("", &String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn command(&self, what: &str) -> Command {
        let mut command = command("cargo", self.sources.dir());
        command.args([what, "--release", "--locked", "--target", TARGET, "--target-dir"]).arg(self.target_dir);
        command.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS).env("CARGO_INCREMENTAL", "0");
        // Else the crate const-random makes other constants in every build; ahash, and so Arrow, has some of it.
        command.env("CONST_RANDOM_SEED", "flowc");
        command.env("RUSTC_WRAPPER", &self.wrapper).env("RUSTC_WORKSPACE_WRAPPER", "");
        command.env(wrapper::REMAP, &self.remap).env(wrapper::HOME, &self.home);
        // The program itself: what rustup puts before it needs variables that the compiler is not to see.
        command.env("RUSTC", self.sysroot.join("bin/rustc")).env(wrapper::PASSED, passed().join("\n"));
        command
    }

    /// Cargo tells what it does on stderr, and what the compiler says and makes on stdout. Warnings are logged once all is
    /// built; errors are in the error alone.
    fn watch(&self, mut child: Child, log: &mut dyn FnMut(&str)) -> Result<Artifacts, BuildError> {
        let stdout = child.stdout.take();
        let said = std::thread::spawn(move || stdout.map(Said::read).unwrap_or_default());
        let mut told = String::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                // Advice to leave out what flowc adds is no use to anyone.
                if !line.contains("--locked") {
                    log(&line);
                }
                told.push_str(&line);
                told.push('\n');
            }
        }
        let status = child.wait().map_err(|error| BuildError::NoTool { tool: "cargo", reason: error.to_string() })?;
        let said = said.join().unwrap_or_default();
        match status.success() {
            true => {
                said.warnings.lines().for_each(&mut *log);
                Ok(said.artifacts)
            }
            false => Err(self.failure(&said.errors, &told)),
        }
    }

    /// Why cargo failed: what the compiler says, or else what cargo itself does.
    fn failure(&self, errors: &str, told: &str) -> BuildError {
        if told.contains("--locked") {
            return BuildError::StaleLock { dir: self.sources.workspace.clone() };
        }
        let dir = self.sources.dir().to_owned();
        BuildError::Compile { dir, output: beginning(if errors.is_empty() { told } else { errors }) }
    }
}

/// Of a compiler's errors, so much is shown.
const SHOWN: usize = 8 << 10;

/// The first lines of a text, and how many more there are.
fn beginning(text: &str) -> String {
    let text = text.trim_end();
    let mut end = 0;
    let lines = text.split_inclusive('\n').take_while(|line| {
        end += line.len();
        end <= SHOWN
    });
    let shown: String = lines.collect();
    match text[shown.len()..].lines().count() {
        0 => shown,
        more => format!("{shown}({more} more lines: `cargo build` in the crate's folder shows them)"),
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

/// What cargo says on stdout.
#[derive(Default)]
struct Said {
    artifacts: Artifacts,
    errors: String,
    warnings: String,
}

impl Said {
    fn read(stdout: impl Read) -> Self {
        let mut said = Self::default();
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).for_each(|message| said.add(message));
        said
    }

    fn add(&mut self, message: Message) {
        match message.message {
            Some(Diagnostic { rendered: Some(text), .. }) if text.starts_with("error: aborting due to") => {}
            Some(Diagnostic { level, rendered: Some(text) }) if level.starts_with("error") => {
                self.errors.push_str(&text)
            }
            Some(Diagnostic { rendered: Some(text), .. }) => self.warnings.push_str(&text),
            _ => {
                self.artifacts.scripts.extend(script(&message));
                self.artifacts.modules.extend(module(message));
            }
        }
    }
}

/// The part of cargo's messages that matters.
#[derive(Deserialize)]
struct Message {
    reason: String,
    message: Option<Diagnostic>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    package_id: Option<String>,
    out_dir: Option<PathBuf>,
}

/// What the compiler says, in words for people.
#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// Where cargo keeps what a build script of a package on this machine printed.
fn script(message: &Message) -> Option<PathBuf> {
    let is_script = message.reason == "build-script-executed";
    let is_local = message.package_id.as_ref().is_some_and(|id| id.starts_with("path+") || id.contains("(path+"));
    Some(message.out_dir.as_ref().filter(|_| is_script && is_local)?.parent()?.join("output"))
}

fn module(message: Message) -> Option<Module> {
    let target = message.target?;
    let built = message.reason == "compiler-artifact" && target.crate_types.iter().any(|t| t == "cdylib");
    let path = message.filenames.into_iter().find(|file| file.extension().is_some_and(|e| e == "wasm"))?;
    let package_dir = message.manifest_path?.parent()?.to_owned();
    built.then_some(Module { package: target.name, package_dir, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_first_lines_are_shown() {
        assert_eq!(beginning("one\ntwo\n"), "one\ntwo");
        let long: String = (0..10_000).map(|i| format!("line {i}\n")).collect();
        let shown = beginning(&long);
        assert!(shown.starts_with("line 0\nline 1\n") && shown.len() < SHOWN + 100);
        assert!(shown.ends_with(" more lines: `cargo build` in the crate's folder shows them)"), "{shown}");
        let line = "x".repeat(1 << 20);
        assert!(beginning(&line).starts_with("(1 more line"));
    }
}
