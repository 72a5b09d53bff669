//! Delta tables, held against delta-rs: what it wrote is read with the same values, and what flowc wrote it reads with the same values.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::objects::ObjectServer;
use support::oracle::Oracle;
use support::project::Project;

/// Tables that a script makes, and the versions to read; see `CASES` there.
const CASES: [(&str, &str, Option<u64>); 17] = [
    ("types", "types", None),
    ("partitions", "partitions", None),
    ("changed", "changed", None),
    ("changed-0", "changed", Some(0)),
    ("changed-1", "changed", Some(1)),
    ("evolved", "evolved", None),
    ("checkpoint", "checkpoint", None),
    ("cleaned", "cleaned", None),
    ("compacted", "compacted", None),
    ("empty", "empty", None),
    ("emptied", "emptied", None),
    ("replaced", "replaced", None),
    ("replaced-0", "replaced", Some(0)),
    ("deletions", "deletions", None),
    ("sidecars", "sidecars", None),
    ("mapped-name", "mapped-name", None),
    ("mapped-id", "mapped-id", None),
];

/// A pipeline that copies each case from below a folder or an address.
fn copies(root: &str) -> String {
    let mut text = String::new();
    for (case, table, version) in CASES {
        let version = version.map_or_else(String::new, |version| format!(" version={version}"));
        writeln!(text, "source \"{case}\" {{ delta \"{root}/{table}\"{version} }}").unwrap();
        writeln!(text, "sink \"{case}-out\" {{ in \"{case}\"; file \"out/{case}.parquet\" }}").unwrap();
    }
    text
}

/// Runs; gives the files that were read, by their names alone.
fn run(project: &Project, arguments: &[&str]) -> Vec<String> {
    let output = project.flowc(&[&["run", "--json"], arguments].concat()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let events = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let read = events.filter(|event| event["event"] == "file-read");
    let mut files: Vec<String> = read.map(|event| event["file"].as_str().unwrap().to_owned()).collect();
    files.sort();
    files
}

/// What a command says, which fails.
fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    // Messages are wrapped where the terminal ends.
    said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// Uploads all files below a folder.
fn upload(server: &ObjectServer, folder: &Path, prefix: &str) {
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let key = path.strip_prefix(folder).unwrap().to_str().unwrap();
            server.put(&encoded(&format!("{prefix}/{key}")), std::fs::read(&path).unwrap());
        }
    }
}

/// A key as a request has it.
fn encoded(key: &str) -> String {
    let byte = |byte: u8| match byte {
        b'/' | b'-' | b'_' | b'.' | b'=' => (byte as char).to_string(),
        byte if byte.is_ascii_alphanumeric() => (byte as char).to_string(),
        byte => format!("%{byte:02X}"),
    };
    key.bytes().map(byte).collect()
}

#[test]
fn what_delta_rs_writes_is_read_as_delta_rs_reads_it() {
    let (server, oracle) = (ObjectServer::new(), Oracle::delta());
    let project = support::objects::project(&server.url);
    oracle.run(&project, "tables.py", "make tables");
    project.write("flow.kdl", &copies("tables"));
    assert!(!run(&project, &[]).is_empty());
    oracle.run(&project, "tables.py", "check tables out");
    // What is known of the files holds, and of objects with the same bytes the results are there.
    assert!(run(&project, &[]).is_empty());
    std::fs::remove_dir_all(project.folder().join("out")).unwrap();
    upload(&server, &project.folder().join("tables"), "tables");
    project.write("flow.kdl", &copies("s3://sales/tables"));
    run(&project, &["--update"]);
    oracle.run(&project, "tables.py", "check tables out");
    assert!(run(&project, &[]).is_empty());
}

