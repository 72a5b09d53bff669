//! One text file is one test: pipelines with their plans, and mistakes with what is said of them.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use flowc_planner::key::canonical_json;
use flowc_planner::plan::Plan;
use flowc_planner::{render, units};
use miette::NarratableReportHandler;

/// Runs every `.kdl` file of a folder through `actual` and compares with the file of the same name and the given
/// ending. `FLOWC_BLESS=1` rewrites what is expected.
fn each_case(folder: &str, ending: &str, actual: impl Fn(&str) -> String) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "kdl"));
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let found = actual(&std::fs::read_to_string(path).unwrap());
        let beside = path.with_extension(ending);
        if std::env::var_os("FLOWC_BLESS").is_some() {
            std::fs::write(&beside, &found).unwrap();
        } else if std::fs::read_to_string(&beside).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected (FLOWC_BLESS=1 rewrites):\n{}", wrong.join("\n"));
    paths.len()
}

fn diagnosed(text: &str) -> String {
    let outcome = support::planned(text);
    assert!(outcome.value.is_none());
    let handler = NarratableReportHandler::new().with_context_lines(0);
    let mut all = String::new();
    for problem in &outcome.problems {
        handler.render_report(&mut all, problem).unwrap();
        all.push('\n');
    }
    all
}

#[test]
fn plans_are_as_expected() {
    let cases = each_case("plans", "plan", |text| {
        let outcome = support::planned(text);
        let problems: Vec<String> = outcome.problems.iter().map(ToString::to_string).collect();
        let plan = outcome.value.unwrap_or_else(|| panic!("{problems:?}\n{text}"));
        let units = units(&plan);
        let drawn = render::graph(&plan, render::Format::Mermaid);
        format!("{}\n{drawn}", render::plan_text(&plan, &units))
    });
    assert!(cases >= 6);
}

/// The canonical plan, for people to read: what is hashed has the same members in the same order, and no spaces.
fn canonical(text: &str) -> String {
    let outcome = support::planned(text);
    let problems: Vec<String> = outcome.problems.iter().map(ToString::to_string).collect();
    let plan = outcome.value.unwrap_or_else(|| panic!("{problems:?}\n{text}"));
    let read: serde_json::Value = serde_json::from_str(&plan.canonical()).unwrap();
    assert_eq!(canonical_json(&read), plan.canonical());
    let read_back: Plan = serde_json::from_value(read.clone()).unwrap();
    assert_eq!(read_back, plan, "a plan that a run record holds can be read");
    let golden = serde_json::json!({ "hash": plan.hash().to_string(), "plan": read });
    format!("{}\n", serde_json::to_string_pretty(&golden).unwrap())
}

/// A plan that changes here changes the hash of every user's plan, and the records of earlier runs can't be compared with it.
#[test]
fn canonical_plans_and_their_hashes_are_as_ever() {
    assert!(each_case("canonical", "json", canonical) >= 1);
}

#[test]
fn mistakes_are_told_as_expected() {
    let cases = each_case("diagnostics", "txt", diagnosed);
    assert!(cases >= 30);
}

#[test]
fn drawings_close_what_they_open() {
    let plan = support::planned(include_str!("plans/shop.kdl")).value.unwrap();
    let dot = render::graph(&plan, render::Format::Dot);
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    let svg = render::graph(&plan, render::Format::Svg);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<g>").count(), plan.sources.len() + plan.stages.len() + plan.sinks.len());
    assert_eq!(svg.matches("marker-end").count(), 7, "an arrow for each input and sink");
}
