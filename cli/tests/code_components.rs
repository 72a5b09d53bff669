//! A component that a stage names is edited at every step of a run, and the edit undone, as `code.rs` does it with source code.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::sync::LazyLock;

use support::crates::{component, pipelines};
use support::edits::{Gate, Kind, Moment, edited_at};
use support::project::Project;

static COMPONENT: LazyLock<Vec<u8>> = LazyLock::new(component);

#[test]
fn a_component_edited_at_every_step() {
    const WASM: [Kind; 1] = [Kind::Text { file: "stage.wasm", word: "own" }];
    let project = Project::new();
    let gate = Gate::new(&project);
    pipelines(&project, "wasm \"stage.wasm\"");
    std::fs::write(project.folder().join("stage.wasm"), &*COMPONENT).unwrap();
    for moment in [Moment::Before, Moment::Planned] {
        edited_at(&project, &gate, &WASM, &WASM[0], moment, |_| ());
    }
}
