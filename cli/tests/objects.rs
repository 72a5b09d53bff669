//! Objects of object stores as sources, read from a server that speaks S3.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use support::http_gate::{HttpGate, Verdict};
use support::objects::ObjectServer;
use support::project::Project;

/// A project whose programs reach the server with credentials of the environment.
fn project(server: &ObjectServer) -> Project {
    support::objects::project(&server.url)
}

fn pipeline(project: &Project, files: &str) {
    let text = format!("source \"sales\" {{ {files} }}\nsink \"out\" {{ in \"sales\"; file \"out.csv\" }}\n");
    project.write("flow.kdl", &text);
}

/// Runs; gives the objects that were read, by name.
fn run(project: &Project) -> Vec<String> {
    let output = project.flowc(&["run", "--json"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let events = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let read = events.filter(|event| event["event"] == "file-read");
    let mut objects: Vec<String> = read.map(|event| event["file"].as_str().unwrap().to_owned()).collect();
    objects.sort();
    objects
}

fn written(project: &Project) -> String {
    std::fs::read_to_string(project.folder().join("out.csv")).unwrap()
}

/// What a command says, which fails.
fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    // Messages are wrapped where the terminal ends.
    said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

#[test]
fn a_rerun_reads_the_objects_that_changed() {
    let server = ObjectServer::new();
    let project = project(&server);
    server.put("2026/day=1/a.csv", "id,amount\n1,10\n");
    server.put("2026/day=2/a.csv", "id,amount\n2,20\n");
    server.put("2026/readme.txt", "no rows");
    pipeline(&project, "files \"s3://sales/2026/**/*.csv\" partitions=#true");
    assert_eq!(run(&project), ["s3://sales/2026/day=1/a.csv", "s3://sales/2026/day=2/a.csv"]);
    assert_eq!(written(&project), "id,amount,day\n1,10,1\n2,20,2\n");
    assert_eq!(run(&project), [""; 0]);
    server.put("2026/day=2/a.csv", "id,amount\n2,21\n");
    server.put("2026/day=3/a.csv", "id,amount\n3,30\n");
    assert_eq!(run(&project), ["s3://sales/2026/day=2/a.csv", "s3://sales/2026/day=3/a.csv"]);
    assert_eq!(written(&project), "id,amount,day\n1,10,1\n2,21,2\n3,30,3\n");
    server.delete("2026/day=1/a.csv");
    assert_eq!(run(&project), [""; 0]);
    assert_eq!(written(&project), "id,amount,day\n2,21,2\n3,30,3\n");
}

#[test]
fn every_format_is_read_as_from_a_file() {
    let server = ObjectServer::new();
    let project = project(&server);
    let rows: String = (0..200_000).map(|n| format!("{n},name {n}\n")).collect();
    project.write("rows.csv", &format!("n,t\n{rows}"));
    let sinks = ["csv", "jsonl", "parquet", "arrow", "csv.gz"];
    let sink = |ending: &&str| {
        format!("sink \"{}\" {{ in \"rows\"; file \"made/rows.{ending}\" }}\n", ending.replace('.', "-"))
    };
    let text: String = sinks.iter().map(sink).collect();
    project.write("make.kdl", &format!("source \"rows\" {{ files \"rows.csv\" }}\n{text}"));
    let made = project.shell("flowc run make.kdl");
    assert!(made.starts_with("exit 0"), "{made}");
    for ending in sinks {
        let bytes = std::fs::read(project.folder().join(format!("made/rows.{ending}"))).unwrap();
        server.put(&format!("rows.{ending}"), bytes);
        pipeline(&project, &format!("files \"s3://sales/rows.{ending}\""));
        assert_eq!(run(&project), [format!("s3://sales/rows.{ending}")]);
        assert_eq!(written(&project), format!("n,t\n{rows}"), "{ending}");
    }
}

#[test]
fn an_object_that_was_copied_runs_nothing() {
    let server = ObjectServer::new();
    let project = project(&server);
    server.put("a.csv", "id\n1\n2\n");
    let stage =
        "stage \"kept\" { in \"sales\"; std \"filter@1\"; config { where { column \"id\"; op \">\"; value 1 } } }";
    let text = |key: &str| {
        format!(
            "source \"sales\" {{ files \"s3://sales/{key}\" }}\n{stage}\nsink \"out\" {{ in \"kept\"; file \"out.csv\" }}\n"
        )
    };
    project.write("flow.kdl", &text("a.csv"));
    let first = project.shell("flowc run");
    assert!(first.starts_with("exit 0"), "{first}");
    server.put("b.csv", "id\n1\n2\n");
    project.write("flow.kdl", &text("b.csv"));
    let second = project.shell("flowc run --json | grep -c '\"event\":\"task-started\"'");
    assert!(second.contains("--- stdout\n0\n"), "{second}");
}

#[test]
fn the_plan_shows_addresses_and_no_credentials() {
    let server = ObjectServer::new();
    let project = project(&server);
    server.put("a.csv", "id\n1\n");
    pipeline(&project, "files \"s3://sales/*.csv\"");
    let plan = project.shell("flowc plan; flowc run; flowc plan --json");
    assert!(plan.contains("s3://sales/*.csv") && !plan.contains("hidden-secret"), "{plan}");
    assert_eq!(project.shell("grep -rl hidden-secret . ~"), "exit 1\n");
}

#[test]
fn profiles_and_anonymous_requests_are_credentials_too() {
    let server = ObjectServer::new();
    server.put("a.csv", "id\n1\n");
    let mut project = Project::new();
    pipeline(&project, &format!("files \"s3://sales/a.csv\" endpoint=\"{}\" anonymous=#true", server.url));
    let denied = failure(&project, "flowc run");
    assert!(denied.contains("s3://sales/a.csv: permission denied (403 Forbidden"), "{denied}");
    assert!(denied.contains("flow.kdl:1"), "{denied}");
    let home = project.root().join("home/.aws");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("config"), format!("[profile work]\nregion=us-east-1\nendpoint_url = {}\n", server.url))
        .unwrap();
    std::fs::write(home.join("credentials"), "[work]\naws_access_key_id = test\naws_secret_access_key = test\n")
        .unwrap();
    pipeline(&project, "files \"s3://sales/a.csv\"");
    project.set("AWS_PROFILE", "work".to_owned());
    run(&project);
    assert_eq!(written(&project), "id\n1\n");
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let server = ObjectServer::new();
    let project = project(&server);
    server.put("a.csv", "id\n1\n");
    let said = |files: &str| {
        pipeline(&project, files);
        failure(&project, "flowc run")
    };
    let no_bucket = said("files \"s3://nowhere/*.csv\"");
    assert!(no_bucket.contains("s3://nowhere: there is no such bucket (404"), "{no_bucket}");
    let no_match = said("files \"s3://sales/*.tsv\"");
    assert!(no_match.contains("no object matches `s3://sales/*.tsv`"), "{no_match}");
    let no_object = said("files \"s3://sales/A.csv\"");
    assert!(no_object.contains("no object matches `s3://sales/A.csv`"), "{no_object}");
    let not_parquet = said("files \"s3://sales/a.csv\"; format \"parquet\"");
    assert!(not_parquet.contains("s3://sales/a.csv: not valid Parquet"), "{not_parquet}");
}

#[test]
fn web_servers_give_named_objects() {
    let server = ObjectServer::new();
    let project = project(&server);
    project.write("served/a b.csv", "id\n1\n");
    // It gives no ranges of bytes.
    let web = "python3 -u -m http.server --bind 127.0.0.1 --directory served 0 > port 2>&1 & \
               while ! grep -q 'port [0-9]' port; do sleep 0.1; done; \
               sed -i \"s/PORT/$(grep -o 'port [0-9]*' port | grep -o '[0-9]*')/\" flow.kdl; \
               flowc run && flowc show sum --csv; code=$?; kill $!; cat out.csv; exit $code";
    let sum = "stage \"sum\" { in \"sales\"; sql \"SELECT sum(id) AS sum FROM sales\" }";
    project.write(
        "flow.kdl",
        &format!(
            "source \"sales\" {{ files \"http://127.0.0.1:PORT/a%20b.csv\" }}\n{sum}\nsink \"out\" {{ in \"sum\"; file \"out.csv\" }}\n"
        ),
    );
    let said = project.shell(web);
    assert!(said.starts_with("exit 0") && said.matches("sum\n1\n").count() == 2, "shown and written: {said}");
}

#[test]
fn an_object_that_changes_between_listing_and_reading_is_refused() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let mut project = project(&server);
    project.set("AWS_ENDPOINT_URL", gate.url.clone());
    server.put("a.csv", "id\n1\n");
    pipeline(&project, "files \"s3://sales/*.csv\"; schema { column \"id\" \"Int64\" }");
    let (other, first) = (server.writer(), AtomicBool::new(true));
    gate.set(move |asked| {
        if asked.method == "GET" && asked.target.ends_with("/a.csv") && first.swap(false, Ordering::SeqCst) {
            other.put("a.csv", "id\n2\n");
        }
        Verdict::Pass
    });
    let said = failure(&project, "flowc run");
    assert!(said.contains("exit 1") && said.contains("s3://sales/a.csv: it was written again or deleted"), "{said}");
    assert!(!project.folder().join("out.csv").exists());
    run(&project);
    assert_eq!(written(&project), "id\n2\n");
}

