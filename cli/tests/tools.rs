//! Programs that flowc starts: what ends them, which variables they see, and what is said where they are missing.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::processes::{command_lines, kill, wait_until};
use support::project::Project;

const PIPELINE: &str = r#"
source "rows" { files "in.txt"; format "lines" }
stage "told" { in "rows"; CODE }
sink "out" { in "told"; file "out.csv" }
"#;

const STAGE: &str = r#"
import time

import flowc
import pyarrow as pa

AT_IMPORT


@flowc.stage(adds={"told": str})
def stage(rows: pa.RecordBatch):
    """Waits."""
    time.sleep(300)
"#;

/// A backend and a build script that tell which variables they see, and wait.
const BACKEND: &str = r#"
import os
import time
from pathlib import Path


def build_wheel(folder, config_settings=None, metadata_directory=None):
    Path("SEEN").write_text("".join(f"{name}={value}\n" for name, value in os.environ.items()))
    time.sleep(300)
"#;

const SCRIPT: &str = r#"
fn main() {
    let mut all: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
    all.sort();
    std::fs::write("SEEN", all.concat()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(WAIT));
}
"#;

/// Where flowc is when something happens to it.
#[derive(Clone, Copy, Debug)]
enum Instant {
    Described,
    Installed,
    Built,
    Run,
}

const INSTANTS: [Instant; 4] = [Instant::Described, Instant::Installed, Instant::Built, Instant::Run];

