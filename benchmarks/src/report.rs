//! Sections, kept between runs, and the page made from them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use xtask::process;
use xtask::workspace::Workspace;

/// What one benchmark found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Section {
    /// Its heading.
    pub(super) title: String,
    /// What was measured and how, in Markdown.
    pub(super) text: String,
    /// The table's head.
    pub(super) head: Vec<String>,
    /// The table's rows.
    pub(super) rows: Vec<Vec<String>>,
    /// Each target with what was found.
    pub(super) findings: Vec<Finding>,
}

/// A target and what was found; or a figure that has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    /// What is wanted, or what was looked at.
    pub(super) target: String,
    /// What was measured.
    pub(super) found: String,
    /// Whether that is good enough, where something is wanted.
    pub(super) met: Option<bool>,
}

impl Finding {
    /// A measured number that is to be at most a limit.
    pub(super) fn at_most(target: impl Into<String>, found: f64, limit: f64, unit: &str) -> Self {
        Self { target: target.into(), found: format!("{found:.2}{unit}"), met: Some(found <= limit) }
    }

    /// A measured number that is to be at least a limit.
    pub(super) fn at_least(target: impl Into<String>, found: f64, limit: f64, unit: &str) -> Self {
        Self { target: target.into(), found: format!("{found:.2}{unit}"), met: Some(found >= limit) }
    }

    /// A figure for those who ask, without a target.
    pub(super) fn figure(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { target: what.into(), found: found.into(), met: None }
    }
}

/// Words of a head or a row.
pub(super) fn row<const N: usize>(cells: [impl Into<String>; N]) -> Vec<String> {
    cells.into_iter().map(Into::into).collect()
}

/// Seconds as milliseconds.
pub(super) fn ms(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// Keeps a section, in place of the same benchmark's last one.
pub(super) fn keep(workspace: &Workspace, name: &str, section: Section) -> Result<()> {
    print!("{}", section_text(name, &section));
    let mut sections = kept(workspace);
    sections.insert(name.to_owned(), Kept { machine: machine(workspace), section });
    let path = file(workspace);
    fs::write(&path, serde_json::to_vec_pretty(&sections)?).with_context(|| path.display().to_string())
}

/// Writes the page from all sections that are kept.
pub(super) fn write(workspace: &Workspace, names: &[&str]) -> Result<()> {
    let sections = kept(workspace);
    let mut text = String::from(
        "# Benchmarks\n\nMade by `cargo xtask bench`. Each figure is a ratio against a named peer or limit, measured by \
         turns in one run; times are medians. `cargo xtask bench NAME` repeats one of them.\n",
    );
    let mut machine = String::new();
    for name in names {
        let Some(kept) = sections.get(*name) else { continue };
        if kept.machine != machine {
            machine.clone_from(&kept.machine);
            write!(text, "\nMachine: {machine}\n")?;
        }
        text.push_str(&section_text(name, &kept.section));
    }
    let path = workspace.root.join("docs/benchmarks.md");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Kept {
    machine: String,
    section: Section,
}

fn file(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/bench/sections.json")
}

/// What earlier runs left; nothing if that can't be read.
fn kept(workspace: &Workspace) -> BTreeMap<String, Kept> {
    fs::read(file(workspace)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// A table in Markdown.
pub(super) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let ruler = vec!["---".to_owned(); head.len()];
    let rows = rows.iter().map(|row| line(row));
    [line(head), line(&ruler)].into_iter().chain(rows).collect()
}

fn section_text(name: &str, section: &Section) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n", section.title, section.text);
    text.push_str(&table(&section.head, &section.rows));
    text.push('\n');
    for Finding { target, found, met } in &section.findings {
        let verdict = match met {
            Some(true) => ", met",
            Some(false) => ", **missed**",
            None => "",
        };
        text.push_str(&format!("- {target}: {found}{verdict}\n"));
    }
    text + &format!("\nRepeat: `cargo xtask bench {name}`\n")
}

/// Processor, memory and system, in words.
fn machine(workspace: &Workspace) -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_else(|| "unknown".to_owned())
    };
    let memory = first("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0) / (1 << 20);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc =
        process::output(Command::new("rustc").arg("--version").current_dir(&workspace.root)).unwrap_or_default();
    let rustc = rustc.split(' ').take(2).collect::<Vec<_>>().join(" ");
    format!("{}, {cores} cores, {memory} GiB, Linux {}, {rustc}.", first("/proc/cpuinfo", "model name"), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_says_target_figure_and_how_to_repeat_it() {
        let section = Section {
            title: "Things".to_owned(),
            text: "How.".to_owned(),
            head: row(["a", "b"]),
            rows: vec![row(["1", "2"])],
            findings: vec![
                Finding::at_most("at most 2x", 2.5, 2.0, "x"),
                Finding::at_least("at least 1x", 1.5, 1.0, "x"),
                Finding::figure("a figure", "7"),
            ],
        };
        let text = section_text("things", &section);
        assert_eq!(
            text,
            "\n## Things\n\nHow.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n- at most 2x: 2.50x, **missed**\n- at least \
             1x: 1.50x, met\n- a figure: 7\n\nRepeat: `cargo xtask bench things`\n"
        );
    }
}