#[test]
fn a_new_version_has_its_new_files_read() {
    let (project, oracle) = (Project::new(), Oracle::delta());
    project.write(
        "flow.kdl",
        "source \"rows\" { delta \"t\" }\nsource \"then\" { delta \"t\" version=0 }\n\
         sink \"out\" { in \"rows\"; file \"out.csv\" }\nsink \"old\" { in \"then\"; file \"old.csv\" }\n",
    );
    oracle.run(&project, "steps.py", "append t 0 3");
    assert_eq!(run(&project, &[]).len(), 2);
    oracle.run(&project, "steps.py", "append t 3 5");
    let read = run(&project, &[]);
    assert_eq!(read.len(), 1, "{read:?}");
    let written = |name: &str| std::fs::read_to_string(project.folder().join(name)).unwrap();
    assert_eq!(written("out.csv"), "id,name\n0,n0\n1,n1\n2,n2\n3,n3\n4,n4\n");
    assert_eq!(written("old.csv"), "id,name\n0,n0\n1,n1\n2,n2\n");
    let planned = project.shell("flowc plan");
    assert!(planned.contains("delta t, newest version") && planned.contains("delta t, version 0"), "{planned}");
    assert!(planned.contains("source rows: 2 files, version 1"), "{planned}");
    // A column that is added later is none of the lock's.
    oracle.run(&project, "steps.py", "widen t 5 6");
    run(&project, &[]);
    assert!(written("out.csv").ends_with("5,n5\n"));
}

#[test]
fn a_name_that_means_another_column_has_that_one_read() {
    let (project, oracle) = (Project::new(), Oracle::delta());
    project.write("flow.kdl", "source \"rows\" { delta \"t\" }\nsink \"out\" { in \"rows\"; file \"out.jsonl\" }\n");
    oracle.run(&project, "steps.py", "map t");
    run(&project, &[]);
    let written = || std::fs::read_to_string(project.folder().join("out.jsonl")).unwrap();
    assert!(!written().contains("older"));
    oracle.run(&project, "steps.py", "remap t");
    run(&project, &[]);
    assert!(written().contains("older"), "{}", written());
}

#[test]
fn a_table_that_was_made_anew_has_its_own_rows_whatever_its_log_says() {
    let (server, oracle) = (ObjectServer::new(), Oracle::delta());
    let project = support::objects::project(&server.url);
    project.write(
        "flow.kdl",
        "source \"here\" { delta \"t\" }\nsource \"there\" { delta \"s3://sales/t\" }\n\
         sink \"h\" { in \"here\"; file \"here.csv\" }\nsink \"t\" { in \"there\"; file \"there.csv\" }\n",
    );
    let mut logs = Vec::new();
    for (start, end) in [(0, 3), (5, 8)] {
        oracle.run(&project, "steps.py", &format!("remake t {start} {end}"));
        upload(&server, &project.folder().join("t"), "t");
        assert_eq!(run(&project, &[]).len(), 2);
        assert_eq!(run(&project, &[]).len(), 0);
        let rows: String = (start..end).map(|id| format!("{id},n{id}\n")).collect();
        for name in ["here.csv", "there.csv"] {
            let written = std::fs::read_to_string(project.folder().join(name)).unwrap();
            assert_eq!(written, format!("id,name\n{rows}"), "{name}");
        }
        logs.push(std::fs::read(project.folder().join("t/_delta_log/00000000000000000000.json")).unwrap());
    }
    assert_eq!(logs[0], logs[1], "the logs are the same, so the files have to tell");
}

#[test]
fn what_can_not_be_read_says_why() {
    let (project, oracle) = (Project::new(), Oracle::delta());
    oracle.run(&project, "steps.py", "append t 0 3");
    oracle.run(&project, "steps.py", "append t 3 5");
    oracle.run(&project, "steps.py", "broken .");
    let said = |table: &str| {
        project.write(
            "flow.kdl",
            &format!("source \"rows\" {{ delta {table} }}\nsink \"out\" {{ in \"rows\"; file \"out.csv\" }}\n"),
        );
        failure(&project, "flowc run --update")
    };
    for (table, expected) in [
        ("\"nowhere\"", "there is no Delta table: it has no folder `_delta_log`"),
        ("\"t\" version=7", "it has no version 7: its log has the versions 0 to 1"),
        ("\"cleaned\" version=0", "it has no version 0: its log has the versions 1 to 2; older ones were cleaned up"),
        ("\"unknown\"", "it needs what flowc does not support:"),
        ("\"unknown\"", "wonderTypes"),
        ("\"missing\"", "its log names `gone.parquet`, which is not there"),
        ("\"short\"", "it has 4 bytes, and the table's log says"),
        ("\"damaged\"", "_delta_log/00000000000000000000.json, line 2, is damaged"),
        ("\"outside\"", "which is outside of the table's folder"),
        ("\"value\"", "the partition column `p` has the value `x`, which is no Int64"),
        ("\"variant\"", "it needs what flowc does not support:"),
    ] {
        let said = said(table);
        assert!(said.contains(expected), "{table}: {said}");
    }
}

