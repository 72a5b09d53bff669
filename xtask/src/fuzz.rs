//! The fuzz targets, run: a binary with coverage counters mutates bytes, one target after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// `cargo xtask fuzz --help`.
pub(crate) const HELP: &str = "\
Feeds everything that parses what nobody would write: mutated bytes, led by coverage. A finding is written to
target/fuzz/findings; mended, it belongs into fuzz/seeds, where `cargo test` runs it. Needs a C++ compiler.

Usage: cargo xtask fuzz [TARGET..] [--seconds N]

  TARGET       A folder of fuzz/seeds; all of them if none is named
  --seconds N  How long for each target (60)
";

/// What libFuzzer needs of the compiler: counters of edges, and the values that comparisons see.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Coverflow-checks=on";

/// Address space of a target, in KiB: an allocation of what a damaged length states must fail, on any machine.
const MEMORY: &str = "8388608";

/// Runs the targets, each for some time.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let (seconds, named) = options(arguments)?;
    let targets = chosen(&workspace.root.join("fuzz/seeds"), &named)?;
    let binary = build(workspace)?;
    for target in &targets {
        mutate(workspace, &binary, target, seconds)?;
    }
    println!("fuzz: {} targets, {seconds} seconds each, no findings", targets.len());
    Ok(())
}

fn options<'a>(arguments: &[&'a str]) -> Result<(u32, Vec<&'a str>)> {
    let (mut seconds, mut named) = (60, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--seconds" => {
                let number = arguments.next().context("`--seconds` wants a number")?;
                seconds = number.parse().with_context(|| format!("`{number}` is no number of seconds"))?;
            }
            target => named.push(target),
        }
    }
    Ok((seconds, named))
}

/// The targets of these names; all if there are none.
fn chosen(seeds: &Path, named: &[&str]) -> Result<Vec<String>> {
    let entries = fs::read_dir(seeds).with_context(|| format!("{} cannot be listed", seeds.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut all = names.collect::<Result<Vec<String>>>()?;
    all.sort();
    if let Some(unknown) = named.iter().find(|name| !all.iter().any(|target| target == *name)) {
        bail!("`{unknown}` is no target; there are {}", all.join(", "));
    }
    all.retain(|target| named.is_empty() || named.contains(&target.as_str()));
    Ok(all)
}

/// Builds the binary in a target folder of its own. Naming the platform keeps the flags away from build scripts.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--locked", "--package", "flowc-fuzz", "--features", "libfuzzer"]);
    cargo.args(["--target", "host-tuple"]).env("RUSTFLAGS", COVERAGE);
    process::run(cargo.arg("--target-dir").arg(workspace.target.join("fuzz")))?;
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    Ok(workspace.target.join("fuzz").join(host).join("release/fuzz"))
}

fn mutate(workspace: &Workspace, binary: &Path, target: &str, seconds: u32) -> Result<()> {
    let (corpus, findings) =
        (workspace.target.join("fuzz/corpus").join(target), workspace.target.join("fuzz/findings"));
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MEMORY} && exec \"$0\" \"$@\"")]).arg(binary);
    command.arg(corpus).arg(workspace.root.join("fuzz/seeds").join(target)).env("FLOWC_FUZZ", target);
    command.arg(format!("-max_total_time={seconds}")).args(["-timeout=20", "-max_len=65536", "-verbosity=1"]);
    command.arg(format!("-artifact_prefix={}/{target}-", findings.display()));
    process::run(&mut command).with_context(|| format!("`{target}` has a finding in {}", findings.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_seconds_come_in_any_order() {
        assert_eq!(options(&["a", "--seconds", "5", "b"]).unwrap(), (5, vec!["a", "b"]));
        assert!(options(&["--seconds", "x"]).is_err() && options(&["--seconds"]).is_err());
    }

    #[test]
    fn a_target_that_is_not_there_is_named() {
        let seeds = tempfile::tempdir().unwrap();
        fs::create_dir(seeds.path().join("csv")).unwrap();
        assert_eq!(chosen(seeds.path(), &[]).unwrap(), ["csv"]);
        assert!(chosen(seeds.path(), &["cvs"]).unwrap_err().to_string().contains("`cvs` is no target; there are csv"));
    }
}
