//! Stored results over Arrow Flight: the clients that people have read them, and see new runs; nobody else does.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::oracle::Oracle;
use support::project::Project;
use support::server::Server;

const PIPELINE: &str = r#"
source "words" { files "words.csv" }
stage "big" { in "words"; sql "SELECT word, n, n * 2 AS twice FROM words WHERE n >= 3" }
stage "totals" { in "words"; sql "SELECT word, sum(n) AS total FROM words GROUP BY word" }
sink "big" { in "big"; file "big.csv" }
sink "totals" { in "totals"; file "totals.csv" }
"#;

const TOKEN: &str = "a-token-of-the-tests-0123456789";

/// The version of the driver that database tools bring.
const DRIVER: &str = "18.3.0";

fn project() -> Project {
    let project = Project::new();
    project.write("words.csv", "word,n\napple,3\npear,5\nfig,1\napple,4\n");
    project.write("flow.kdl", PIPELINE);
    run(&project);
    project
}

fn run(project: &Project) {
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a server says that does not come up.
fn refusal(project: &Project, arguments: &[&str]) -> String {
    // The usual port may be taken.
    let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
    let Output { status, stderr, .. } = project.flowc(&[&["serve"], listen, arguments].concat()).output().unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8_lossy(&stderr).into_owned()
}

#[test]
fn clients_read_tables_and_send_statements() {
    let (project, clients) = (project(), Oracle::clients());
    let server = Server::start(&project, &["--no-auth"]);
    assert_eq!(server.said["tables"], serde_json::json!(["big", "totals", "words"]));
    let uri = server.uri().to_owned();
    assert!(uri.starts_with("grpc://127.0.0.1:"), "{uri}");
    clients.run(&project, "clients.py", &format!("flight {uri}"));
    clients.run(&project, "clients.py", &format!("sql {uri}"));
    let told = server.end();
    let of = |query: &str| told.iter().find(|event| event["query"] == query).unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(of("SELECT 1 AS one")["rows"], 1);
    assert_eq!(of("words")["rows"], 4);
    assert_eq!(of("SELECT * FROM totals")["error"], serde_json::Value::Null);
    // What is refused before it is run is told, too.
    for (query, error) in [
        ("SELECT wrd FROM words", "there is no column `wrd`"),
        ("DELETE FROM totals", "read, not written"),
        ("word", "there is no table `word`"),
    ] {
        assert!(of(query)["error"].as_str().is_some_and(|told| told.contains(error)), "{told:?}");
    }
}

#[test]
fn database_tools_ask_over_jdbc() {
    let project = project();
    project.write("tokens.txt", &format!("# of the tests\n{TOKEN}\n"));
    let server = Server::start(&project, &["--tokens", "tokens.txt"]);
    let address = server.uri().strip_prefix("grpc://").unwrap();
    let url = format!("jdbc:arrow-flight-sql://{address}/?useEncryption=false");
    let due = std::fs::read_to_string(folder("tests/clients").join("jdbc.txt")).unwrap();
    for login in [&[TOKEN][..], &["anybody", TOKEN]] {
        let Output { status, stdout, stderr } = jdbc(&url, login);
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        assert_eq!(String::from_utf8_lossy(&stdout), due);
    }
    for login in [&[][..], &["anybody", "wrong-wrong-wrong"]] {
        let Output { status, stderr, .. } = jdbc(&url, login);
        let said = String::from_utf8_lossy(&stderr);
        assert!(!status.success() && said.contains("token"), "{said}");
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Asks as a database tool does.
fn jdbc(url: &str, login: &[&str]) -> Output {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jdbc");
    let driver = tools.join(format!("flight-sql-jdbc-driver-{DRIVER}.jar"));
    if !driver.exists() {
        let artifact = format!("-Dartifact=org.apache.arrow:flight-sql-jdbc-driver:{DRIVER}");
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy", &artifact]);
        let fetched = maven.arg(format!("-DoutputDirectory={}", tools.display())).status();
        assert!(fetched.is_ok_and(|status| status.success()), "the test needs Java 17 and Maven");
    }
    let mut java = Command::new("java");
    java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp"]);
    java.arg(driver).arg(folder("tests/clients").join("Client.java")).arg(url).args(login).output().unwrap()
}

#[test]
fn who_has_no_token_is_refused() {
    let (project, clients) = (project(), Oracle::clients());
    let file = project.root().join("serve.json");
    let server =
        Server::start(&project, &["--tls", "--listen", "localhost:0", "--credentials", file.to_str().unwrap()]);
    let credentials = std::fs::read_to_string(&file).unwrap();
    let credentials: serde_json::Value = serde_json::from_str(&credentials).unwrap();
    assert_eq!(credentials["uri"], server.said["uri"]);
    assert!(server.uri().starts_with("grpc+tls://localhost:"));
    assert_eq!(server.said["fingerprint"].as_str().unwrap().len(), 64);
    let (token, certificate) = (credentials["token"].as_str().unwrap(), project.root().join("certificate.pem"));
    std::fs::write(&certificate, credentials["certificate"].as_str().unwrap()).unwrap();
    clients.run(&project, "clients.py", &format!("token {} {token} {}", server.uri(), certificate.display()));
    let told = server.end();
    assert!(!told.is_empty() && told.iter().all(|event| !event.to_string().contains(token)), "{told:?}");
    assert!(!file.exists());
}

#[test]
fn nothing_is_open_to_others_by_mistake() {
    let project = project();
    let said = refusal(&project, &[]);
    assert!(said.contains("--tokens FILE") && said.contains("--no-auth"), "{said}");
    let said = refusal(&project, &["--no-auth", "--listen", "0.0.0.0:0"]);
    assert!(said.contains("reached from other hosts"), "{said}");
    project.write("tokens.txt", "short\n");
    let said = refusal(&project, &["--tokens", "tokens.txt"]);
    assert!(said.contains("line 1") && !said.contains("`short`"), "{said}");
    let said = refusal(&project, &["--no-auth", "totls"]);
    assert!(said.contains("there is no sink or stream `totls`; did you mean `totals`?"), "{said}");
    let said = refusal(&project, &["--no-auth", "--listen", "nowhere"]);
    assert!(said.contains("can't listen at nowhere"), "{said}");
    let said = refusal(&project, &["--no-auth", "--tls-cert", "none.pem", "--tls-key", "none.pem"]);
    assert!(said.contains("none.pem"), "{said}");
    let said = refusal(&project, &["--no-auth", "--store", project.root().join("other").to_str().unwrap()]);
    assert!(said.contains("no good run in this store"), "{said}");
}

#[test]
fn the_last_good_run_is_what_new_queries_see() {
    let (project, clients) = (project(), Oracle::clients());
    let server = Server::start(&project, &["--no-auth", "totals"]);
    let sees = |total: u64| clients.run(&project, "clients.py", &format!("total {} {total}", server.uri()));
    sees(13);
    project.write("words.csv", "word,n\napple,3\npear,5\nfig,1\napple,4\nplum,100\n");
    sees(13);
    run(&project);
    sees(113);
    // An edited pipeline is nothing yet, and one that fails never is.
    project.write("flow.kdl", &PIPELINE.replace("sum(n)", "1000 * sum(n)"));
    sees(113);
    project.write("words.csv", "word,n\napple,three\n");
    assert!(!project.flowc(&["run"]).status().unwrap().success());
    sees(113);
    project.write("words.csv", "word,n\napple,3\n");
    run(&project);
    sees(3000);
    assert!(project.flowc(&["store", "gc"]).status().unwrap().success());
    sees(3000);
}

/// A million rows in several segments.
fn numbers() -> Project {
    let project = Project::new();
    let rows: String = (0..1_000_000).map(|n| format!("{n}\n")).collect();
    project.write("numbers.csv", &format!("n\n{rows}"));
    project.write(
        "flow.kdl",
        "source \"in\" { files \"numbers.csv\" }
         stage \"numbers\" { in \"in\"; sql \"SELECT n + 0 AS n, 'row ' || n AS t FROM \\\"in\\\"\" }
         sink \"numbers\" { in \"numbers\"; file \"numbers.parquet\" }",
    );
    run(&project);
    project
}

#[test]
fn what_is_being_read_stays() {
    let (project, clients) = (numbers(), Oracle::clients());
    let server = Server::start(&project, &["--no-auth"]);
    let mut command = clients.command(&project, "clients.py", &format!("held {}", server.uri()));
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "begun\n");
    // Nothing needs the rows any more but who reads them.
    project.write("numbers.csv", "n\n1\n");
    run(&project);
    assert!(project.flowc(&["store", "gc"]).status().unwrap().success());
    client.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_statement_that_takes_too_long_is_ended() {
    let (project, clients) = (numbers(), Oracle::clients());
    let server = Server::start(&project, &["--no-auth", "--timeout", "2s", "--queries", "1"]);
    clients.run(&project, "clients.py", &format!("limits {}", server.uri()));
    let failed: Vec<_> = server.end().into_iter().filter(|event| !event["error"].is_null()).collect();
    assert!(failed.len() == 1 && failed[0]["error"].as_str().unwrap().contains("took longer than 2s"), "{failed:?}");
}

#[test]
fn a_statement_that_takes_too_long_to_plan_is_ended() {
    let (project, clients) = (project(), Oracle::clients());
    let server = Server::start(&project, &["--no-auth", "--timeout", "2s"]);
    clients.run(&project, "clients.py", &format!("endless {}", server.uri()));
}

#[test]
fn statements_that_end_their_planner_are_nothing_to_others() {
    let (project, clients) = (project(), Oracle::clients());
    let server = Server::start(&project, &["--no-auth", "--memory", "256MiB"]);
    clients.run(&project, "clients.py", &format!("hostile {}", server.uri()));
}