/// A project that stays at an instant.
fn project(instant: Instant) -> Project {
    let project = Project::new();
    let seen = seen(&project);
    project.write("in.txt", "x\n");
    if matches!(instant, Instant::Built) {
        project.write("flow.kdl", &PIPELINE.replace("CODE", "rust \"tag\""));
        let package = "[package]\nname = \"tag\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        project.write("tag/Cargo.toml", &format!("{package}[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n"));
        project.write("tag/Cargo.lock", "version = 4\n[[package]]\nname = \"tag\"\nversion = \"0.1.0\"\n");
        project.write("tag/src/lib.rs", "");
        project.write("tag/build.rs", &SCRIPT.replace("SEEN", seen.to_str().unwrap()).replace("WAIT", "300"));
        return project;
    }
    project.write("flow.kdl", &PIPELINE.replace("CODE", "python \"py\""));
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let read = |name: &str| std::fs::read_to_string(tests.join(name)).unwrap();
    let at_import = if matches!(instant, Instant::Described) { "time.sleep(300)" } else { "" };
    project.write("py/stage.py", &STAGE.replace("AT_IMPORT", at_import));
    let (mut manifest, mut lock) = (read("pyproject.toml"), read("uv.lock"));
    if matches!(instant, Instant::Installed) {
        let source = "[tool.uv.sources]\nhelpers = { path = \"../helpers\" }\n";
        manifest = format!("{}\n{source}", manifest.replace("\"pyarrow>=17\"", "\"helpers\", \"pyarrow>=17\""));
        let needed = "requires-dist = [{ name = \"helpers\", directory = \"../helpers\" }, ";
        let package =
            "[[package]]\nname = \"helpers\"\nversion = \"0.1.0\"\nsource = { directory = \"../helpers\" }\n\n";
        let (before, own) = lock.split_once("[[package]]\nname = \"stages\"").unwrap();
        let own = own.replace("dependencies = [\n", "dependencies = [\n    { name = \"helpers\" },\n");
        let own = own.replace("requires-dist = [", needed);
        let (head, rest) = before.split_once("[[package]]").unwrap();
        lock = format!("{head}{package}[[package]]{rest}[[package]]\nname = \"stages\"{own}");
        let helpers = "[project]\nname = \"helpers\"\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\n";
        let build = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
        project.write("helpers/pyproject.toml", &format!("{helpers}{build}"));
        project.write("helpers/backend.py", &BACKEND.replace("SEEN", seen.to_str().unwrap()));
    }
    project.write("py/pyproject.toml", &manifest);
    project.write("py/uv.lock", &lock);
    project
}

/// The file in which a build writes the variables that it sees.
fn seen(project: &Project) -> PathBuf {
    project.root().join("seen")
}

/// Processes that know of a project, but flowc's own.
fn children(project: &Project, flowc: u32) -> Vec<i32> {
    let root = project.root().to_str().unwrap().to_owned();
    let knows = |number: i32, words: &[String]| {
        let environment = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        words.iter().any(|word| word.contains(&root)) || String::from_utf8_lossy(&environment).contains(&root)
    };
    let all = command_lines().into_iter().filter(|(number, words)| *number != flowc as i32 && knows(*number, words));
    all.map(|(number, _)| number).collect()
}

fn is_there(project: &Project, instant: Instant, flowc: u32) -> bool {
    let serves = |number: &i32| {
        let words = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains("\0flowc.serve\0") && words.contains(&b'\0')
    };
    match instant {
        Instant::Installed | Instant::Built => seen(project).exists(),
        Instant::Described => children(project, flowc).iter().any(serves),
        Instant::Run => {
            std::fs::read_to_string(project.root().join("events")).unwrap_or_default().contains("file-read")
        }
    }
}

/// Has something happen to a command of flowc at an instant. All that it started is gone when it is.
fn at(command: &str, instant: Instant, happen: impl Fn(u32)) -> Output {
    let project = project(instant);
    let file = |name: &str| std::fs::File::create(project.root().join(name)).unwrap();
    let mut flowc = project.flowc(&[command]);
    if command == "run" {
        flowc.arg("--json");
    }
    flowc.process_group(0).stdin(Stdio::null()).stdout(file("events")).stderr(file("errors"));
    let mut flowc = flowc.spawn().unwrap();
    let number = flowc.id();
    wait_until(&format!("{command}: {instant:?}"), || is_there(&project, instant, number));
    happen(number);
    let status = flowc.wait().unwrap();
    wait_until(&format!("{command}: {instant:?}: all is gone"), || children(&project, number).is_empty());
    let read = |name: &str| std::fs::read(project.root().join(name)).unwrap();
    Output { status, stdout: read("events"), stderr: read("errors") }
}

/// What a terminal does: it sends a signal to all of its foreground.
fn interrupt(group: u32) {
    assert!(Command::new("kill").args(["-INT", "--", &format!("-{group}")]).status().unwrap().success());
}

#[test]
fn an_interrupt_is_a_stop_at_every_instant() {
    for instant in INSTANTS {
        let output = at("run", instant, interrupt);
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{instant:?}: {told}");
        for word in ["mistake", "trying again", "signal 2", "\"class\":\"user\"", "\"class\":\"run\""] {
            assert!(!told.contains(word), "{instant:?}: {told}");
        }
        assert!(told.contains("stopped; what was finished is kept"), "{instant:?}: {told}");
    }
}

#[test]
fn an_interrupted_plan_leaves_nothing_behind() {
    for instant in [Instant::Described, Instant::Built] {
        let output = at("plan", instant, interrupt);
        assert_eq!(output.status.signal(), Some(2), "{instant:?}");
        assert!(output.stderr.iter().all(|byte| *byte != b'\xd7'), "{instant:?}");
    }
}

#[test]
fn nothing_outlives_a_flowc_that_is_killed() {
    for instant in INSTANTS {
        let output = at("run", instant, |number| kill(number as i32));
        assert_eq!(output.status.signal(), Some(9), "{instant:?}");
    }
}

/// The words of a list in a document, which begins after a line.
fn documented(document: &str, after: &str) -> BTreeSet<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, list) = text.split_once(after).unwrap();
    let list = list.split("\n\n").nth(1).unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Variables that are set for a build, to see whether they reach it: some that are documented, and some that are not.
const SET: [&str; 16] = [
    "HTTPS_PROXY",
    "CARGO_HTTP_PROXY",
    "CARGO_REGISTRIES_OWN_TOKEN",
    "CARGO_REGISTRIES_OWN_INDEX",
    "NETRC",
    "GIT_SSL_CAINFO",
    "GIT_SSH",
    "CURL_CA_BUNDLE",
    "SSH_AUTH_SOCK",
    "USER",
    "LOGNAME",
    "SECRET_TOKEN",
    "LANG",
    "LC_ALL",
    "MAIL",
    "AWS_PROFILE",
];