/// A network, a service or credentials that fail are no mistake in the pipeline: the exit code says so, also before the columns are known.
#[test]
fn what_fails_outside_is_no_mistake_in_the_pipeline() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let mut project = project(&server);
    project.set("AWS_ENDPOINT_URL", gate.url.clone());
    pipeline(&project, "files \"s3://sales/a.csv\"");
    let said = |status: &'static str, code: &'static str| {
        gate.set(move |_| Verdict::Answer(status, format!("<Error><Code>{code}</Code><Message>No.</Message></Error>")));
        failure(&project, "flowc run")
    };
    for (status, code, reason) in [
        ("403 Forbidden", "AccessDenied", "permission denied"),
        ("400 Bad Request", "ExpiredToken", "the credentials have expired"),
        ("403 Forbidden", "InvalidAccessKeyId", "the service refuses the credentials"),
    ] {
        let said = said(status, code);
        assert!(said.starts_with("exit 1") && said.contains(reason) && said.contains("flow.kdl:1"), "{said}");
    }
    let mut nowhere = Project::new();
    nowhere.set("NO_PROXY", "127.0.0.1".to_owned());
    pipeline(&nowhere, "files \"s3://sales/*.csv\" endpoint=\"http://127.0.0.1:1\" anonymous=#true");
    let said = failure(&nowhere, "flowc run");
    assert!(
        said.starts_with("exit 1") && said.contains("no answer (") && said.contains("Connection refused"),
        "{said}"
    );
    for store in ["gs", "az"] {
        pipeline(&nowhere, &format!("files \"{store}://sales/*.csv\""));
        let said = failure(&nowhere, "flowc run");
        assert!(said.starts_with("exit 1") && said.contains("there are no credentials"), "{said}");
    }
}

