//! Components from files: pinned, held against the contract, and kept compiled.

use std::path::Path;

use crate::support::{Project, all_cached, segments, settle, stage};
use flowc_executor::StageStatus;

const FLOW: &str = r#"
source "numbers" { files "n.csv"; schema { column "n" "Int64" nullable=#false } }
stage "sorted" { in "numbers"; wasm "stage.wasm" }
sink "odd" { in "sorted.odd"; file "out/odd.csv" }
sink "made" { in "sorted.made"; file "out/made.csv" }
"#;

/// A component that was built against contract 0.1.0.
fn released(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wasm/tests/released/0.1.0");
    std::fs::read(folder.join(name)).expect("a component")
}

fn project(component: &[u8]) -> Project {
    let project = Project::new(FLOW);
    project.write("n.csv", "n\n1\n2\n3\n");
    project.write("stage.wasm", component);
    project
}

/// The same component under another digest: with a section that nobody reads.
fn stamped(mut component: Vec<u8>) -> Vec<u8> {
    component.extend(b"\0\x05\x04note");
    component
}

#[test]
fn a_component_runs_and_its_bytes_are_what_is_pinned() {
    let mut project = project(&released("stage.wasm"));
    assert_eq!(stage(&project.run(), "sorted").status, StageStatus::Ran);
    assert_eq!(project.read("out/odd.csv"), "n\n1\n3\n");
    assert_eq!(project.read("out/made.csv"), "n\n2\n4\n6\n");
    assert!(project.read("flow.lock").contains("wasm stage.wasm"));
    project.write("stage.wasm", released("stage.wasm"));
    project.locked = true;
    assert!(all_cached(&project.run()), "a copy is the same component");
    project.write("stage.wasm", stamped(released("stage.wasm")));
    let message = project.failure();
    assert!(message.contains("wasm stage.wasm") && message.contains("has changed: the lock pins"), "{message}");
    project.locked = false;
    assert_eq!(segments(&project.run(), "sorted"), (1, 0), "other bytes, other results");
    project.locked = true;
    assert!(all_cached(&project.run()), "and now those are pinned");
}

#[test]
fn a_component_that_is_gone_is_an_error_and_not_yesterdays_result() {
    let project = project(&released("stage.wasm"));
    project.run();
    std::fs::remove_file(project.path("stage.wasm")).expect("a component");
    let message = project.failure();
    assert!(message.contains("stage.wasm can't be read"), "{message}");
}

#[test]
fn what_is_no_component_of_this_contract_is_refused_at_plan_time() {
    let replaced = |from: &[u8], to: &[u8]| -> Vec<u8> {
        let mut bytes = released("stage.wasm");
        let places = (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect::<Vec<_>>();
        places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
        bytes
    };
    let cases = [
        (b"no wasm at all".to_vec(), "not a wasm component"),
        (b"\0asm\x01\0\0\0".to_vec(), "a core wasm module, not a component"),
        (released("stage.wasm")[..5000].to_vec(), "can't be compiled"),
        (replaced(b"@0.1.0", b"@0.9.0"), "speaks version 0.9.0 of the stage contract"),
        (replaced(b"flowc:stage/data", b"acmes:cloud/keys"), "imports `acmes:cloud/keys@0.1.0`"),
    ];
    for (bytes, what) in cases {
        let project = project(&bytes);
        let message = project.failure();
        assert!(message.contains("stage.wasm") && message.contains(what), "{what}: {message}");
        assert!(!project.path("out").exists() && !project.path("flow.lock").exists(), "{what}");
    }
}

#[test]
fn a_component_with_wasi_gives_the_same_bytes_in_every_store() {
    let project = project(&released("stage-wasi.wasm"));
    project.run();
    let first = project.read("out/made.csv");
    assert!(first.starts_with("n\n2\n4\n6\n0\n0\n"), "the clock stands: {first}");
    let log = project.session().log("sorted").expect("a log");
    for line in ["a file: refused", "a connection: refused", "said aloud"] {
        assert!(log.iter().any(|said| said.message == line), "{line}: {log:?}");
    }
    project.new_store();
    std::fs::remove_dir_all(project.path("out")).expect("outputs");
    project.run();
    assert_eq!(project.read("out/made.csv"), first, "random numbers too");
}

#[test]
fn a_compiled_component_is_used_again_and_made_again_when_it_is_damaged() {
    let project = project(&released("stage.wasm"));
    // A folder of its own: others keep their compiled components in theirs.
    let folder = project.store().join("cwasm");
    std::fs::remove_file(&folder).expect("the link to the shared folder");
    std::fs::create_dir(&folder).expect("a folder");
    project.run();
    let compiled = || {
        let files = std::fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path());
        let [only] = &files.collect::<Vec<_>>()[..] else { panic!("one compiled component is due") };
        let stamp = std::fs::metadata(only).expect("a file");
        (only.clone(), std::os::unix::fs::MetadataExt::ino(&stamp))
    };
    let (path, file) = compiled();
    project.write("n.csv", "n\n5\n");
    project.run();
    assert_eq!(compiled(), (path.clone(), file), "the file of the first run serves the second");
    std::fs::remove_file(&path).expect("a file");
    std::fs::write(&path, b"nothing that an engine would take").expect("damage");
    settle();
    project.write("n.csv", "n\n7\n");
    project.run();
    assert_eq!(project.read("out/odd.csv"), "n\n7\n");
    assert!(std::fs::metadata(&path).expect("a file").len() > 1000, "it was compiled again");
}
