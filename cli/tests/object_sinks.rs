//! Objects of object stores as sinks, written to a server that speaks S3.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use support::http_gate::{Asked, HttpGate, Stop, Verdict};
use support::objects::{ObjectServer, many_rows, pipeline, project};
use support::oracle::Oracle;
use support::project::Project;

/// Runs, and succeeds.
fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said
}

/// What a run says that fails, with the exit code of a failed run. Messages are wrapped where the terminal ends.
fn failure(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 1"), "{said}");
    said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

fn start(project: &Project) -> Child {
    project.flowc(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a run said that has failed.
fn failed(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The objects of a folder, with what they hold, by the names of their jobs.
fn folder(server: &ObjectServer, prefix: &str) -> Vec<(String, String)> {
    let one = |key: &String| {
        let (job, token) = key.rsplit_once('-').unwrap();
        assert!(token.split('.').next().is_some_and(|token| token.len() == 12), "{key}");
        (job.to_owned(), String::from_utf8(server.get(key)).unwrap())
    };
    server.keys(prefix).iter().map(one).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn every_format_is_written_as_to_a_file() {
    let server = ObjectServer::new();
    let project = project(&server.url);
    project.write("in/rows.csv", "n,t\n1,ann\n2,bob\n");
    let endings = ["csv", "csv.gz", "jsonl", "jsonl.zst", "parquet", "arrow"];
    let sinks: String = endings
        .iter()
        .map(|ending| {
            let name = ending.replace('.', "-");
            format!(
                "sink \"{name}\" {{ in \"rows\"; file \"s3://sales/made/rows.{ending}\" }}\n\
                 sink \"file-{name}\" {{ in \"rows\"; file \"made/rows.{ending}\" }}\n"
            )
        })
        .collect();
    project.write("flow.kdl", &format!("source \"rows\" {{ files \"in/*.csv\" }}\n{sinks}"));
    run(&project);
    for ending in endings {
        let file = std::fs::read(project.folder().join(format!("made/rows.{ending}"))).unwrap();
        assert_eq!(server.get(&format!("made/rows.{ending}")), file, "{ending}");
    }
}

#[test]
fn a_rerun_uploads_nothing_and_asks_once() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    project.write("in/a.csv", "n\n1\n");
    pipeline(&project, "file \"s3://sales/out.csv\"");
    run(&project);
    gate.seen();
    run(&project);
    assert_eq!(gate.seen(), ["HEAD /sales/out.csv"]);
    // What others did to it is seen, and what belongs there is written again.
    server.put("out.csv", "other");
    run(&project);
    assert_eq!(server.get("out.csv"), b"n\n1\n");
    server.delete("out.csv");
    run(&project);
    assert_eq!(server.get("out.csv"), b"n\n1\n");
    project.write("in/a.csv", "n\n2\n");
    run(&project);
    assert_eq!(server.get("out.csv"), b"n\n2\n");
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn a_folder_is_written_where_it_changed() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    for name in ["a", "b", "c"] {
        project.write(&format!("in/{name}.csv"), &format!("n,t\n1,{name}\n"));
    }
    server.put("out/others.csv", "not ours");
    pipeline(&project, "directory \"s3://sales/out\"; format \"csv\"");
    run(&project);
    server.delete("out/others.csv");
    let first = server.keys("out/");
    assert_eq!(
        folder(&server, "out/"),
        pairs(&[("out/a", "n,t\n1,a\n"), ("out/b", "n,t\n1,b\n"), ("out/c", "n,t\n1,c\n")])
    );
    gate.seen();
    run(&project);
    assert_eq!(gate.seen(), ["GET /sales?list-type=2&prefix=out%2F"]);
    // Another machine knows it by its manifest.
    let _ = std::fs::remove_dir_all(project.root().join("home/.cache"));
    let _ = std::fs::remove_dir_all(project.folder().join(".flowc"));
    run(&project);
    assert_eq!(server.keys("out/"), first);
    project.write("in/b.csv", "n,t\n1,B\n");
    std::fs::remove_file(project.folder().join("in/c.csv")).unwrap();
    run(&project);
    assert_eq!(folder(&server, "out/"), pairs(&[("out/a", "n,t\n1,a\n"), ("out/b", "n,t\n1,B\n")]));
    assert_eq!(server.keys("out/")[0], first[0]);
    // What others did to it is seen.
    server.put(&first[0], "other");
    run(&project);
    assert_eq!(folder(&server, "out/"), pairs(&[("out/a", "n,t\n1,a\n"), ("out/b", "n,t\n1,B\n")]));
    server.delete("out/.flowc-sink.json");
    let before = server.keys("out/");
    run(&project);
    assert_eq!(server.keys("out/"), before);
}

#[test]
fn partitions_are_read_by_others_and_by_flowc() {
    let server = ObjectServer::new();
    let project = project(&server.url);
    project.write(
        "in/a.csv",
        "n,city,day\n1,Rome,2026-01-01\n2,New York/NY,2026-01-02\n3,,2026-01-01\n4,a=b%20c,2026-01-02\n",
    );
    project.write("in/b.csv", "n,city,day\n5,Zürich,2026-01-01\n6,Rome,2026-01-02\n");
    let by = "partition-by \"city\" \"day\"";
    let sink = |name: &str, format: &str| {
        format!("sink \"{name}\" {{ in \"rows\"; directory \"s3://sales/{name}\"; format \"{format}\"; {by} }}\n")
    };
    let text = ["parquet", "csv"].map(|format| sink(format, format)).concat();
    project.write("flow.kdl", &format!("source \"rows\" {{ files \"in/*.csv\" }}\n{text}"));
    run(&project);
    let source = |format: &str| {
        format!(
            "source \"{format}\" {{ files \"s3://sales/{format}/**/*.{format}\" partitions=#true }}\n\
             sink \"from-{format}\" {{ in \"{format}\"; file \"from-{format}.csv\" }}\n"
        )
    };
    project.write("back.kdl", &["parquet", "csv"].map(source).concat());
    let back = project.shell("flowc run back.kdl");
    assert!(back.starts_with("exit 0"), "{back}");
    for format in ["parquet", "csv"] {
        let text = std::fs::read_to_string(project.folder().join(format!("from-{format}.csv"))).unwrap();
        let mut rows: Vec<&str> = text.lines().skip(1).collect();
        rows.sort_unstable();
        let expected = ["1,Rome,2026-01-01", "2,New York/NY,2026-01-02", "3,,2026-01-01", "4,a=b%20c,2026-01-02"];
        assert_eq!(rows, [&expected[..], &["5,Zürich,2026-01-01", "6,Rome,2026-01-02"]].concat(), "{format}");
    }
    Oracle::new().run(&project, "objects.py", &server.url);
}

#[test]
fn folders_that_other_tools_wrote_into_a_bucket_have_columns() {
    let server = ObjectServer::new();
    let project = project(&server.url);
    let oracle = Oracle::new();
    oracle.run(&project, "partitioned.py", "all");
    oracle.run(&project, "objects.py", &format!("{} upload", server.url));
    let writers = ["pyarrow/parquet", "pyarrow/csv", "pyarrow/arrow", "duckdb-parquet", "duckdb-csv"];
    let name = |writer: &str| writer.replace('/', "-");
    let text = writers.map(|writer| {
        let (name, ending) = (name(writer), writer.rsplit(['/', '-']).next().unwrap());
        format!(
            "source \"{name}\" {{ files \"s3://sales/{writer}/**/*.{ending}\" partitions=#true }}\n\
             sink \"to-{name}\" {{ in \"{name}\"; file \"{name}.csv\" }}\n"
        )
    });
    project.write("flow.kdl", &text.concat());
    run(&project);
    let read = |name: &str| {
        let text = std::fs::read_to_string(project.folder().join(format!("{name}.csv"))).unwrap();
        let mut rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        rows.sort();
        rows
    };
    let first = read("pyarrow-parquet");
    assert_eq!(first.len(), 40);
    assert!(first.iter().any(|row| row.contains("New York/NY")) && first.iter().any(|row| row.contains("a=b%20c")));
    for writer in writers {
        assert_eq!(read(&name(writer)), first, "{writer}");
    }
}

#[test]
fn a_large_object_is_sent_in_parts_and_a_kill_leaves_nothing_to_be_seen() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let mut project = project(&gate.url);
    // Nothing of it lies on a disk meanwhile.
    project.set("TMPDIR", "/nowhere".to_owned());
    many_rows(&project);
    pipeline(&project, "file \"s3://sales/out.csv\"");
    let stop = Stop::at(&gate, |asked| asked.target.contains("partNumber=2"));
    let mut child = start(&project);
    stop.reached();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((server.keys("").len(), server.uploads()), (0, vec!["out.csv".to_owned()]));
    stop.go.send(()).unwrap();
    gate.open();
    gate.seen();
    run(&project);
    let parts = gate.seen().iter().filter(|asked| asked.contains("partNumber=")).count();
    assert_eq!(parts, 2);
    assert_eq!(server.get("out.csv"), std::fs::read(project.folder().join("in/rows.csv")).unwrap());
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn of_two_runs_that_send_one_large_object_one_writes_it() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let (first, second, mut third) = (project(&gate.url), project(&server.url), project(&server.url));
    for (project, name) in [(&first, "first"), (&second, "second"), (&third, "third")] {
        many_rows(project);
        let rows = std::fs::read_to_string(project.folder().join("in/rows.csv")).unwrap();
        project.write("in/rows.csv", &rows.replace("n,m", &format!("n,{name}")));
        pipeline(project, "file \"s3://sales/out.csv\"");
    }
    let is_of =
        |project: &Project| server.get("out.csv") == std::fs::read(project.folder().join("in/rows.csv")).unwrap();
    // One is about to commit while another one begins and ends.
    let completes = |asked: &Asked| asked.method == "POST" && asked.target.contains("uploadId=");
    let stop = Stop::at(&gate, completes);
    let child = start(&first);
    stop.reached();
    run(&second);
    stop.go.send(()).unwrap();
    let said = failed(child);
    assert!(said.contains("out.csv") && said.contains("written or deleted by others"), "{said}");
    assert!(is_of(&second) && server.uploads().is_empty());
    // What others begin meanwhile does it no harm.
    gate.open();
    let stop = Stop::at(&gate, completes);
    let child = start(&first);
    stop.reached();
    let late = HttpGate::new(&server.url);
    third.set("AWS_ENDPOINT_URL", late.url.clone());
    let begun = Stop::at(&late, |asked| asked.target.contains("partNumber=1"));
    let other = start(&third);
    begun.reached();
    stop.go.send(()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(is_of(&first));
    begun.go.send(()).unwrap();
    let said = failed(other);
    assert!(said.contains("written or deleted by others"), "{said}");
    assert!(is_of(&first) && server.uploads().is_empty());
}

/// A request at which a run is killed, and what is then in the folder.
type KillPoint = (fn(&Asked) -> bool, &'static str);

/// Where a run is killed: before any object appears, once all have, and once the manifest lists them.
fn kill_points() -> [KillPoint; 3] {
    let manifest = |asked: &Asked| asked.method == "PUT" && asked.target.ends_with(".flowc-sink.json");
    let object = |asked: &Asked| asked.method == "PUT" && !asked.target.ends_with(".flowc-sink.json");
    [(object, "1"), (manifest, "1"), (|asked| asked.target.ends_with("?delete"), "2")]
}

#[test]
fn readers_of_the_manifest_see_the_old_folder_or_the_new_one_wherever_a_run_is_killed() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let reader = project(&server.url);
    let text = "source \"rows\" { files \"s3://sales/out/*.csv\" }\nsink \"out\" { in \"rows\"; file \"out.csv\" }\n";
    reader.write("flow.kdl", text);
    let read = || {
        run(&reader);
        std::fs::read_to_string(reader.folder().join("out.csv")).unwrap()
    };
    let all = |row: &str| format!("n\n{}", format!("{row}\n").repeat(3));
    for (is_meant, seen) in kill_points() {
        let project = project(&gate.url);
        pipeline(&project, "directory \"s3://sales/out\"; format \"csv\"");
        let write = |row: &str| {
            ["a", "b", "c"].iter().for_each(|name| project.write(&format!("in/{name}.csv"), &format!("n\n{row}\n")));
        };
        write("1");
        run(&project);
        let old = server.keys("out/");
        write("2");
        // The first manifest says that the run has begun.
        let count = AtomicUsize::new(usize::from(!is_meant(&Asked::put_of_a_manifest())));
        let stop = Stop::at(&gate, move |asked| is_meant(asked) && count.fetch_add(1, Ordering::SeqCst) > 0);
        let mut child = start(&project);
        stop.reached();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(read(), all(seen));
        gate.open();
        drop(stop);
        run(&project);
        let new = server.keys("out/");
        assert!(new.len() == 3 && new.iter().all(|key| !old.contains(key)), "{old:?} {new:?}");
        assert_eq!(read(), all("2"));
    }
}

#[test]
fn of_two_runs_at_once_one_is_refused_and_the_other_stands() {
    for sink in ["file \"s3://sales/out/rows.csv\"", "directory \"s3://sales/out\"; format \"csv\""] {
        let server = ObjectServer::new();
        let gate = HttpGate::new(&server.url);
        let (first, second) = (project(&gate.url), project(&server.url));
        for (project, row) in [(&first, "first"), (&second, "second")] {
            project.write("in/rows.csv", &format!("t\n{row}\n"));
            pipeline(project, sink);
        }
        // It has looked that nobody else has begun, and is about to write.
        let stop = Stop::at(&gate, |asked| asked.method == "PUT" && asked.target.contains("/rows"));
        let child = start(&first);
        stop.reached();
        run(&second);
        stop.go.send(()).unwrap();
        let said = failed(child);
        assert!(said.contains("another run writes there") || said.contains("written or deleted by others"), "{said}");
        let keys = server.keys("out/");
        assert_eq!((keys.len(), server.get(&keys[0])), (1, b"t\nsecond\n".to_vec()), "{keys:?}");
    }
}

#[test]
fn of_two_runs_with_two_folders_one_writes_both() {
    for rows in ["other", "first"] {
        let server = ObjectServer::new();
        let gates = [HttpGate::new(&server.url), HttpGate::new(&server.url)];
        let [first, second] = gates.each_ref().map(|gate| project(&gate.url));
        for (project, row) in [(&first, "first"), (&second, rows)] {
            project.write("in/rows.csv", &format!("t\n{row}\n"));
            let sink = |name: &str| {
                format!("sink \"{name}\" {{ in \"rows\"; directory \"s3://sales/{name}\"; format \"csv\" }}\n")
            };
            project.write(
                "flow.kdl",
                &["source \"rows\" { files \"in/*.csv\" }\n".to_owned(), sink("a"), sink("b")].concat(),
            );
        }
        let is_manifest = |asked: &Asked| asked.target.contains(".flowc-sink.json");
        // The first one is about to begin its second folder while the second one begins both, and is about to write.
        let begins = Stop::at(&gates[0], move |asked| {
            asked.method == "PUT" && is_manifest(asked) && asked.target.contains("/b/")
        });
        let writes = Stop::at(&gates[1], move |asked| asked.method == "PUT" && !is_manifest(asked));
        let children = [start(&first), start(&second)];
        begins.reached();
        writes.reached();
        let [first, second] = children;
        begins.go.send(()).unwrap();
        assert!(first.wait_with_output().unwrap().status.success());
        writes.go.send(()).unwrap();
        match rows {
            "first" => assert!(second.wait_with_output().unwrap().status.success()),
            _ => {
                let said = failed(second);
                assert!(said.contains("another run writes there at the same time, and has come first"), "{said}");
            }
        }
        for folder in ["a/", "b/"] {
            let keys = server.keys(folder);
            assert_eq!((keys.len(), server.get(&keys[0])), (1, b"t\nfirst\n".to_vec()), "{keys:?}");
        }
    }
}

#[test]
fn what_a_run_sends_after_another_one_has_come_first_is_removed() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let (late, other) = (project(&gate.url), project(&server.url));
    for (project, row) in [(&late, "late"), (&other, "other")] {
        project.write("in/rows.csv", &format!("t\n{row}\n"));
        pipeline(project, "directory \"s3://sales/out\"; format \"csv\"");
    }
    let writes = Stop::at(&gate, |asked| asked.method == "PUT" && asked.target.contains("/rows"));
    let mut child = start(&late);
    writes.reached();
    run(&other);
    let commits = Stop::at(&gate, |asked| asked.method == "PUT" && asked.target.contains(".flowc-sink.json"));
    writes.go.send(()).unwrap();
    commits.reached();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(server.keys("out/").len(), 2, "it was killed before it could remove it");
    other.write("in/rows.csv", "t\nnext\n");
    run(&other);
    let keys = server.keys("out/");
    assert_eq!((keys.len(), server.get(&keys[0])), (1, b"t\nnext\n".to_vec()), "{keys:?}");
}

#[test]
fn what_is_not_allowed_or_expires_is_told_and_leaves_nothing() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    many_rows(&project);
    let refuse = |is_meant: fn(&Asked) -> bool, code: &'static str, status: &'static str| {
        gate.set(move |asked| match is_meant(asked) {
            true => Verdict::Answer(status, format!("<Error><Code>{code}</Code><Message>No.</Message></Error>")),
            false => Verdict::Pass,
        });
    };
    pipeline(&project, "file \"s3://sales/out.csv\"");
    refuse(|asked| asked.target.contains("partNumber=2"), "ExpiredToken", "400 Bad Request");
    let said = failure(&project);
    assert!(said.contains("s3://sales/out.csv") && said.contains("the credentials have expired"), "{said}");
    assert_eq!((server.keys("").len(), server.uploads().len()), (0, 0));
    refuse(|asked| asked.method == "POST", "AccessDenied", "403 Forbidden");
    let said = failure(&project);
    assert!(said.contains("s3://sales/out.csv") && said.contains("permission denied (403 Forbidden"), "{said}");
    pipeline(&project, "directory \"s3://sales/out\"; format \"csv\"");
    refuse(|asked| asked.method == "PUT", "AccessDenied", "403 Forbidden");
    let said = failure(&project);
    assert!(said.contains("s3://sales/out: permission denied (403 Forbidden"), "{said}");
    gate.open();
    pipeline(&project, "file \"s3://nowhere/out.csv\"");
    let said = failure(&project);
    assert!(said.contains("s3://nowhere/out.csv") && said.contains("there is no such bucket"), "{said}");
    assert_eq!((server.keys("").len(), server.uploads().len()), (0, 0));
}

#[test]
fn web_servers_take_an_object_in_one_request() {
    let project = Project::new();
    project.write("in/rows.csv", "n\n1\n");
    project.write(
        "server.py",
        "import http.server, os\n\
         class Handler(http.server.SimpleHTTPRequestHandler):\n\
         \x20   def do_PUT(self):\n\
         \x20       body = self.rfile.read(int(self.headers['Content-Length']))\n\
         \x20       open('served' + self.path, 'wb').write(body)\n\
         \x20       self.send_response(201)\n\
         \x20       self.send_header('Content-Length', '0')\n\
         \x20       self.end_headers()\n\
         server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), lambda *a: Handler(*a, directory='served'))\n\
         print(server.server_port, flush=True)\n\
         server.serve_forever()\n",
    );
    pipeline(&project, "file \"http://127.0.0.1:PORT/out.csv\"");
    let said = project.shell(
        "mkdir served; export NO_PROXY=127.0.0.1; python3 server.py > port 2>/dev/null & \
         while ! [ -s port ]; do sleep 0.05; done; sed -i \"s/PORT/$(cat port)/\" flow.kdl; \
         flowc run; code=$?; flowc run; kill $!; cat served/out.csv; exit $code",
    );
    assert!(said.starts_with("exit 0") && said.contains("n\n1\n"), "{said}");
    assert_eq!(said.matches("wrote out: 1 file").count(), 1, "{said}");
}

#[test]
fn a_service_that_never_answers_is_not_waited_for() {
    let mut project = project("http://127.0.0.1:1");
    project.set("GOOGLE_APPLICATION_CREDENTIALS", String::new());
    project.write("in/rows.csv", "n\n1\n");
    pipeline(&project, "file \"s3://sales/out.csv\"");
    let said = failure(&project);
    assert!(said.contains("no answer") && said.contains("Connection refused"), "{said}");
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"s3://sales/a.csv\" }\nsink \"out\" { in \"rows\"; file \"out.csv\" }\n",
    );
    let said = failure(&project);
    assert!(said.contains("no answer") && said.contains("flow.kdl:1"), "{said}");
}
