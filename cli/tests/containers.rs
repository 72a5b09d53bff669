//! Stages in containers: images that are made and found, and what is left when something ends. Needs a container engine;
//! `cargo xtask test` sets one up.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::engine::{containers_of, engine, serving_image};
use support::project::Project;

/// An image whose program serves a component that gives the odd numbers, and all of them doubled.
fn image(project: &Project, folder: &str) {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../executor/wasm/tests/released/0.1.0/stage.wasm");
    let root = project.folder().join(folder).join("root");
    flowc_platform::write_sealed(&root.join("stage.wasm"), &std::fs::read(&component).unwrap()).unwrap();
    serving_image(project, folder, "", "/stage.wasm");
}

const NUMBERS: &str = "n\n1\n2\n3\n";

/// A project with a pipeline around such a stage.
fn project(code: &str) -> Project {
    let project = Project::new();
    project.write("numbers.csv", NUMBERS);
    pipeline(&project, code);
    project
}

fn pipeline(project: &Project, code: &str) {
    let text = format!(
        "source \"numbers\" {{ files \"numbers.csv\"; schema {{ column \"n\" \"Int64\" nullable=#false }} }}
         stage \"pick\" {{ in \"numbers\"; {code} }}
         sink \"odd\" {{ in \"pick.odd\"; file \"odd.csv\" }}
         sink \"made\" {{ in \"pick.made\"; file \"made.csv\" }}"
    );
    project.write("flow.kdl", &text);
}

