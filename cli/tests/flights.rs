//! Rows of servers of Arrow Flight as sources: what another pipeline serves, and servers that are not as they should be.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Output, Stdio};

use support::oracle::Oracle;
use support::project::Project;
use support::server::Server;

const TOKEN: &str = "a-token-of-the-tests-0123456789";

const SERVED: &str = r#"
source "words" { files "words.csv" }
stage "totals" { in "words"; sql "SELECT word, sum(n) AS total FROM words GROUP BY word" }
sink "totals" { in "totals"; file "totals.csv" }
"#;

fn run(project: &Project) -> String {
    let Output { status, stderr, .. } = project.flowc(&["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{said}");
    said
}

/// What a run says that fails, with its exit code.
fn failure(project: &Project) -> (i32, String) {
    let Output { status, stderr, .. } = project.flowc(&["run"]).output().unwrap();
    (status.code().unwrap(), String::from_utf8_lossy(&stderr).into_owned())
}

fn read(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.folder().join(name)).unwrap()
}

fn served(words: &str) -> Project {
    let project = Project::new();
    project.write("words.csv", &format!("word,n\n{words}"));
    project.write("flow.kdl", SERVED);
    run(&project);
    project
}

/// A pipeline that reads a flight and doubles its numbers.
fn reader(server: &str, ask: &str, within: &str) -> Project {
    let mut project = Project::new();
    project.set("FLIGHT_TOKEN", TOKEN.to_owned());
    pipeline(&project, server, ask, within);
    project
}

fn pipeline(project: &Project, server: &str, ask: &str, within: &str) {
    project.write(
        "flow.kdl",
        &format!(
            "source \"totals\" {{ flight \"{server}\" {ask} {{ {within} }} }}
             stage \"double\" {{ in \"totals\"; sql \"SELECT word, total * 2 AS twice FROM totals ORDER BY word\" }}
             sink \"double\" {{ in \"double\"; file \"double.csv\" }}"
        ),
    );
}

const FIRST: &str = "word,twice\na,6\nb,4\n";
const SECOND: &str = "word,twice\na,6\nb,4\nc,10\n";

#[test]
fn a_pipeline_reads_what_another_serves() {
    let served = served("a,1\nb,2\na,2\n");
    served.write("tokens.txt", TOKEN);
    let file = served.root().join("serve.json");
    let secured = Server::start(
        &served,
        &["--listen", "localhost:0", "--tls", "--credentials", file.to_str().unwrap(), "totals"],
    );
    let plain = Server::start(&served, &["--tokens", "tokens.txt"]);
    for ask in ["ticket=\"totals\"", "path=\"totals\"", "command=\"totals\"", "sql=\"SELECT * FROM totals\""] {
        let reader = reader(plain.uri(), ask, "secret \"FLIGHT_TOKEN\"");
        run(&reader);
        assert_eq!(read(&reader, "double.csv"), FIRST, "{ask}");
        assert!(run(&reader).contains("1 stage: 1 cached"), "the same rows, so nothing runs");
    }
    let credentials: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let within = "secret \"FLIGHT_TOKEN\" file=\"token\"; tls ca=\"ca.pem\"";
    let reader = reader(secured.uri(), "sql=\"SELECT word, total FROM totals WHERE total > 0\"", within);
    reader.write("token", credentials["token"].as_str().unwrap());
    reader.write("ca.pem", credentials["certificate"].as_str().unwrap());
    run(&reader);
    assert_eq!(read(&reader, "double.csv"), FIRST);
    reader.write("token", "wrong-wrong-wrong");
    let (code, said) = failure(&reader);
    assert!(code != 0 && said.contains("does not accept who asks") && !said.contains("wrong-wrong"), "{said}");
}

