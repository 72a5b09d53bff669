//! A stage in Rust whose rows tell what its code consists of, as a crate and as the component that is built of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::edits::{Gate, Kind};
use super::project::Project;

/// The checkout that the tests are of.
fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder of the SDK.
pub(crate) fn sdk() -> PathBuf {
    checkout().join("sdk-rust-wasm")
}

/// Locks a crate of the project to versions that are on this machine already. What the crates of all such tests depend on is built once.
pub(crate) fn locked(project: &Project, folder: &str) {
    let builds = project.root().join("home/.cache/flowc/builds");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stages");
    std::fs::create_dir_all(&builds).unwrap();
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(target, builds.join("target")).unwrap();
    let folder = project.folder().join(folder);
    std::fs::copy(checkout().join("stdlib-stages/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let output =
        Command::new("cargo").args(["update", "--workspace", "--offline"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const PIPELINE: &str = r#"
source "rows" { SOURCE; format "lines" }
stage "told" { in "rows"; CODE }
sink "out" { in "told"; file "out.csv" }
"#;

/// Writes the two pipelines: over a file, and over standard input, which holds a run between its plan and its work.
pub(crate) fn pipelines(project: &Project, code: &str) {
    let text = PIPELINE.replace("CODE", code);
    project.write("flow.kdl", &text.replace("SOURCE", "files \"in.txt\""));
    project.write("piped.kdl", &text.replace("SOURCE", "stdin"));
    project.write("in.txt", "x\n");
}

/// A stage in Rust whose rows tell what it read of each file that its code consists of.
const CRATE: &str = r#"
use flowc_sdk::prelude::*;
use serde::Deserialize;

const OWN: &str = "own-1";
#[path = "../../outside/module.rs"]
mod module;

#[derive(Deserialize, JsonSchema)]
pub struct Told {}

impl MapColumns for Told {
    const DOC: &'static str = "Tells what it consists of.";

    fn describe(&self, input: &Columns) -> Result<Mapping> {
        let column = input.text("", "line")?;
        Ok(Mapping::new().write(field("line", DataType::Utf8, true)).read(column))
    }

    fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let files = [include_str!("data.txt"), include_str!("../../outside/included.txt"), include_str!("linked.txt")];
        let told = [&[OWN, helper::TOLD, module::TOLD, env!("BUILT")], &files.map(str::trim)[..]].concat().join(" ");
        let told = format!("{told} {}", option_env!("TAG_SUFFIX").unwrap_or("unset"));
        let out: StringArray = text(&columns[0])?.iter().map(|_| Some(told.as_str())).collect();
        Ok(vec![Arc::new(out)])
    }
}

flowc_sdk::export!(Map<Told>);
"#;

/// Reads a file outside of the crate, after waiting at the gate.
const SCRIPT: &str = r#"
fn main() {
    println!("cargo:rerun-if-changed=../outside/built.txt");
    println!("cargo:rerun-if-changed=GATE/closed");
    let gate = std::path::Path::new("GATE");
    while gate.join("closed").exists() {
        std::fs::write(gate.join("waiting"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let built = std::fs::read_to_string("../outside/built.txt").unwrap();
    let suffix = std::env::var("TAG_SUFFIX").unwrap_or_default();
    println!("cargo:rustc-env=BUILT={}{suffix}", built.trim());
}
"#;

/// What the stage in Rust consists of.
pub(crate) const RUST: [Kind; 7] = [
    Kind::Text { file: "tag/src/lib.rs", word: "own" },
    Kind::Text { file: "helper/src/lib.rs", word: "helper" },
    Kind::Text { file: "outside/module.rs", word: "module" },
    Kind::Text { file: "outside/built.txt", word: "built" },
    Kind::Text { file: "tag/src/data.txt", word: "data" },
    Kind::Text { file: "outside/included.txt", word: "included" },
    Kind::Text { file: "outside/linked.txt", word: "linked" },
];

/// A project with a stage in Rust, and crates and files that its build reads.
pub(crate) fn rust() -> (Project, Gate) {
    let project = Project::new();
    let gate = Gate::new(&project);
    pipelines(&project, "rust \"tag\"");
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    let sdk = sdk();
    let needs = format!(
        "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nhelper = {{ path = \"../helper\" }}\nflowc-sdk = {{ path = {sdk:?} }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n[workspace]\n"
    );
    project.write("tag/Cargo.toml", &format!("{}{needs}", package("tag")));
    project.write("tag/src/lib.rs", CRATE);
    project.write("tag/src/data.txt", "data-1\n");
    project.write("tag/build.rs", &SCRIPT.replace("GATE", gate.path().to_str().unwrap()));
    project.write("helper/Cargo.toml", &package("helper"));
    project.write("helper/src/lib.rs", "pub const TOLD: &str = \"helper-1\";\n");
    project.write("outside/module.rs", "pub const TOLD: &str = \"module-1\";\n");
    for word in ["built", "included", "linked"] {
        project.write(&format!("outside/{word}.txt"), &format!("{word}-1\n"));
    }
    std::os::unix::fs::symlink("../../outside/linked.txt", project.folder().join("tag/src/linked.txt")).unwrap();
    locked(&project, "tag");
    (project, gate)
}

/// The component of the stage, as it is built.
pub(crate) fn component() -> Vec<u8> {
    let (project, _) = rust();
    let output = project.flowc(&["plan"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let builds = project.root().join("home/.cache/flowc/builds");
    let files = walkdir(&builds).into_iter().filter(|path| path.extension().is_some_and(|it| it == "wasm"));
    let mut components = files.filter_map(|path| flowc_platform::read_sealed(&path));
    components.find(|bytes| has(bytes, "own-1")).expect("the component among what was built")
}

/// The files of a folder and of those in it, without following links.
fn walkdir(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.flat_map(|entry| match entry.file_type().unwrap().is_dir() {
        true => walkdir(&entry.path()),
        false => vec![entry.path()],
    });
    files.collect()
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}
