//! Other programs: run, and said aloud.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Cargo in a folder: the one that runs this program.
pub fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Build scripts of some crates look at them: these, and all that hang on them, would be compiled again after any cargo
    // that was not started from here.
    std::env::vars_os().filter(|(name, _)| is_of_this_package(&name.to_string_lossy())).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.current_dir(folder);
    command
}

/// Whether cargo tells programs that it runs by this variable which package they are of.
fn is_of_this_package(variable: &str) -> bool {
    ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// The command as it would be typed.
pub fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains(char::is_whitespace) { format!("'{word}'") } else { word.into_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Says the command, runs it, and fails if it fails.
///
/// # Errors
/// If the command can't be started, or fails.
pub fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", said(command));
    let status = command.status().with_context(|| format!("`{}` could not be started", typed(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", said(command));
    }
    Ok(())
}

/// Runs `cargo test`; fails with the reports of the tests that failed, which it printed far above its end.
///
/// # Errors
/// If the command can't be started, or a test fails.
pub fn run_tests(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", said(command));
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("`{}` could not be started", typed(command)))?;
    let mut reports = Reports::default();
    if let Some(printed) = child.stdout.take() {
        for line in BufReader::new(printed).lines() {
            let line = line?;
            println!("{line}");
            reports.read(line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed: {status}\n{}", said(command), reports.lines.join("\n"));
    }
    Ok(())
}

/// What test binaries print between `failures:` and their result.
#[derive(Default)]
struct Reports {
    within: bool,
    lines: Vec<String>,
}

impl Reports {
    fn read(&mut self, line: String) {
        self.within = (self.within || line == "failures:") && !line.starts_with("test result: ");
        if self.within && !line.is_empty() {
            self.lines.push(line);
        }
    }
}

/// What the command prints on standard output; its errors are seen as they come.
///
/// # Errors
/// If the command can't be started or fails, or prints what is not UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let Output { status, stdout, .. } = output.with_context(|| format!("`{}` could not be started", typed(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", said(command));
    }
    String::from_utf8(stdout).with_context(|| format!("`{}` printed what is no text", typed(command)))
}

/// Whether the command runs and succeeds; what it prints is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The command as typed, with the program's name instead of its path.
pub(crate) fn said(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match typed(command).split_once(' ') {
        Some((_, arguments)) => format!("{program} {arguments}"),
        None => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_said_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/ls");
        command.args(["-l", "a b", ""]);
        assert_eq!(typed(&command), "/usr/bin/ls -l 'a b' ''");
        assert_eq!(said(&command), "ls -l 'a b' ''");
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = output(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'"), "{error}");
    }

    #[test]
    fn the_reports_of_failed_tests_are_in_the_error_and_nothing_else_is() {
        let printed = "test a ... ok\n\nfailures:\n\n---- b stdout ----\nboom\n\nfailures:\n    b\n\ntest result: FAILED. 1\nlater";
        let error = run_tests(Command::new("sh").args(["-c", &format!("echo '{printed}'; exit 101")])).unwrap_err();
        let error = error.to_string();
        assert!(error.ends_with("\nfailures:\n---- b stdout ----\nboom\nfailures:\n    b"), "{error}");
    }
}
