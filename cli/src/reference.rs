//! The references in `docs/`, made from the code. `FLOWC_BLESS=1` rewrites them; otherwise they are compared.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::args::Args;
use crate::{exit, settings};

#[test]
fn the_reference_of_the_command_line_is_up_to_date() {
    check("cli.md", &command_line());
}

#[test]
fn the_reference_of_settings_is_up_to_date() {
    check("settings.md", &settings_page());
}

fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is out of date: run `FLOWC_BLESS=1 cargo test --release -p flowc reference`"
    );
}

fn command_line() -> String {
    let mut text = String::from("# The command line\n\nMade from the code; a test keeps it so.\n");
    let mut root = Args::command().term_width(100);
    root.build();
    section(&mut text, &mut root, 2);
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for exit in exit::ALL {
        let _ = writeln!(text, "| {} | {} |", exit.number, exit.meaning);
    }
    text.push_str(include_str!("../templates/events.md"));
    text
}

fn section(text: &mut String, command: &mut Command, depth: usize) {
    let name = command.get_bin_name().unwrap_or("flowc").to_owned();
    let help = command.render_long_help().to_string();
    let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let _ = write!(text, "\n{} `{name}`\n\n```text\n{}\n```\n", "#".repeat(depth), help.trim_end());
    for subcommand in command.get_subcommands_mut().filter(|one| one.get_name() != "help") {
        section(text, subcommand, depth + 1);
    }
}

fn settings_page() -> String {
    let mut text = String::from(include_str!("../templates/settings.md"));
    text.push_str("\n| flag | variable | in a file | default | meaning |\n|---|---|---|---|---|\n");
    for row in settings::DOCS {
        let settings::SettingDoc { flag, variable, file, default, meaning } = row;
        let _ = writeln!(text, "| `{flag}` | `{variable}` | `{file}` | {default} | {meaning} |");
    }
    text
}

#[test]
fn every_documented_flag_is_a_flag_of_run() {
    let mut root = Args::command();
    root.build();
    let run = root.find_subcommand("run").unwrap();
    let known: Vec<_> = run.get_arguments().filter_map(|argument| argument.get_long()).collect();
    for row in settings::DOCS {
        assert!(known.contains(&row.flag.trim_start_matches("--")), "{}", row.flag);
    }
}