#[test]
fn a_long_listing_is_read_page_by_page() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let mut project = project(&server);
    project.set("AWS_ENDPOINT_URL", gate.url.clone());
    let pages = if std::env::var_os("FLOWC_LONG").is_some() { 100 } else { 3 };
    pipeline(&project, "files \"s3://sales/2026/*.csv\"; schema { column \"id\" \"Int64\" }");
    gate.set(move |asked| {
        let token = asked.target.split(['?', '&']).find_map(|pair| pair.strip_prefix("continuation-token="));
        let page: usize = token.map_or(0, |token| token.parse().unwrap());
        let entry = |number: usize| {
            format!(
                "<Contents><Key>2026/{page:03}-{number:03}.csv</Key><LastModified>2026-11-02T10:00:00.000Z</LastModified>\
                 <ETag>\"{page}-{number}\"</ETag><Size>5</Size></Contents>"
            )
        };
        let entries: String = (0..1000).map(entry).collect();
        let next = match page + 1 < pages {
            true => format!("<NextContinuationToken>{}</NextContinuationToken>", page + 1),
            false => String::new(),
        };
        Verdict::Answer("200 OK", format!("<ListBucketResult>{entries}{next}</ListBucketResult>"))
    });
    let said = project.shell("flowc plan");
    assert!(said.starts_with("exit 0") && said.contains(&format!("{} object", pages * 1000)), "{said}");
    assert_eq!(gate.seen().len(), pages);
}
