//! The references in `docs/`, made from the code. `FLOWC_BLESS=1` rewrites them; otherwise they are compared.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use flowc_executor::{ErrorClass, ErrorReport, Event, Largest, Other, RowsReport, RunReport, TimedBy};
use flowc_planner::key::PlanHash;

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

/// One event of each kind with all that it may hold. A kind that is added must be listed: the match has no default.
fn events() -> Vec<Event> {
    fn is_listed(event: &Event) {
        match event {
            Event::Pinned { .. }
            | Event::RunStarted { .. }
            | Event::BuildStarted { .. }
            | Event::BuildFinished { .. }
            | Event::BuildLog { .. }
            | Event::CompileStarted { .. }
            | Event::FileRead { .. }
            | Event::BadRows { .. }
            | Event::LateRows { .. }
            | Event::IgnoredMembers { .. }
            | Event::WorkPlanned { .. }
            | Event::TaskStarted { .. }
            | Event::TaskFailed { .. }
            | Event::DeviceUsed { .. }
            | Event::SegmentRan { .. }
            | Event::SegmentUnchanged { .. }
            | Event::StageLog { .. }
            | Event::StageVerified { .. }
            | Event::StageCompared { .. }
            | Event::StageFailed { .. }
            | Event::SinkWritten { .. }
            | Event::SinkAppended { .. }
            | Event::Warning { .. }
            | Event::Error(_)
            | Event::RunFinished(_) => {}
        }
    }
    let text = || "a".to_owned();
    let plan = PlanHash::new([0; 32]);
    let error = ErrorReport {
        help: Some(text()),
        causes: vec![text()],
        file: Some(text()),
        line: Some(1),
        column: Some(1),
        source: Some(text()),
        stage: Some(text()),
        segment: Some(0),
        rows: Some(RowsReport { input: text(), first: 1, last: 1 }),
        secret: Some(text()),
        sink: Some(text()),
        ..ErrorReport::new("flowc::stage", ErrorClass::Run, text())
    };
    let all = vec![
        Event::Pinned { lock: text(), pins: vec![] },
        Event::RunStarted { plan, pipeline: text() },
        Event::BuildStarted { code: text() },
        Event::BuildFinished { code: text(), seconds: 0.0 },
        Event::BuildLog { code: text(), message: text() },
        Event::CompileStarted { code: text() },
        Event::FileRead { source: text(), file: text(), bytes: 0 },
        Event::BadRows { source: text(), file: text(), rows: 0 },
        Event::LateRows { stage: text(), input: text(), rows: 0, stream: text() },
        Event::IgnoredMembers { source: text(), file: text(), members: vec![], help: text() },
        Event::WorkPlanned { tasks: 0, stages: vec![] },
        Event::TaskStarted { stages: vec![], segment: 0 },
        Event::TaskFailed { stages: vec![], segment: 0 },
        Event::DeviceUsed {
            stage: text(),
            segment: 0,
            device: text(),
            nanoseconds: 0,
            timed_by: TimedBy::Device,
            bytes_up: 0,
            bytes_down: 0,
        },
        Event::SegmentRan { stages: vec![], segment: 0, rows: 0, seconds: 0.0 },
        Event::SegmentUnchanged { stage: text(), segment: 0 },
        Event::StageLog { stage: text(), level: text(), message: text() },
        Event::StageVerified { stage: text(), segments: 0 },
        Event::StageCompared {
            stage: text(),
            other: Other::Device(text()),
            column: Some(text()),
            rows: 0,
            differing: 0,
            largest: Some(Largest { difference: 0.0, segment: 0, row: 0 }),
            unaligned: 0,
        },
        Event::StageFailed { stage: text(), message: text() },
        Event::SinkWritten { sink: text(), files: 0, files_in_all: 0, rows: 0 },
        Event::SinkAppended { sink: text(), records: 0, rows: 0 },
        Event::Warning { message: text() },
        Event::Error(Box::new(error)),
        Event::RunFinished(RunReport { plan, stages: vec![], outputs: vec![], streams: vec![], asserts: vec![] }),
    ];
    all.iter().for_each(is_listed);
    all
}

/// The words in backquotes at the top level of a cell: what is told of a field stands in brackets or after a colon.
fn fields(cell: &str) -> Vec<String> {
    let mut depth = 0;
    let mut plain = String::new();
    for letter in cell.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let quoted = plain.split('`').skip(1).step_by(2);
    let mut fields: Vec<String> = quoted.map(str::to_owned).collect();
    fields.sort();
    fields
}

#[test]
fn every_event_is_in_the_reference_with_its_fields() {
    let (page, _) = include_str!("../templates/events.md").split_once("## Documents").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: BTreeMap<&str, Vec<String>> = rows.map(|(event, cell)| (event, fields(cell))).collect();
    let events: BTreeMap<String, Vec<String>> = events()
        .iter()
        .map(|event| {
            let value = serde_json::to_value(event).unwrap();
            let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            fields.retain(|field| field != "event");
            fields.sort();
            (value["event"].as_str().unwrap().to_owned(), fields)
        })
        .collect();
    for (event, fields) in &events {
        assert_eq!(documented.get(event.as_str()), Some(fields), "{event}");
    }
    assert_eq!(documented.len(), events.len(), "{:?}", documented.keys());
}
