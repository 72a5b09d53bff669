//! Parquet and Arrow files of others, held against what pyarrow and DuckDB read of them.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use support::project::Project;

/// Python with pyarrow and DuckDB, in the project; `script` lies in `tests/oracle`.
fn python(project: &Project, script: &str, arguments: &[&str]) -> String {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let mut command = project.program(std::env::var_os("FLOWC_UV").unwrap_or_else(|| OsString::from("uv")));
    command.env("UV_PROJECT_ENVIRONMENT", Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle"));
    command.arg("run").arg("--project").arg(&oracle).args(["--frozen", "--quiet", "python", "-B"]);
    output(command.arg(oracle.join(script)).args(arguments))
}

/// What a command prints, which must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What flowc says of a pipeline that it can't run.
fn refusal(project: &Project) -> String {
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.folder().join(name)).unwrap()
}

#[test]
fn what_pyarrow_writes_is_read_as_pyarrow_reads_it() {
    let project = Project::new();
    python(&project, "write.py", &["data", "1"]);
    output(&mut project.flowc(&["run", "--quiet"]));
    assert!(python(&project, "compare.py", &["data", "out"]).contains("37 files are equal"));
}

#[test]
fn container_files_of_avro_are_read_as_they_say() {
    let project = Project::new();
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../executor/sources/tests/avro");
    let bytes = |name: &str| std::fs::read(made.join(name)).unwrap();
    for (name, from) in [("data/a.avro", "null.avro"), ("data/b.avro", "zstandard.avro"), ("other.avro", "bzip2.avro")]
    {
        let path = project.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes(from)).unwrap();
    }
    let source = "source \"bids\" { files \"data/*.avro\"; event-time \"at\" }\n\
                  stage \"asks\" { in \"bids\"; std \"filter@1\"; config { where column=\"kind\" op=\"=\" value=\"ASK\" } }\n\
                  stage \"counts\" { in \"asks\" { window \"tumbling\" size=\"15s\" }; std \"aggregate@1\"; config { compute op=\"count\"; \
                  compute op=\"sum\" column=\"price\" } }\n";
    project.write("flow.kdl", &format!("{source}sink \"counts\" {{ in \"counts\"; file \"counts.csv\" }}\n"));
    output(&mut project.flowc(&["run", "--quiet"]));
    assert_eq!(
        read(&project, "counts.csv"),
        "window-start,window-end,count,sum-price\n\
         2024-03-01T12:00:00Z,2024-03-01T12:00:15Z,16,28.00\n\
         2024-03-01T12:00:15Z,2024-03-01T12:00:30Z,14,77.00\n\
         2024-03-01T12:00:30Z,2024-03-01T12:00:45Z,10,85.00\n"
    );
    project.write("flow.kdl", "source \"t\" { files \"other.avro\" }\nsink \"o\" { in \"t\"; file \"o.csv\" }\n");
    assert!(refusal(&project).contains("its blocks are compressed with bzip2, which is not read"));
    // What is written is read as it was.
    let copy = |from: &str, to: &str| {
        project.write(
            "flow.kdl",
            &format!("source \"t\" {{ files \"{from}\" }}\nsink \"o\" {{ in \"t\"; file \"{to}\" }}\n"),
        );
        output(&mut project.flowc(&["run", "--quiet", "--update"]));
    };
    copy("data/*.avro", "copy.avro");
    copy("data/*.avro", "once.jsonl");
    copy("copy.avro", "twice.jsonl");
    assert_eq!(read(&project, "twice.jsonl"), read(&project, "once.jsonl"));
}

