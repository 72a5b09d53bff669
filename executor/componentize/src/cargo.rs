//! Runs cargo: with what is on this machine and nothing of the caller's environment where packages are built, and with the
//! network where they are fetched.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowc_code::{Ran, Reader, Tools};
use serde::Deserialize;

use crate::environment::{cargo, cargo_home, fetching};
use crate::fresh::Held;
use crate::manifest::Sources;
use crate::reads::reads;
use crate::source::{Reads, Source, digest_besides};
use crate::toolchain::{Toolchain, not_run};
use crate::{BuildError, RUSTFLAGS, TARGET, wrapper};

/// Cargo, ready to build some sources.
pub(crate) struct Cargo<'a> {
    source: &'a Source,
    sources: &'a Sources,
    target_dir: &'a Path,
    tools: Tools<'a>,
    wrapper: PathBuf,
    remap: String,
    home: PathBuf,
}

/// Folders in the target folder, empty when a build begins, by the variables that name them.
const OWN: [(&str, &str); 2] = [("HOME", "flowc-home"), ("TMPDIR", "flowc-tmp")];

/// A module that cargo built.
pub(crate) struct Module {
    pub(crate) package: String,
    pub(crate) package_dir: PathBuf,
    pub(crate) path: PathBuf,
}

impl<'a> Cargo<'a> {
    /// Makes sure that all is there that a build needs.
    pub(crate) fn new(source: &'a Source, target_dir: &'a Path, tools: Tools<'a>) -> Result<Self, BuildError> {
        let sources = &source.sources;
        let sysroot = &source.toolchain.sysroot;
        if !sysroot.join("lib/rustlib").join(TARGET).is_dir() {
            return Err(BuildError::NoTarget { target: TARGET });
        }
        OWN.iter().try_for_each(|(_, name)| empty(&target_dir.join(name)))?;
        let home = cargo_home();
        let remap = remap(sources, target_dir, sysroot, &home);
        let wrapper = wrapper::compile(target_dir, sources.dir(), tools)?;
        Ok(Self { source, sources, target_dir, tools, wrapper, remap, home })
    }

    /// Builds the packages that `select` names, and gives their modules: they stay as they are while the target folder
    /// is held.
    pub(crate) fn build(
        &self,
        held: &Held,
        select: &[&str],
        reader: &Reader<'_>,
        log: &mut dyn FnMut(&str),
    ) -> Result<Vec<Module>, BuildError> {
        let read = |path: &Path| digest_besides(path, reader);
        held.refresh(self.source.packages(), self.sources.dir(), read, |stale| self.clean(stale, log))?;
        let mut command = self.command("build");
        command.args(["--lib", "--message-format", "json"]).args(select);
        let ran = self.run(&mut command, log)?;
        self.outcome(&ran, log)
    }

    /// What the build of a module read beside what is hashed with its packages.
    pub(crate) fn reads(&self, module: &Module) -> Reads {
        let made = [self.target_dir, &self.home, &self.source.toolchain.sysroot];
        reads(self.source, &module.path, &made)
    }

    /// Removes what was built of these packages.
    fn clean(&self, packages: &[&str], log: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
        let mut command = self.command("clean");
        command.arg("--quiet").args(packages.iter().flat_map(|package| ["--package", package]));
        let ran = self.run(&mut command, log)?;
        match ran.status.success() {
            true => Ok(()),
            false => Err(self.failure("", &ran.stderr)),
        }
    }

    /// Runs cargo with the packages that are on this machine. If some are not, they are fetched, and it is run again. What keeps
    /// them from being fetched is told only if the second run lacks them too.
    fn run(&self, command: &mut Command, log: &mut dyn FnMut(&str)) -> Result<Ran, BuildError> {
        let ran = self.start(command, log)?;
        if !lacks_packages(&ran) {
            return Ok(ran);
        }
        let fetched = self.start(&mut self.fetch(), log)?;
        let ran = self.start(command, log)?;
        Ok(if lacks_packages(&ran) && !fetched.status.success() { fetched } else { ran })
    }

    /// Runs cargo, and logs what it does. What it fails for is told once, in the error.
    fn start(&self, command: &mut Command, log: &mut dyn FnMut(&str)) -> Result<Ran, BuildError> {
        let mut fails = false;
        let mut told = |line: &str| {
            fails |= line.starts_with("error");
            if !fails {
                log(line);
            }
        };
        self.tools.run(command, &mut told).map_err(not_run("cargo"))
    }

    fn fetch(&self) -> Command {
        let Toolchain { sysroot, version } = &self.source.toolchain;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let mut command = fetching(cargo(sysroot), self.sources.dir());
        command.args(["fetch", "--locked", "--target", TARGET]);
        command.args(host.into_iter().flat_map(|host| ["--target", host]));
        command.env("CARGO_TARGET_DIR", self.target_dir);
        command.env("RUSTC", sysroot.join("bin/rustc")).env("RUSTC_WRAPPER", "");
        command
    }

    fn command(&self, what: &str) -> Command {
        let Toolchain { sysroot, .. } = &self.source.toolchain;
        let mut command = Command::new(cargo(sysroot));
        command.current_dir(self.sources.dir()).env_clear();
        command.args([what, "--release", "--locked", "--offline", "--target", TARGET]);
        command.arg("--target-dir").arg(self.target_dir);
        command.envs(&self.source.variables).envs(OWN.map(|(name, folder)| (name, self.target_dir.join(folder))));
        let hidden: Vec<&str> =
            self.source.variables.keys().map(String::as_str).chain(OWN.map(|(name, _)| name)).collect();
        command.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS).env("CARGO_INCREMENTAL", "0");
        // Else the crate const-random makes other constants in every build; ahash, and so Arrow, has some of it.
        command.env("CONST_RANDOM_SEED", "flowc");
        command.env("RUSTC_WRAPPER", &self.wrapper).env("RUSTC_WORKSPACE_WRAPPER", "");
        command.env(wrapper::REMAP, &self.remap).env(wrapper::HOME, &self.home);
        // The program itself: what rustup puts before it needs variables that builds are not to see.
        command.env("RUSTC", sysroot.join("bin/rustc")).env(wrapper::PASSED, hidden.join("\n"));
        command
    }

    /// Cargo tells what it does on stderr, and what the compiler says and makes on stdout. Warnings are logged once all is
    /// built; errors are in the error alone.
    fn outcome(&self, ran: &Ran, log: &mut dyn FnMut(&str)) -> Result<Vec<Module>, BuildError> {
        let said = Said::read(&ran.stdout);
        match ran.status.success() {
            true => {
                said.warnings.lines().for_each(&mut *log);
                Ok(said.modules)
            }
            false => Err(self.failure(&said.errors, &ran.stderr)),
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

/// Whether cargo failed since a package is not on this machine.
fn lacks_packages(ran: &Ran) -> bool {
    !ran.status.success() && ran.stderr.contains("--offline") && !ran.stderr.contains("--locked")
}

/// Makes an empty folder.
fn empty(folder: &Path) -> Result<(), BuildError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BuildError::io(folder)(error)),
        _ => std::fs::create_dir_all(folder).map_err(BuildError::io(folder)),
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
    modules: Vec<Module>,
    errors: String,
    warnings: String,
}

impl Said {
    fn read(stdout: &[u8]) -> Self {
        let mut said = Self::default();
        let lines = stdout.lines().map_while(Result::ok);
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
            _ => self.modules.extend(module(message)),
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
