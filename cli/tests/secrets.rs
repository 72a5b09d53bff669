//! Secrets: stages get them, and nobody else sees them.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::engine::{containers_of, engine};
use support::processes::{command_lines, python_servers, wait_until};
use support::project::Project;

const TOKEN: &str = "tok-5e8d1c97-of-the-caller";
const KEY: &str = "key-0b44fa31-in-a-file";

const STAGE: &str = r#"
import logging
import os
import time
from dataclasses import dataclass

import flowc
import pyarrow as pa


@dataclass
class Config:
    do: str = ""


def summed(lines, secret):
    return [sum(secret.encode()) + len(line) for line in lines.to_pylist()]


@flowc.stage(reads=["line"], adds={"first": pa.int64()})
def first(lines: pa.RecordBatch, config: Config):
    """Says its secret in all ways that there are."""
    token = flowc.secret("API_TOKEN")
    print("printed", token)
    logging.warning("logged %s twice: %s", token, token)
    os.write(1, f"written {token}\n".encode())
    if config.do == "raise":
        raise ValueError(f"refused: {token}")
    if config.do == "problem":
        raise flowc.Problem(f"no entry with {token}", help=f"another than {token}")
    if config.do == "crash":
        os._exit(3)
    while config.do == "wait" and not os.path.exists(f"{os.path.dirname(__file__)}/go"):
        time.sleep(0.05)
    return summed(lines["line"], token)


@flowc.stage(reads=["line"], adds={"second": pa.int64()})
def second(lines: pa.RecordBatch):
    """Has one of the same name that is another."""
    return summed(lines["line"], flowc.secret("API_TOKEN"))


@flowc.stage(reads=["line"], adds={"third": pa.int64()})
def undeclared(lines: pa.RecordBatch):
    return summed(lines["line"], flowc.secret("NEVER_DECLARED"))
"#;

const CHAIN: &str = r#"
source "lines" { files "text/*.txt" }
stage "words" { in "lines"; std "tokenize@1"; config { column "line" } }
stage "one" { in "lines"; python "signing" entry="stage:first"; secret "API_TOKEN"; config { do "" } }
stage "two" { in "one"; python "signing" entry="stage:second"; secret "API_TOKEN" file="../given/key" }
sink "out" { in "two"; file "out.csv" }
sink "words" { in "words"; file "words.csv" }
"#;

/// A project whose stages need two secrets, of which the one in a file is there.
fn project(text: &str) -> Project {
    let project = Project::new();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for name in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("signing/{name}"), &std::fs::read_to_string(python.join(name)).unwrap());
    }
    project.write("signing/stage.py", STAGE);
    project.write("text/a.txt", "one\n");
    project.write("flow.kdl", text);
    project.write("../given/key", &format!("{KEY}\n"));
    project
}

/// flowc with the other secret in its environment.
fn flowc(project: &Project, arguments: &[&str], token: Option<&str>) -> Command {
    let mut command = project.flowc(arguments);
    command.env_remove("API_TOKEN").envs(token.map(|token| ("API_TOKEN", token)));
    command
}

fn run(project: &Project, token: Option<&str>) -> Output {
    flowc(project, &["run"], token).output().unwrap()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn rows(project: &Project) -> String {
    std::fs::read_to_string(project.folder().join("out.csv")).unwrap()
}

/// The rows for these secrets.
fn due(token: &str) -> String {
    let sum = |secret: &str| secret.bytes().map(u64::from).sum::<u64>() + 3;
    format!("line,first,second\none,{},{}\n", sum(token), sum(KEY))
}

/// Fails if a secret is in a file of the project, the store or the home, but for the one that it was given in.
fn assert_unseen(project: &Project) {
    let mut folders = vec![project.folder(), project.root().join("home")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let (kind, path) = (entry.file_type().unwrap(), entry.path());
            match () {
                // Packages that were installed are many, and older than the secrets.
                () if kind.is_dir() && entry.file_name() != "site-packages" => folders.push(path),
                () if kind.is_file() => assert_clean(&std::fs::read(&path).unwrap(), &path.display().to_string()),
                () => {}
            }
        }
    }
}