#[test]
fn what_is_odd_is_read_right_or_named() {
    let project = Project::new();
    python(&project, "odd.py", &[]);
    let source = |files: &str| {
        project.write("flow.kdl", &format!("source \"t\" {{ {files} }}\nsink \"o\" {{ in \"t\"; file \"o.csv\" }}\n"))
    };
    for (name, expected) in [
        ("brotli", "brotli.parquet: it is compressed with brotli, which flowc cannot read; write it again with zstd"),
        ("encrypted", "encrypted.parquet: it is encrypted, which flowc cannot read"),
        ("columns", "columns.parquet: it is encrypted, which flowc cannot read"),
        ("flipped", "flipped.parquet: not valid Parquet"),
        ("intervals", "intervals.parquet: it is written with intervals of 3 months among others (row 2, column `i`)"),
    ] {
        let text =
            format!("source \"t\" {{ files \"{name}.parquet\" }}\nsink \"o\" {{ in \"t\"; file \"o.arrow\" }}\n");
        project.write("flow.kdl", &text);
        let _ = std::fs::remove_file(project.folder().join("flow.lock"));
        let said = refusal(&project);
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").contains(expected), "{said}");
    }
    source("files \"summed.parquet\"");
    output(&mut project.flowc(&["run", "--update"]));
    assert_eq!(read(&project, "o.csv").lines().count(), 1001);
    source("files \"enumeration.parquet\"");
    output(&mut project.flowc(&["run", "--update"]));
    assert_eq!(read(&project, "o.csv"), "size\nsmall\n");
    source("files \"times.parquet\"");
    output(&mut project.flowc(&["run", "--update"]));
    let due = python(&project, "duck.py", &["select strftime(t, '%Y-%m-%dT%H:%M:%S.%f') from 'times.parquet'"]);
    let due: Vec<_> = due.lines().map(|line| line.trim_end_matches(".000000")).collect();
    assert_eq!(read(&project, "o.csv").lines().skip(1).collect::<Vec<_>>(), due);
    // The second writer says LargeUtf8 and Int64, the pipeline or the first file other types.
    source("files \"text1.parquet\" \"text2.parquet\"; schema { column \"s\" \"Utf8\"; column \"n\" \"Int64\" }");
    output(&mut project.flowc(&["run"]));
    assert_eq!(read(&project, "o.csv"), "s,n\na,1\nb,2\n");
    source("files \"text1.parquet\" \"text2.parquet\"");
    std::fs::remove_file(project.folder().join("flow.lock")).unwrap();
    let said = refusal(&project);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("text2.parquet: the column `n` is Int64, where Int16 is expected"), "{said}");
    assert!(said.contains("`schema rest=\"infer\" { column \"n\" \"Int64\" }`"), "{said}");
    assert!(said.contains("`n` was inferred as Int16 from text1.parquet"), "{said}");
}

#[test]
fn folders_that_others_write_are_read() {
    let project = Project::new();
    python(&project, "partitioned.py", &[]);
    let due = python(&project, "duck.py", &["select n, coalesce(city, '~'), year, day from 'all.parquet' order by n"]);
    let sources = ["pyarrow/parquet", "pyarrow/csv", "pyarrow/arrow", "duckdb-parquet", "duckdb-csv"];
    let text: String = sources
        .iter()
        .enumerate()
        .map(|(place, folder)| {
            let ending = folder.rsplit(['/', '-']).next().unwrap();
            format!(
                "source \"s{place}\" {{ files \"{folder}/**/*.{ending}\" partitions=#true }}\n\
                 sink \"s{place}\" {{ in \"s{place}\"; file \"out/{place}.parquet\" }}\n"
            )
        })
        .collect();
    project.write("flow.kdl", &text);
    output(&mut project.flowc(&["run", "--quiet"]));
    for (place, source) in sources.iter().enumerate() {
        let query = format!("select n, coalesce(city, '~'), year, day from 'out/{place}.parquet' order by n");
        assert_eq!(python(&project, "duck.py", &[&query]), due, "{source}");
        let types =
            format!("select distinct typeof(n), typeof(city), typeof(year), typeof(day) from 'out/{place}.parquet'");
        assert_eq!(python(&project, "duck.py", &[&types]).trim(), "BIGINT|VARCHAR|BIGINT|DATE", "{source}");
    }
}

#[test]
fn folders_that_a_sink_writes_are_read_by_all() {
    let project = Project::new();
    python(&project, "partitioned.py", &[]);
    project.write(
        "flow.kdl",
        "source \"all\" { files \"all.parquet\" }\n\
         sink \"all\" { in \"all\"; directory \"out\"; format \"parquet\"; partition-by \"city\" \"year\" \"day\" }\n",
    );
    output(&mut project.flowc(&["run", "--quiet"]));
    project.write(
        "back.kdl",
        "source \"back\" { files \"out/**/*.parquet\" partitions=#true }\nsink \"back\" { in \"back\"; file \"back.parquet\" }\n",
    );
    output(&mut project.flowc(&["run", "--quiet", "back.kdl"]));
    let rows = |from: &str| {
        let query = format!("select n, coalesce(city, '~'), year, day from {from} order by n");
        python(&project, "duck.py", &[&query])
    };
    let due = rows("'all.parquet'");
    assert_eq!(rows("'back.parquet'"), due);
    assert_eq!(rows("read_parquet('out/**/*.parquet', hive_partitioning=true)"), due);
}
