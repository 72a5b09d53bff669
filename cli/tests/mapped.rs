//! Stored segments are not copied to stages that read all of them: these map the files.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::Path;

use support::project::Project;

/// Says how many objects of a store it has mapped: they are named by 32 hex digits.
const STAGE: &str = r#"
import re
from collections.abc import Iterator

import flowc
import pyarrow as pa


class Found(flowc.Columns):
    rows: int
    mapped: int
    writable: int


@flowc.stage(READS)
def stage(batches: Iterator[pa.RecordBatch]) -> Iterator[flowc.Batch[Found]]:
    """What it is given, and where that lies."""
    rows, found = 0, set()
    for batch in batches:
        rows += batch.num_rows
        with open("/proc/self/maps") as maps:
            found |= {line for line in maps if re.search(r"/[0-9a-f]{32}$", line.rstrip())}
    writable = [line for line in found if "w" in line.split()[1]]
    yield pa.record_batch({"rows": [rows], "mapped": [len(found)], "writable": [len(writable)]}, schema=Found.schema)
"#;

/// Makes 3 MB of numbers, which a later run reads from the store.
const PIPELINE: &str = r#"
stage "numbers" {
    std "generate@1"
    cache #true
    config {
        rows 200000
        column { name "id"; kind "sequence" }
        column { name "price"; kind "int" }
    }
}
"#;

fn project() -> Project {
    let project = Project::new();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for name in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("reader/{name}"), &std::fs::read_to_string(python.join(name)).unwrap());
    }
    let sink = "sink \"all\" { in \"numbers\"; file \"numbers.csv\" }\n";
    project.write("flow.kdl", &format!("{PIPELINE}{sink}"));
    run(&project);
    project
}

fn run(project: &Project) {
    let output = project.flowc(&["run", "--quiet"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the stage found, which reads these columns in such a place.
fn found(project: &Project, isolate: &str, reads: &str) -> String {
    project.write("reader/stage.py", &STAGE.replace("READS", reads));
    let rest = format!(
        "stage \"reader\" {{ in \"numbers\"; python \"reader\"; {isolate} }}\n\
         sink \"found\" {{ in \"reader\"; file \"found.csv\" }}\n"
    );
    project.write("flow.kdl", &format!("{PIPELINE}{rest}"));
    run(project);
    std::fs::read_to_string(project.folder().join("found.csv")).unwrap()
}

#[test]
fn a_stage_in_a_process_or_a_container_maps_what_is_stored() {
    let project = project();
    for isolate in ["", "isolate \"container\""] {
        assert_eq!(found(&project, isolate, ""), "rows,mapped,writable\n200000,1,0\n", "{isolate}");
    }
}

#[test]
fn a_file_that_holds_more_than_the_stage_reads_is_not_mapped() {
    let project = project();
    assert_eq!(found(&project, "", "reads=[\"id\"]"), "rows,mapped,writable\n200000,0,0\n");
}