#[test]
fn what_flowc_writes_is_read_by_delta_rs() {
    let (server, oracle) = (ObjectServer::new(), Oracle::delta());
    let mut project = support::objects::project(&server.url);
    project.set("AWS_ALLOW_HTTP", "true".to_owned());
    oracle.run(&project, "tables.py", "make tables");
    let mut text = String::new();
    for case in ["types", "partitions", "evolved", "empty"] {
        let by = if case == "partitions" {
            "; partition-by \"city\" \"year\" \"day\" \"flag\" \"at\" \"amount\""
        } else {
            ""
        };
        writeln!(text, "source \"{case}\" {{ delta \"tables/{case}\" }}").unwrap();
        writeln!(text, "sink \"{case}-here\" {{ in \"{case}\"; delta \"copies/{case}\" mode=\"append\"{by} }}")
            .unwrap();
        writeln!(text, "sink \"{case}-there\" {{ in \"{case}\"; delta \"s3://sales/{case}\" mode=\"replace\"{by} }}")
            .unwrap();
    }
    project.write("flow.kdl", &text);
    run(&project, &[]);
    oracle.run(&project, "tables.py", "written tables copies s3://sales");
    let keys = server.keys("");
    // Neither a run that knows the store writes a version, nor one that does not.
    run(&project, &[]);
    project.set("XDG_CACHE_HOME", project.folder().join("home").to_str().unwrap().to_owned());
    run(&project, &[]);
    assert_eq!(server.keys(""), keys);
    oracle.run(&project, "tables.py", "written tables copies s3://sales");
}

#[test]
fn sinks_with_ids_share_a_table_and_partitions_that_look_alike_are_apart() {
    let project = Project::new();
    let long = "漢".repeat(80);
    project.write("a.csv", &format!("n,k\n1,__HIVE_DEFAULT_PARTITION__\n2,{long}\n"));
    project.write(
        "b.jsonl",
        &format!(
            "{{\"n\":3,\"k\":null}}\n{{\"n\":4,\"k\":\"{long}!\"}}\n{{\"n\":5,\"k\":\"__HIVE_DEFAULT_PARTITION__\"}}\n"
        ),
    );
    project.write(
        "flow.kdl",
        "source \"a\" { files \"a.csv\" }\nsource \"b\" { files \"b.jsonl\" }\n\
         sink \"x\" { in \"a\"; delta \"t\" mode=\"append\" { id \"x\" }; partition-by \"k\" }\n\
         sink \"y\" { in \"b\"; delta \"t\" mode=\"append\" { id \"y\" }; partition-by \"k\" }\n",
    );
    run(&project, &[]);
    run(&project, &[]);
    project.write("back.kdl", "source \"t\" { delta \"t\" }\nsink \"out\" { in \"t\"; file \"out.jsonl\" }\n");
    assert!(project.shell("flowc run back.kdl").starts_with("exit 0"));
    let read = std::fs::read_to_string(project.folder().join("out.jsonl")).unwrap();
    let mut lines: Vec<&str> = read.lines().collect();
    lines.sort_unstable();
    let of = |n: usize, k: &str| format!("{{\"n\":{n},\"k\":{k}}}");
    let hive = "\"__HIVE_DEFAULT_PARTITION__\"";
    let expected =
        [of(1, hive), of(2, &format!("\"{long}\"")), of(3, "null"), of(4, &format!("\"{long}!\"")), of(5, hive)];
    assert_eq!(lines, expected);
    // A folder of files is not shared so.
    project.write(
        "flow.kdl",
        "source \"a\" { files \"a.csv\" }\nsink \"x\" { in \"a\"; delta \"u\" mode=\"append\" }\n\
         sink \"y\" { in \"a\"; directory \"u\"; format \"parquet\" }\n",
    );
    let said = failure(&project, "flowc run");
    assert!(said.contains("name another"), "{said}");
}

/// Rows of numbers, in a file.
fn numbers(project: &Project, name: &str, from: usize, to: usize) {
    let rows: String = (from..to).map(|n| format!("{n}\n")).collect();
    project.write(&format!("in/{name}.csv"), &format!("n\n{rows}"));
}

