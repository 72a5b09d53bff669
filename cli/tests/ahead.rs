//! Programs are started while other work runs.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use support::processes::{python_servers, wait_until};
use support::project::Project;

const SLOW: &str = r#"
import time

import flowc
import pyarrow as pa


@flowc.stage(reads=["line"], adds={"length": pa.int64()})
def stage(lines: pa.RecordBatch) -> list[int]:
    """Takes its time."""
    time.sleep(SECONDS)
    return [len(line) for line in lines["line"].to_pylist()]
"#;

const LATER: &str = r#"
import flowc
import pyarrow as pa


@flowc.stage(reads=["length"], adds={"double": pa.int64()})
def stage(lines: pa.Table) -> list[int]:
    """Needs all rows, so it waits for them."""
    return [2 * length for length in lines["length"].to_pylist()]
"#;

/// How many projects are served.
fn served(project: &Project) -> usize {
    python_servers(project.root()).into_iter().map(|(_, copy)| copy).collect::<BTreeSet<_>>().len()
}

#[test]
fn a_program_is_started_while_the_stages_before_it_work() {
    let project = Project::new();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let slow = |seconds: &str| SLOW.replace("SECONDS", seconds);
    for (folder, stage) in [("slow", slow("0").as_str()), ("later", LATER)] {
        for name in ["pyproject.toml", "uv.lock"] {
            project.write(&format!("{folder}/{name}"), &std::fs::read_to_string(python.join(name)).unwrap());
        }
        project.write(&format!("{folder}/stage.py"), stage);
    }
    project.write("text.txt", "one\n");
    project.write(
        "flow.kdl",
        "source \"lines\" { files \"text.txt\" }
         stage \"slow\" { in \"lines\"; python \"slow\" }
         stage \"later\" { in \"slow\"; python \"later\" }
         sink \"out\" { in \"later\"; file \"out.csv\" }",
    );
    assert!(project.flowc(&["run"]).output().unwrap().status.success());
    project.write("slow/stage.py", &slow("600"));
    // What planning starts it ends, and the next run plans from what it found.
    assert!(project.flowc(&["plan"]).output().unwrap().status.success());
    let mut run = project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("both programs run", || served(&project) == 2);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_until("both have ended", || served(&project) == 0);
}
