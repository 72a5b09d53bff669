//! Lints, which take no build of their own: clippy compiles our crates for the tests, and tells what it finds on the way. The code
//! that it makes is the compiler's, and crates of others are compiled once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;
use crate::{process, setup};

/// What has cargo compile the crates of a workspace by clippy.
pub(crate) struct Clippy {
    driver: PathBuf,
}

impl Clippy {
    /// The clippy of the toolchain that compiles the checkout.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        Ok(Self { driver: setup::sysroot(workspace)?.join("bin/clippy-driver") })
    }

    /// Has cargo compile by it. What is compiled so is found again by commands that have it too. Programs that tests start do not
    /// hear of it, as they would of a variable.
    pub(crate) fn compiles(&self, mut cargo: Command) -> Command {
        cargo.arg("--config").arg(format!("build.rustc-workspace-wrapper={:?}", self.driver));
        cargo
    }
}

/// Runs a command of cargo that compiles; fails if it fails, or if anything is told of our crates. What was compiled before is
/// told of again.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    command.args(["--message-format", "json-diagnostic-rendered-ansi"]).stdout(Stdio::piped());
    eprintln!("$ {}", process::said(command));
    let child = command.spawn();
    let mut child = child.with_context(|| format!("`{}` could not be started", process::typed(command)))?;
    let mut told = BTreeSet::new();
    if let Some(printed) = child.stdout.take() {
        for line in BufReader::new(printed).lines() {
            // A crate and its tests share most lines.
            let new = finding(&line?).filter(|finding| !told.contains(finding));
            told.extend(new.inspect(|finding| eprint!("{finding}")));
        }
    }
    let status = child.wait()?;
    match told.len() {
        0 if status.success() => Ok(()),
        0 => bail!("`{}` failed: {status}", process::said(command)),
        count => bail!("{count} warnings or errors"),
    }
}

/// A message of cargo.
#[derive(Deserialize)]
struct Message {
    message: Option<Diagnostic>,
}

/// What the compiler says.
#[derive(Deserialize)]
struct Diagnostic {
    rendered: Option<String>,
    spans: Vec<serde::de::IgnoredAny>,
}

/// What a message finds wrong with a place in our code.
fn finding(line: &str) -> Option<String> {
    let message: Message = serde_json::from_str(line).ok()?;
    message.message.filter(|diagnostic| !diagnostic.spans.is_empty())?.rendered
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSED: &str = r#"{"reason":"compiler-message","message":{"rendered":"warning: unused\n","spans":[{}]}}"#;
    const COUNT: &str = r#"{"reason":"compiler-message","message":{"rendered":"warning: 1 warning\n","spans":[]}}"#;
    const BUILT: &str = r#"{"reason":"build-finished","success":true}"#;

    fn printing(lines: &[&str], status: u8) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "printf '%s\\n' \"$1\"; exit \"$2\"", "sh", &lines.join("\n"), &status.to_string()]);
        command
    }

    #[test]
    fn what_is_told_of_a_place_counts_once() {
        let error = run(&mut printing(&[UNUSED, COUNT, UNUSED, BUILT], 0)).unwrap_err().to_string();
        assert_eq!(error, "1 warnings or errors");
    }

    #[test]
    fn without_findings_the_command_decides() {
        run(&mut printing(&[BUILT], 0)).unwrap();
        let error = run(&mut printing(&[COUNT], 101)).unwrap_err().to_string();
        assert!(error.contains("failed: exit status: 101"), "{error}");
    }
}
