//! Crates to components, with the toolchain of this machine.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use flowc_code::{Digests, PipelineFiles, Reader, Tools};
use flowc_componentize::{BuildError, Built, Source, build_workspace, component, encode, sources};

/// A crate that depends on another by path; both have messages that hold the path of their source.
fn write_crates(dir: &Path) -> PathBuf {
    let files = [
        (
            "stage/Cargo.toml",
            "[package]\nname = \"stage\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nhelper = { path = \"../helper\" }\n",
        ),
        (
            "stage/Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"helper\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"stage\"\nversion = \"0.1.0\"\ndependencies = [\"helper\"]\n",
        ),
        (
            "stage/src/lib.rs",
            "#[unsafe(no_mangle)] pub extern \"C\" fn run(n: usize) -> usize { helper::pick(n) + file!().len() }\n",
        ),
        ("helper/Cargo.toml", "[package]\nname = \"helper\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
        (
            "helper/src/lib.rs",
            "use std::any::TypeId;\npub struct Own;\npub fn pick(n: usize) -> usize { let list: Vec<usize> = (0..n).collect(); if TypeId::of::<Own>() == TypeId::of::<u8>() { 0 } else { list[n * 2] } }\n",
        ),
    ];
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir.join("stage")
}

fn build(stage: &Path, target: &Path, log: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    let files = PipelineFiles::default();
    flowc_componentize::build(
        stage,
        stage,
        target,
        Tools::direct(),
        &Reader::new(&files, None, Digests::default()),
        log,
    )
}

fn source(stage: &Path) -> Source {
    let files = PipelineFiles::default();
    Source::find(stage, Tools::direct(), &Reader::new(&files, None, Digests::default())).unwrap()
}

/// The module as it comes out of cargo: these crates are no stages.
fn module(stage: &Path, target: &Path) -> Vec<u8> {
    let result = component(stage, target);
    assert!(matches!(result, Err(BuildError::NotAComponent { .. }) | Ok(_)), "{result:?}");
    fs::read(target.join("wasm32-unknown-unknown/release/stage.wasm")).unwrap()
}

#[test]
fn the_folder_leaves_no_trace_in_the_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let deeper = b.path().join("some/where/else");
    let (first, second) = (write_crates(a.path()), write_crates(&deeper));
    let modules = (module(&first, &a.path().join("out")), module(&second, &b.path().join("other/target")));
    assert!(modules.0 == modules.1, "the same sources in two folders");
    let text = String::from_utf8_lossy(&modules.0).into_owned();
    assert!(!text.contains(&*a.path().to_string_lossy()) && text.contains("/src/helper"), "paths are mapped");
}

#[test]
fn two_crates_of_one_name_may_share_a_target_folder() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (write_crates(a.path()), write_crates(b.path()));
    let source = "#[unsafe(no_mangle)] pub extern \"C\" fn run(n: usize) -> usize { n + 1 }\n";
    fs::write(second.join("src/lib.rs"), source).unwrap();
    let target = a.path().join("out");
    let built = module(&first, &target);
    assert!(module(&second, &target) != built, "though its files are older than the first's module");
    assert!(module(&first, &target) == built);
}

#[test]
fn sources_are_what_makes_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let stage = write_crates(dir.path());
    let digest = || source(&stage).digest();
    let before = digest();
    fs::create_dir_all(stage.join("target/release")).unwrap();
    fs::write(stage.join("target/release/x"), "built").unwrap();
    assert_eq!(digest(), before, "what was built is no source");
    fs::write(dir.path().join("helper/src/more.rs"), "").unwrap();
    let with_file = digest();
    assert_ne!(with_file, before, "a path dependency's files are");
    fs::rename(dir.path().join("helper/src/more.rs"), dir.path().join("helper/src/other.rs")).unwrap();
    assert_ne!(digest(), with_file, "and their names");
    let read = sources(&stage).unwrap();
    assert!(read.iter().any(|file| file.ends_with("stage/Cargo.lock")));
    assert!(read.iter().any(|dir| dir.ends_with("helper/src")));
}

#[test]
fn the_digest_does_not_depend_on_the_folder() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digest = |dir: &Path| source(&write_crates(dir)).digest();
    assert_eq!(digest(a.path()), digest(b.path()));
}

/// Prints the digest of a crate, for the test below, which starts it with variables of its own.
#[test]
fn a_digest_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    println!("\ndigest {:?}", source(&write_crates(dir.path())).digest());
}