#[test]
fn what_was_read_stands_as_long_as_the_text_says() {
    let served = served("a,1\nb,2\na,2\n");
    let server = Server::start(&served, &["--no-auth"]);
    let anew = reader(server.uri(), "ticket=\"totals\"", "");
    let hour = reader(server.uri(), "ticket=\"totals\"", "ttl \"1h\"");
    let pinned = reader(server.uri(), "ticket=\"totals\"", "pin \"one\"");
    let uri = server.uri().to_owned();
    for project in [&anew, &hour, &pinned] {
        run(project);
        assert_eq!(read(project, "double.csv"), FIRST);
        assert!(run(project).contains("1 stage: 1 cached"));
    }
    served.write("words.csv", "word,n\na,1\nb,2\na,2\nc,5\n");
    run(&served);
    for (project, due) in [(&anew, SECOND), (&hour, FIRST), (&pinned, FIRST)] {
        run(project);
        assert_eq!(read(project, "double.csv"), due);
    }
    pipeline(&pinned, &uri, "ticket=\"totals\"", "pin \"two\"");
    run(&pinned);
    assert_eq!(read(&pinned, "double.csv"), SECOND);
    drop(server);
    for project in [&hour, &pinned] {
        assert!(run(project).contains("1 stage: 1 cached"), "nobody is asked");
        assert!(project.flowc(&["store", "gc"]).status().unwrap().success());
        let shown = project.flowc(&["show", "totals", "--csv"]).output().unwrap();
        assert!(shown.status.success(), "what is kept stays: {shown:?}");
    }
    for (output, due) in [("totals", "word,total\na,3\nb,2\nc,5\n"), ("double", SECOND)] {
        let shown = anew.flowc(&["show", output, "--csv"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shown.stdout), due, "what the last run read: {shown:?}");
    }
    let (code, said) = failure(&anew);
    assert!(code != 0 && said.contains("it can't be reached"), "{said}");
    assert_eq!(read(&anew, "double.csv"), SECOND, "what was written stays");
}

/// A server in Python.
struct Odd {
    process: Child,
    uri: String,
}

impl Odd {
    fn start() -> Self {
        let (project, clients) = (Project::new(), Oracle::clients());
        let mut command = clients.command(&project, "server.py", &format!("serve {TOKEN}"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, uri: format!("grpc://127.0.0.1:{}", port.trim()) }
    }

    /// A pipeline that copies what it gives.
    fn copy(&self, ask: &str, columns: &str) -> Project {
        let mut project = Project::new();
        project.set("FLIGHT_TOKEN", TOKEN.to_owned());
        let uri = &self.uri;
        project.write(
            "flow.kdl",
            &format!(
                "source \"in\" {{ flight \"{uri}\" {ask} {{ secret \"FLIGHT_TOKEN\" }}; {columns} }}
                 sink \"out\" {{ in \"in\"; file \"out.csv\" }}"
            ),
        );
        project
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn servers_are_read_in_their_order_or_not_at_all() {
    let server = Odd::start();
    for (ask, due) in [
        ("command=\"all\"", "n\n20\n21\n22\n0\n1\n2\n10\n11\n12\n"),
        ("ticket=\"kinds\"", "kind,n\na,1\nb,2\na,3\n,4\n"),
        ("ticket=\"empty\"", "n\n"),
    ] {
        let project = server.copy(ask, "");
        run(&project);
        assert_eq!(read(&project, "out.csv"), due, "{ask}");
    }
    let declared = "schema { column \"n\" \"Int64\" }";
    for (ask, columns, words) in [
        ("ticket=\"nothing\"", "", "nothing is called nothing"),
        ("ticket=\"fails\"", declared, "ended after 2000 rows, before its end"),
        ("ticket=\"changes\"", "", "there is no column `n`; its columns are `m`"),
        ("ticket=\"kinds\"", "schema { column \"n\" \"Utf8\" }", "`n`"),
        ("ticket=\"dies\"", declared, "before its end"),
    ] {
        let project = server.copy(ask, columns);
        let (code, said) = failure(&project);
        assert!(code != 0 && said.contains(words) && !said.contains("panicked"), "{ask}: {said}");
        assert!(!project.folder().join("out.csv").exists());
    }
}

#[test]
fn a_message_that_is_too_large_is_refused() {
    let server = Odd::start();
    let project = server.copy("ticket=\"large\"", "schema { column \"text\" \"LargeUtf8\" }");
    let (code, said) = failure(&project);
    assert!(code != 0 && said.contains("a message of more than 1024 MiB"), "{said}");
}
