//! Crates of stages that a test writes.

use std::path::{Path, PathBuf};
use std::process::Command;

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