#[test]
fn build_scripts_see_the_variables_that_are_documented() {
    let cases = [
        (Instant::Built, "stages.md", "Of your environment, build scripts see these variables"),
        (Instant::Installed, "python.md", "Of your environment, builds of packages see these variables"),
    ];
    for (instant, document, after) in cases {
        let documented = documented(document, after);
        let is_documented = |name: &str| {
            let covers = |known: &String| {
                let parts = known.split_once('*');
                parts.is_some_and(|(start, end)| name.starts_with(start) && name.ends_with(end))
            };
            documented.contains(name) || documented.iter().any(covers)
        };
        let project = project(instant);
        let mut flowc = project.flowc(&["run"]);
        flowc.envs(SET.map(|name| (name, "/none")));
        let seen = seen_by_a_build(&project, flowc);
        let seen: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        for name in SET {
            assert_eq!(seen.contains(&name), is_documented(name), "{document}: {name}");
        }
        // Cargo sets these for build scripts (where the system's certificates are, too), and shells by which a program is found; the
        // same for this test.
        let is_set_there = |name: &str| {
            ["CARGO", "RUST", "LD_LIBRARY_PATH", "OUT_DIR", "PWD", "SHLVL", "SSL_CERT_"]
                .iter()
                .any(|set| name.starts_with(set))
        };
        let is_callers = |name: &&str| std::env::var_os(name).is_some() && !is_set_there(name);
        let unknown: Vec<&str> = seen.into_iter().filter(is_callers).filter(|name| !is_documented(name)).collect();
        assert!(unknown.is_empty(), "{document}: {unknown:?}");
    }
}

/// Has flowc begin a build, which waits, and gives what it writes of its environment.
fn seen_by_a_build(project: &Project, mut flowc: Command) -> String {
    let _ = std::fs::remove_file(seen(project));
    let mut flowc = flowc.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let read = || std::fs::read_to_string(seen(project)).unwrap_or_default();
    wait_until("a build begins", || read().ends_with('\n'));
    interrupt(flowc.id());
    flowc.wait().unwrap();
    read()
}

