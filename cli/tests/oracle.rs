//! What sinks write, read by pyarrow and DuckDB: the same values of the same logical types.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use support::oracle::Oracle;
use support::project::Project;

const PIPELINE: &str = r#"
source "parquet" { files "parquet.arrow" }
source "csv" { files "csv.arrow" }
source "jsonl" { files "jsonl.arrow" }
sink "arrow" { in "parquet"; file "out/arrow.arrow" }
sink "parquet" { in "parquet"; file "out/parquet.parquet" }
sink "jsonl" { in "jsonl"; file "out/jsonl.jsonl" }
sink "plain" { in "csv"; file "out/plain.csv" }
sink "escaped" { in "csv"; file "out/escaped.csv"; format "csv" escape="\\" }
sink "other" { in "csv"; file "out/other.csv"; format "csv" delimiter=";" quote="'" null-text="NA" }
sink "bare" { in "csv"; file "out/bare.csv"; format "csv" header=#false delimiter="\t" null-text="none" }
"#;

#[test]
fn other_readers_find_what_was_written() {
    let (project, oracle) = (Project::new(), Oracle::new());
    project.write("flow.kdl", PIPELINE);
    oracle.run(&project, "sinks.py", "make");
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    oracle.run(&project, "sinks.py", "check");
}