fn assert_clean(bytes: &[u8], place: &str) {
    for secret in [TOKEN, KEY] {
        let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!is_there, "{secret} is in {place}: {}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_forced_stage_gives_the_rows_of_a_new_value_from_then_on() {
    let text = CHAIN.replace("secret \"API_TOKEN\"; config", "secret \"API_TOKEN\"; cache #true; config");
    let project = project(&text);
    let of = |token: &str| {
        let first: usize = token.bytes().map(usize::from).sum::<usize>() + "one".len();
        format!("one,{first},")
    };
    let (old, new) = (TOKEN, "another-value-of-the-caller");
    succeeds(&run(&project, Some(old)));
    assert!(rows(&project).contains(&of(old)), "{}", rows(&project));
    succeeds(&run(&project, Some(new)));
    assert!(rows(&project).contains(&of(old)), "the value is in no key: {}", rows(&project));
    succeeds(&flowc(&project, &["run", "--force", "one"], Some(new)).output().unwrap());
    assert!(rows(&project).contains(&of(new)), "{}", rows(&project));
    std::fs::remove_file(project.folder().join("out.csv")).unwrap();
    succeeds(&run(&project, Some(old)));
    assert!(rows(&project).contains(&of(new)), "what was forced is what is stored: {}", rows(&project));
}

#[test]
fn stages_have_secrets_of_their_own_that_nobody_sees() {
    let project = project(CHAIN);
    let plan = flowc(&project, &["plan"], None).output().unwrap();
    let text = succeeds(&plan);
    assert!(text.contains("secret API_TOKEN env=\"API_TOKEN\"") && text.contains("file=\"../given/key\""), "{text}");

    let output = flowc(&project, &["run", "--json"], Some(TOKEN)).output().unwrap();
    succeeds(&output);
    assert_eq!(rows(&project), due(TOKEN));
    assert_clean(&output.stdout, "the events");
    assert_clean(&output.stderr, "standard error");
    let log = succeeds(&flowc(&project, &["log", "one"], None).output().unwrap())
        + &succeeds(&flowc(&project, &["log", "two"], None).output().unwrap());
    for line in ["printed [secret API_TOKEN]", "logged [secret API_TOKEN] twice: [secret API_TOKEN]"] {
        assert!(log.contains(line), "{log}");
    }
    assert!(log.contains("written [secret API_TOKEN]"), "{log}");
    assert_clean(log.as_bytes(), "the log");
    let plan = flowc(&project, &["plan", "--json"], Some(TOKEN)).output().unwrap();
    assert_clean(succeeds(&plan).as_bytes(), "the plan");
    assert_unseen(&project);
}

#[test]
fn what_is_missing_is_said_at_once_before_anything_runs() {
    let project = project(CHAIN);
    std::fs::remove_file(project.folder().join("../given/key")).unwrap();
    let output = run(&project, None);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for due in [
        "nothing was run: 2 secrets have no value",
        "stage `one` needs the secret API_TOKEN: set the environment variable API_TOKEN",
        "stage `two` needs the secret API_TOKEN: ../given/key: No such file or directory",
    ] {
        assert!(text.contains(due), "{text}");
    }
    assert!(!project.folder().join("words.csv").exists());
    let output = flowc(&project, &["run", "--json"], Some("")).output().unwrap();
    let events = String::from_utf8(output.stdout).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (errors, others): (Vec<_>, Vec<_>) = events.partition(|event| event["event"] == "error");
    assert!(!others.iter().any(|event| event["event"] == "segment-ran"), "{others:?}");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!((&errors[0]["code"], &errors[0]["stage"]), (&"flowc::secret".into(), &"one".into()));
    assert!(errors[0]["message"].as_str().unwrap().contains("variable API_TOKEN is empty"), "{errors:?}");

    // Stages that need none run all the same.
    let output = flowc(&project, &["run", "--json", "--only", "words"], None).output().unwrap();
    assert!(succeeds(&output).contains("\"event\":\"segment-ran\""), "{}", said(&output));
}

#[test]
fn what_is_cached_needs_no_secret_and_knows_no_value() {
    let project = project(CHAIN);
    succeeds(&run(&project, Some(TOKEN)));
    std::fs::remove_file(project.folder().join("../given/key")).unwrap();
    for token in [Some("another token"), None] {
        // A sink to restore, and a file that must be read again.
        for (name, text) in [("out.csv", ""), ("text/a.txt", "one\n")] {
            project.write(name, text);
            succeeds(&run(&project, token));
            assert_eq!(rows(&project), due(TOKEN));
        }
    }
    project.write("text/b.txt", "seven\n");
    let output = run(&project, None);
    assert!(said(&output).contains("nothing was run: 2 secrets have no value"), "{}", said(&output));

    // Another secret is another result.
    project.write("../given/key", KEY);
    project.write("flow.kdl", &CHAIN.replace("secret \"API_TOKEN\";", "secret \"API_TOKEN\" env=\"OTHER\";"));
    let output = flowc(&project, &["why", "one"], None).output().unwrap();
    let because = "its secrets changed: API_TOKEN env=\"API_TOKEN\" -> API_TOKEN env=\"OTHER\"";
    assert!(said(&output).contains(because), "{}", said(&output));
    std::fs::remove_file(project.folder().join("text/b.txt")).unwrap();
    succeeds(&flowc(&project, &["run"], Some(TOKEN)).env("OTHER", "another token").output().unwrap());
    assert_eq!(rows(&project), due("another token"));
}

#[test]
fn a_stage_that_fails_does_not_tell() {
    let project = project(CHAIN);
    let failing = [
        ("raise", "ValueError: refused: [secret API_TOKEN]"),
        ("problem", "no entry with [secret API_TOKEN] (another than [secret API_TOKEN])"),
        ("crash", "exit status 3"),
    ];
    for (what, due) in failing {
        project.write("flow.kdl", &CHAIN.replace("do \"\"", &format!("do \"{what}\"")));
        let output = flowc(&project, &["run", "--json"], Some(TOKEN)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(due), "{}", said(&output));
        assert_clean(said(&output).as_bytes(), what);
        let log = succeeds(&flowc(&project, &["log", "two"], None).output().unwrap());
        assert!(log.contains("written [secret API_TOKEN]"), "{log}");
    }
    assert_unseen(&project);
    let text = CHAIN.replace("stage:second", "stage:undeclared");
    project.write("flow.kdl", &text);
    let output = run(&project, Some(TOKEN));
    let help = "the stage is not given the secret `NEVER_DECLARED` (add `secret \"NEVER_DECLARED\"` to the stage";
    assert!(said(&output).contains(help), "{}", said(&output));
}

/// Processes but flowc itself that tell a secret to anybody who may look at them.
fn telling(flowc: u32, token: &str) -> Vec<i32> {
    let numbers = command_lines().into_iter().filter(|(number, _)| *number != flowc as i32);
    let tells = |number: i32| {
        let told = |name: &str| std::fs::read(format!("/proc/{number}/{name}")).unwrap_or_default();
        ["environ", "cmdline"].iter().any(|name| told(name).windows(token.len()).any(|part| part == token.as_bytes()))
    };
    numbers.map(|(number, _)| number).filter(|number| tells(*number)).collect()
}

/// Has the stage wait, looks at what there is meanwhile, and has it go on. `name` tells the secret from those of other tests.
fn look_at_work(project: &Project, name: &str, is_at_work: impl Fn(u32) -> bool, look: impl FnOnce()) {
    let token = format!("{TOKEN}-{name}");
    let mut run = flowc(project, &["run"], Some(&token));
    let child = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let number = child.id();
    wait_until("the stage is at work", || is_at_work(number));
    // Long enough for the opening to be there.
    std::thread::sleep(std::time::Duration::from_secs(1));
    look();
    assert_eq!(telling(number, &token), [0; 0]);
    for (_, copy) in python_servers(project.root()) {
        std::fs::write(copy.join("go"), "").unwrap();
    }
    succeeds(&child.wait_with_output().unwrap());
    assert_eq!(rows(project), due(&token));
    assert_unseen(project);
}

#[test]
fn processes_are_given_it_in_their_opening_alone() {
    let project = project(&CHAIN.replace("do \"\"", "do \"wait\""));
    succeeds(&flowc(&project, &["plan"], None).output().unwrap());
    look_at_work(&project, "in-a-process", |_| !python_servers(project.root()).is_empty(), || ());
}

/// Needs a container engine; `cargo xtask test` sets one up.
#[test]
fn the_engine_of_a_container_does_not_know_it() {
    let project = project(&CHAIN.replace("do \"\"", "do \"wait\"").replace("python", "isolate \"container\"; python"));
    succeeds(&flowc(&project, &["plan"], None).output().unwrap());
    let is_at_work = |number| containers_of(number) > 0;
    look_at_work(&project, "in-a-container", is_at_work, || {
        let all = engine("GET /containers/json?all=1");
        let all: serde_json::Value = serde_json::from_str(all.split_once("\r\n\r\n").unwrap().1.trim()).unwrap();
        for container in all.as_array().unwrap() {
            let id = container["Id"].as_str().unwrap();
            for look in ["json", "logs?stdout=1&stderr=1", "top"] {
                assert_clean(engine(&format!("GET /containers/{id}/{look}")).as_bytes(), look);
            }
        }
    });
}