/// Variables with which the tester's toolchain runs, whatever the home.
fn toolchain() -> [(&'static str, PathBuf); 2] {
    let home = std::env::home_dir().unwrap();
    let own = |name: &str, folder: &str| std::env::var_os(name).map_or_else(|| home.join(folder), PathBuf::from);
    [("RUSTUP_HOME", own("RUSTUP_HOME", ".rustup")), ("CARGO_HOME", own("CARGO_HOME", ".cargo"))]
}

#[test]
fn build_scripts_see_the_same_whatever_is_set() {
    let project = project(Instant::Built);
    let own = |name: &str| {
        let folder = project.root().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    let begun = |name: &str| {
        let mut flowc = project.flowc(&["plan"]);
        flowc.env("FLOWC_STORE", own("store")).envs(toolchain()).env("HOME", own(name)).env("TMPDIR", own(name));
        flowc.env("PATH", format!("{}:{}", own(name).display(), std::env::var("PATH").unwrap()));
        flowc.envs(SET.iter().filter(|name| !name.ends_with("_INDEX")).map(|variable| (variable, name)));
        seen_by_a_build(&project, flowc)
    };
    let first = begun("one");
    assert!(first.contains("\nHOME=") && first.contains("\nTMPDIR=") && first.contains("\nPATH="), "{first}");
    assert_eq!(begun("another"), first);
}

#[test]
fn packages_are_fetched_with_the_network_and_built_without() {
    let project = project(Instant::Built);
    let (helper, root) = (project.folder().join("helper"), project.root().to_owned());
    project.write("helper/Cargo.toml", "[package]\nname = \"helper\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    project.write("helper/src/lib.rs", "");
    let git = |arguments: &[&str]| {
        let own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(own).args(arguments).current_dir(&helper).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "all"]].into_iter().for_each(git);
    project.write("tag/build.rs", &SCRIPT.replace("SEEN", seen(&project).to_str().unwrap()).replace("WAIT", "0"));
    let manifest = std::fs::read_to_string(project.folder().join("tag/Cargo.toml")).unwrap();
    let needs = format!("[dependencies]\nhelper = {{ git = \"file://{}\" }}\n", helper.display());
    project.write("tag/Cargo.toml", &format!("{manifest}{needs}"));
    let [rustup, _] = toolchain();
    let program = |name: &str, home: &str, arguments: &[&str]| {
        let mut program = project.program(name);
        program.args(arguments).env("CARGO_HOME", root.join(home)).env(rustup.0, &rustup.1);
        program
    };
    let mut lock = program("cargo", "locking", &["generate-lockfile"]);
    assert!(lock.current_dir(project.folder().join("tag")).status().unwrap().success());
    // An empty crate is no stage; what counts is whether cargo made its module.
    let built = |home: &str, store: &str| {
        let mut flowc = program(env!("CARGO_BIN_EXE_flowc"), home, &["plan"]);
        let proxy = "http://me:secret@localhost:9";
        let output = flowc.env("FLOWC_STORE", root.join(store)).env("HTTPS_PROXY", proxy).output().unwrap();
        let module = root.join(store).join("builds/target/wasm32-unknown-unknown/release/tag.wasm");
        (module.is_file(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_made, told) = built("home/fetched", "store");
    assert!(is_made, "{told}");
    assert!(!std::fs::read_to_string(seen(&project)).unwrap().contains("secret"));
    std::fs::rename(&helper, root.join("gone")).unwrap();
    let (is_made, told) = built("home/fetched", "another");
    assert!(is_made, "what is on this machine needs no network: {told}");
    let (is_made, told) = built("home/empty", "third");
    assert!(!is_made && told.contains("helper") && !told.contains("--offline"), "{told}");
}

/// A folder with a compiler and nothing else of Rust, and a path that begins with it. The compiler says that it belongs to a toolchain
/// without cargo.
fn path(project: &Project, cargo: Option<u32>) -> String {
    let bin = project.root().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let rustc = PathBuf::from(String::from_utf8(sysroot).unwrap().trim()).join("bin/rustc");
    let own = project.root().join("toolchain");
    std::fs::create_dir_all(own.join("lib/rustlib/wasm32-unknown-unknown")).unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --print ]; then echo '{}'; else exec '{}' \"$@\"; fi\n",
        own.display(),
        rustc.display()
    );
    std::fs::write(bin.join("rustc"), script).unwrap();
    std::fs::set_permissions(bin.join("rustc"), PermissionsExt::from_mode(0o755)).unwrap();
    if let Some(mode) = cargo {
        std::fs::write(bin.join("cargo"), "").unwrap();
        std::fs::set_permissions(bin.join("cargo"), PermissionsExt::from_mode(mode)).unwrap();
    }
    format!("{}:/usr/bin:/bin", bin.display())
}

#[test]
fn a_program_that_is_missing_is_the_machines_fault() {
    let refused = |project: &Project, tool: &str, variables: &[(&str, &str)]| {
        for arguments in [&["plan"][..], &["run"], &["run", "--json"]] {
            let output = project.flowc(arguments).envs(variables.iter().copied()).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(1), "{tool}: {told}");
            assert!(told.contains(&format!("`{tool}` can't be run (")), "{told}");
            assert!(!told.contains("mistake"), "{told}");
            assert_eq!(arguments.contains(&"--json"), told.contains("\"class\":\"environment\""), "{told}");
        }
    };
    let python = project(Instant::Run);
    python.write("no-program", "");
    let uv = python.folder().join("no-program");
    refused(&python, "uv", &[("FLOWC_UV", "/nowhere/uv")]);
    refused(&python, "uv", &[("FLOWC_UV", uv.to_str().unwrap())]);
    let rust = project(Instant::Built);
    refused(&rust, "rustc", &[("PATH", "/nowhere")]);
    for cargo in [None, Some(0o644)] {
        let rust = project(Instant::Built);
        refused(&rust, "cargo", &[("PATH", &path(&rust, cargo))]);
    }
    let engine = Project::new();
    engine.write("in.txt", "x\n");
    engine.write("flow.kdl", &PIPELINE.replace("CODE", "image \"nothing:1\""));
    let output = engine.flowc(&["plan"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