#[test]
fn what_build_scripts_see_is_in_the_digest_and_nothing_else_of_the_caller() {
    let digest = |name: &str, value: &Path| {
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        own.args(["--exact", "a_digest_is_printed", "--nocapture"]).env(name, value);
        let printed = String::from_utf8(own.output().unwrap().stdout).unwrap();
        printed.lines().find(|line| line.starts_with("digest ")).unwrap().to_owned()
    };
    let home = tempfile::tempdir().unwrap();
    let plain = digest("UNKNOWN", home.path());
    for name in ["TMPDIR", "HTTPS_PROXY", "CARGO_NET_RETRY", "CARGO_REGISTRIES_OWN_TOKEN", "USER"] {
        assert_eq!(digest(name, home.path()), plain, "{name}");
    }
    for name in ["CARGO_HOME", "CARGO_REGISTRIES_OWN_INDEX", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL"] {
        assert_ne!(digest(name, home.path()), plain, "{name}");
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = |stage: &Path| component(stage, &dir.path().join("out")).unwrap_err().to_string();
    assert!(error(dir.path()).contains("has no Cargo.toml"));
    let stage = write_crates(dir.path());
    fs::remove_file(stage.join("Cargo.lock")).unwrap();
    assert!(error(&stage).contains("run `cargo generate-lockfile`"));
    let manifest = fs::read_to_string(stage.join("Cargo.toml")).unwrap();
    fs::write(stage.join("Cargo.toml"), manifest.replace("cdylib", "rlib")).unwrap();
    assert!(error(&stage).contains("crate-type = [\"cdylib\"]"));
    fs::write(stage.join("Cargo.toml"), "not toml").unwrap();
    assert!(error(&stage).contains("Cargo.toml: "));
}

#[test]
fn the_compilers_words_are_passed_through() {
    let dir = tempfile::tempdir().unwrap();
    let stage = write_crates(dir.path());
    fs::write(stage.join("src/lib.rs"), "fn f() -> u32 { \"text\" }\n").unwrap();
    let mut log = Vec::new();
    let error = build(&stage, &dir.path().join("out"), &mut |line: &str| log.push(line.to_owned())).err().unwrap();
    assert!(matches!(&error, BuildError::Compile { output, .. } if output.contains("mismatched types")), "{error}");
    assert_eq!(error.to_string().matches("mismatched types").count(), 1, "{error}");
    assert!(!log.iter().any(|line| line.contains("mismatched types")), "told once, in the error: {log:?}");
    fs::write(stage.join("src/lib.rs"), "fn unused() {}\n").unwrap();
    let _ = build(&stage, &dir.path().join("out"), &mut |line: &str| log.push(line.to_owned()));
    assert!(log.iter().any(|line| line.contains("never used")), "warnings are logged: {log:?}");
}

#[test]
fn a_lock_that_does_not_fit_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let stage = write_crates(dir.path());
    let manifest = fs::read_to_string(stage.join("Cargo.toml")).unwrap();
    fs::write(stage.join("Cargo.toml"), manifest.replace("version = \"0.1.0\"", "version = \"0.2.0\"")).unwrap();
    let error = build(&stage, &dir.path().join("out"), &mut |_| ()).err().unwrap();
    assert!(matches!(error, BuildError::StaleLock { .. }), "{error}");
    assert!(error.to_string().contains("run `cargo update --workspace` there"), "{error}");
    assert!(!error.to_string().contains("--locked"), "{error}");
    let mut update = std::process::Command::new("cargo");
    update.args(["update", "--workspace", "--offline"]).current_dir(&stage);
    assert!(update.status().unwrap().success());
    assert!(!module(&stage, &dir.path().join("out")).is_empty());
}

#[test]
fn a_workspace_elsewhere_gives_the_lock_and_what_is_inherited() {
    let dir = tempfile::tempdir().unwrap();
    let stage = write_crates(dir.path());
    fs::rename(stage.join("Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
    let root = "[workspace]\nresolver = \"3\"\nmembers = [\"stage\", \"helper\"]\n[workspace.dependencies]\nhelper = { path = \"helper\" }\n";
    fs::write(dir.path().join("Cargo.toml"), root).unwrap();
    let manifest = fs::read_to_string(stage.join("Cargo.toml")).unwrap();
    fs::write(stage.join("Cargo.toml"), manifest.replace("{ path = \"../helper\" }", "{ workspace = true }")).unwrap();
    assert!(sources(&stage).unwrap().iter().any(|file| file.ends_with("helper/src/lib.rs")));
    assert!(!module(&stage, &dir.path().join("out")).is_empty());
    assert!(
        build_workspace(dir.path(), &dir.path().join("out"), &mut |_: &str| ()).is_ok_and(|built| built.len() == 1)
    );
}

#[test]
fn garbage_is_no_component() {
    assert!(matches!(encode(b"garbage"), Err(BuildError::NotAComponent { .. })));
}