#[test]
fn rows_are_appended_once_whoever_cleans_up_the_table() {
    let (project, oracle) = (Project::new(), Oracle::delta());
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"in/*.csv\" }\nsink \"out\" { in \"rows\"; delta \"t\" mode=\"append\" }\n",
    );
    numbers(&project, "a", 0, 10);
    run(&project, &[]);
    numbers(&project, "b", 10, 20);
    run(&project, &[]);
    oracle.run(&project, "steps.py", "compact t");
    numbers(&project, "b", 10, 25);
    run(&project, &[]);
    oracle.run(&project, "steps.py", "rows t 0 25");
    numbers(&project, "a", 1, 10);
    let said = failure(&project, "flowc run");
    assert!(said.contains("table `t`: of 1 segment that were appended rows have changed or are gone"), "{said}");
    oracle.run(&project, "steps.py", "rows t 0 25");
}

#[test]
fn a_table_that_is_appended_to_has_checkpoints_that_delta_rs_reads() {
    let (server, oracle) = (ObjectServer::new(), Oracle::delta());
    let mut project = support::objects::project(&server.url);
    project.set("AWS_ALLOW_HTTP", "true".to_owned());
    let sink =
        |name: &str, table: &str| format!("sink \"{name}\" {{ in \"rows\"; delta \"{table}\" mode=\"append\" }}\n");
    let text = ["source \"rows\" { files \"in/*.csv\" }\n".to_owned(), sink("a", "t"), sink("b", "s3://sales/t")];
    project.write("flow.kdl", &text.concat());
    for step in 0..13 {
        numbers(&project, &format!("{step:02}"), step, step + 1);
        run(&project, &[]);
    }
    let checkpoint = format!("_delta_log/{:020}.checkpoint.parquet", 10);
    let keys = server.keys("t/_delta_log/");
    assert!(keys.contains(&format!("t/{checkpoint}")) && keys.contains(&"t/_delta_log/_last_checkpoint".to_owned()));
    let log = project.folder().join("t");
    assert!(log.join(checkpoint).exists());
    // Without what was before it there is nothing else that tells the first rows.
    for version in 0..10 {
        let commit = format!("_delta_log/{version:020}.json");
        std::fs::remove_file(log.join(&commit)).unwrap();
        server.delete(&format!("t/{commit}"));
    }
    for table in ["t", "s3://sales/t"] {
        oracle.run(&project, "steps.py", &format!("rows {table} 0 13"));
    }
    oracle.run(&project, "steps.py", "append_numbers t 13 15");
    numbers(&project, "13", 15, 16);
    run(&project, &[]);
    oracle.run(&project, "steps.py", "rows t 0 16");
}

#[test]
fn a_table_that_tells_its_changes_is_appended_to_if_its_log_names_that() {
    let (project, oracle) = (Project::new(), Oracle::delta());
    oracle.run(&project, "steps.py", "feed t");
    project.write("rows.jsonl", "{\"n\": 1}\n{\"n\": 2}\n");
    let by = |mode: &str| {
        let sink = format!("sink \"out\" {{ in \"rows\"; delta \"t\" mode=\"{mode}\" }}\n");
        project.write("flow.kdl", &format!("source \"rows\" {{ files \"rows.jsonl\" }}\n{sink}"));
    };
    by("append");
    let said = failure(&project, "flowc run");
    for expected in ["`delta.enableChangeDataFeed`", "`delta.minWriterVersion` is 3 to 6", "Raise it to 7"] {
        assert!(said.contains(expected), "{said}");
    }
    oracle.run(&project, "steps.py", "name_features t");
    run(&project, &[]);
    oracle.run(&project, "steps.py", "rows t 0 3");
    oracle.run(&project, "steps.py", "changes t 0 3");
    by("replace");
    let said = failure(&project, "flowc run");
    assert!(said.contains("its change data feed is on") && said.contains("mode=\"append\""), "{said}");
    oracle.run(&project, "steps.py", "rows t 0 3");
}

#[test]
fn a_run_that_is_killed_doubles_no_row_and_loses_none() {
    let (project, oracle) = (Project::new(), Oracle::delta());
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"in/*.csv\" }\nsink \"out\" { in \"rows\"; delta \"t\" mode=\"append\" }\n",
    );
    let mut end = 0;
    for kill in 0..8 {
        numbers(&project, &format!("{kill}"), end, end + 500);
        end += 500;
        let mut child = project.flowc(&["run", "--quiet"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(10 + 25 * kill));
        let _ = child.kill();
        child.wait().unwrap();
    }
    run(&project, &[]);
    oracle.run(&project, "steps.py", &format!("rows t 0 {end}"));
}
