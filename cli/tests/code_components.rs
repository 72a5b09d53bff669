//! Components are edited at every step of a run, and undone, as `code.rs` does it with source code: a file that a stage names, and
//! what the image of a container is made of. The latter needs a container engine; `cargo xtask test` sets one up.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::sync::LazyLock;

use support::crates::{component, pipelines};
use support::edits::{Gate, Kind, Moment, edited_at, respelled};
use support::engine::{gated_engine, serving_image};
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

/// What the image consists of: a file, a link, and the recipe that says which folder is in it.
const IMAGE: [Kind; 3] = [
    Kind::Sealed { file: "stage/helper-1/module-1/stage.wasm", word: "own" },
    Kind::Link { link: "stage/helper-1/code", word: "module", to: "module-" },
    Kind::Text { file: "stage/Containerfile", word: "helper" },
];

fn image() -> (Project, Gate) {
    let mut project = Project::new();
    let gate = Gate::new(&project);
    pipelines(&project, "container \"stage\"");
    for (helper, module) in [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1)] {
        let component = respelled(&respelled(&COMPONENT, "helper", 1, helper), "module", 1, module);
        let folder = project.folder().join(format!("stage/helper-{helper}/module-{module}"));
        flowc_platform::write_sealed(&folder.join("stage.wasm"), &component).unwrap();
    }
    for helper in 1..=3 {
        let folder = project.folder().join(format!("stage/helper-{helper}"));
        std::os::unix::fs::symlink("module-1", folder.join("code")).unwrap();
        // An engine that has the image of an earlier test would not be handed it.
        std::fs::write(folder.join("once"), project.root().as_os_str().as_encoded_bytes()).unwrap();
    }
    serving_image(&project, "stage", "COPY helper-1 /\n", "/code/stage.wasm");
    let host = gated_engine(&project, &gate);
    project.set("DOCKER_HOST", host);
    (project, gate)
}

/// Has the stage run again.
fn renew(project: &Project) {
    let file = project.folder().join("in.txt");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{text}x\n")).unwrap();
}

#[test]
fn a_container_edited_at_every_step() {
    let (project, gate) = image();
    for kind in &IMAGE {
        edited_at(&project, &gate, &IMAGE, kind, Moment::Before, renew);
    }
    // An image is as big as its program: one kind has to do.
    for moment in [Moment::Planned, Moment::Loaded, Moment::Started] {
        edited_at(&project, &gate, &IMAGE, &IMAGE[0], moment, renew);
    }
}