fn flowc(project: &Project, arguments: &[&str]) -> Output {
    project.flowc(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn succeed(project: &Project, arguments: &[&str]) -> String {
    let output = flowc(project, arguments);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn fail(project: &Project, arguments: &[&str]) -> String {
    let output = flowc(project, arguments);
    assert!(!output.status.success(), "{}", said(&output));
    said(&output)
}

fn read(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.folder().join(name)).unwrap()
}

#[test]
fn a_folder_becomes_an_image_whose_results_are_cached() {
    let project = project("container \"stage\"");
    image(&project, "stage");
    let plan = succeed(&project, &["plan"]);
    assert!(plan.contains("building container stage") && plan.contains("sandboxed"), "{plan}");
    let run = succeed(&project, &["run"]);
    assert!(!run.contains("building"), "it was made when it was planned: {run}");
    assert_eq!(
        (read(&project, "odd.csv").as_str(), read(&project, "made.csv").as_str()),
        ("n\n1\n3\n", "n\n2\n4\n6\n")
    );

    // What is cached needs no engine.
    let without = |arguments: &[&str]| {
        let output = project.flowc(arguments).env("DOCKER_HOST", "unix:///nowhere").output().unwrap();
        (output.status.success(), said(&output))
    };
    project.write("odd.csv", "another");
    let (is_good, text) = without(&["run"]);
    assert!(is_good && read(&project, "odd.csv") == "n\n1\n3\n", "{text}");
    project.write("numbers.csv", "n\n5\n");
    let (is_good, text) = without(&["run"]);
    assert!(!is_good && text.contains("no container engine answers at /nowhere"), "{text}");
    let (is_good, text) = without(&["doctor"]);
    assert!(is_good && text.contains("no container engine answers at /nowhere"), "{text}");
}

#[test]
fn equal_folders_are_one_image_and_no_build_makes_none() {
    let [one, two] = ["first", "second"].map(|folder| {
        let project = project(&format!("container \"{folder}\""));
        image(&project, folder);
        let refused = fail(&project, &["plan", "--no-build"]);
        assert!(refused.contains("--no-build"), "{refused}");
        succeed(&project, &["plan"]);
        let plan: serde_json::Value = serde_json::from_slice(&flowc(&project, &["plan", "--json"]).stdout).unwrap();
        (plan["plan"]["stages"][0]["digest"].clone(), plan["plan"]["stages"][0]["runner"].clone())
    });
    assert_eq!(one, two);
    assert!(one.1["image"].as_str().is_some_and(|image| image.len() == 12), "{one:?}");
}

#[test]
fn an_image_is_found_by_its_id_and_by_a_name_that_the_lock_pins() {
    let by_folder = project("container \"stage\"");
    image(&by_folder, "stage");
    succeed(&by_folder, &["run"]);
    let notes = by_folder.root().join("home/.cache/flowc/builds/images");
    let note = std::fs::read_dir(notes).unwrap().map(|entry| entry.unwrap().path());
    let note = note.filter(|path| path.extension().is_some_and(|it| it == "json"));
    let note = flowc_platform::read_sealed(&note.last().unwrap()).unwrap();
    let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
    let described = engine(&format!("GET /images/{}/json", note["image"].as_str().unwrap()));
    let described: serde_json::Value = serde_json::from_str(described.split_once("\r\n\r\n").unwrap().1).unwrap();
    let id = described["Id"].as_str().unwrap();

    let by_id = project(&format!("image \"{id}\""));
    succeed(&by_id, &["run"]);
    assert_eq!(read(&by_id, "made.csv"), read(&by_folder, "made.csv"));

    let name = format!("flowc-test-{}", std::process::id());
    // An engine drops an image with its last name.
    for tag in ["1", "kept"] {
        let tagged = engine(&format!("POST /images/{id}/tag?repo={name}&tag={tag}"));
        assert!(tagged.contains(" 201 "), "{tagged}");
    }
    let by_name = project(&format!("image \"{name}:1\""));
    succeed(&by_name, &["run"]);
    let lock = read(&by_name, "flow.lock");
    assert!(lock.contains(&format!("\"{name}:1\" = \"{id}\"")), "{lock}");
    // The name is gone; the pin still says which image was meant.
    engine(&format!("DELETE /images/{name}:1?noprune=1"));
    by_name.write("numbers.csv", "n\n7\n");
    succeed(&by_name, &["run", "--locked"]);
    assert_eq!(read(&by_name, "made.csv"), "n\n14\n");
}

#[test]
fn what_is_not_there_is_a_mistake_of_the_pipeline() {
    let digest = "0a".repeat(32);
    let missing = fail(&project(&format!("image \"flowc-none@sha256:{digest}\"")), &["plan"]);
    assert!(missing.contains("flow.kdl:2") && missing.contains("can't be fetched"), "{missing}");
    let by_id = project(&format!("image \"sha256:{digest}\""));
    let id = fail(&by_id, &["plan"]);
    assert!(id.contains("there is no image"), "{id}");
    let refused = fail(&by_id, &["plan", "--no-build"]);
    assert!(refused.contains("--no-build refuses to make or fetch images"), "{refused}");
    let folder = fail(&project("container \"stage\""), &["plan"]);
    assert!(folder.contains("has no Containerfile"), "{folder}");
    let project = project("container \"stage\"");
    project.write("stage/Containerfile", "FROM scratch\nRUN make\n");
    let recipe = fail(&project, &["plan"]);
    assert!(recipe.contains("line 2: RUN is not supported"), "{recipe}");
    project.write("stage/Containerfile", "FROM scratch\nCOPY Containerfile /stage\nENTRYPOINT [\"/stage\"]\n");
    let broken = fail(&project, &["plan"]);
    assert!(broken.contains("it ended before it listened") && broken.contains("Permission denied"), "{broken}");
}

/// A socket that nobody may connect to, and an engine on another machine. Root may connect to any, so flowc runs as a user who is
/// not root.
#[test]
fn an_engine_that_may_not_be_asked_is_named() {
    const NOBODY: u32 = 65534;
    let project = project("container \"stage\"");
    let socket = project.root().join("engine.sock");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut prepare = Command::new("sh");
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    // Copied by another process: what other tests start meanwhile would hold it open for writing.
    prepare.args(["-c", "cp \"$1\" \"$2\" \"$3\" && chmod 0 \"$4\" && if $5; then chown -R 65534 \"$3\"; fi", "sh"]);
    prepare.args([env!("CARGO_BIN_EXE_flowc"), env!("CARGO_BIN_EXE_flowc-engine")]);
    prepare.arg(project.root()).arg(&socket).arg(is_root.to_string());
    assert!(prepare.status().unwrap().success());
    let told = |host: &str| {
        let mut command = project.program(project.root().join("flowc"));
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        said(&command.arg("doctor").env("DOCKER_HOST", host).output().unwrap())
    };
    let refused = told(&format!("unix://{}", socket.display()));
    assert!(refused.contains("can't be used") && refused.contains("is for its members"), "{refused}");
    let remote = told("tcp://10.0.0.9:2375");
    assert!(remote.contains("the engine at tcp://10.0.0.9:2375 is not on this machine"), "{remote}");
}

#[test]
fn nothing_is_left_behind() {
    let project = project("container \"stage\"");
    image(&project, "stage");
    for command in ["plan", "run"] {
        let child = project.flowc(&[command]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let number = child.id();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(containers_of(number), 0, "{command}");
    }
}
