//! The worked pipelines that read and write databases, and what `flowc serve` offers read by ADBC.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;
use support::databases::{Database, PASSWORD, Server, drivers, project};
use support::project::Project;
use support::server::Server as Served;
use support::worked::Run;

const TOKEN: &str = "a-token-of-the-tests-0123456789";

fn folder(pipeline: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines").join(pipeline)
}

fn text(project: &Project, file: &str) -> String {
    std::fs::read_to_string(project.folder().join(file)).unwrap()
}

/// Holds a second run against the first one: nothing ran.
fn runs_nothing(report: &Value) {
    for stage in report["stages"].as_array().unwrap() {
        assert_eq!(stage["segments_ran"], 0, "{stage}");
    }
}

#[test]
fn the_words_of_podcasts_are_counted() {
    let folder = folder("podcasts");
    let mut worked = Run::new(&folder);
    worked.project.set("ADBC_DRIVER_PATH", drivers().to_string_lossy().into_owned());
    let database = Connection::open(worked.project.folder().join("podcasts.db")).unwrap();
    database.execute_batch(&std::fs::read_to_string(folder.join("database/podcasts.sql")).unwrap()).unwrap();
    worked.run(&[]);
    worked.check_rows();
    worked.check_files();
    runs_nothing(&worked.run(&[]));
    // The table has what the stream has.
    let counted = "SELECT count(*) || ' ' || sum(count) || ' ' || max(count) FROM words";
    let words: String = database.query_row(counted, (), |row| row.get(0)).unwrap();
    let expected = text(&worked.project, "out/frequent.csv");
    let most = expected.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<i64>().unwrap()).max();
    assert!(words.ends_with(&format!(" {}", most.unwrap())), "{words}");
}

/// The worked pipeline of departures, whose table is there.
fn departures<'f>(folder: &'f Path, database: &Database<'_>) -> Run<'f> {
    database.psql(&std::fs::read_to_string(folder.join("database/hours.sql")).unwrap());
    let mut worked = Run::new(folder).with(&["--param".to_owned(), format!("database={}", database.uri())]);
    let drivers = drivers().to_string_lossy().into_owned();
    for (name, value) in [("ADBC_DRIVER_PATH", drivers), ("PGPASSWORD", PASSWORD.to_owned())] {
        worked.project.set(name, value);
    }
    worked.project.set("FLOWC_SERVE_TOKEN", TOKEN.to_owned());
    worked
}

#[test]
fn the_departures_of_a_storm_are_kept_and_served() {
    let (folder, database) = (folder("departures"), Server::shared().database());
    let worked = departures(&folder, &database);
    worked.run(&[]);
    worked.check_rows();
    worked.check_files();
    runs_nothing(&worked.run(&[]));
    let totals = "SELECT count(*), sum(flights), sum(cancelled), count(DISTINCT note) FROM hours";
    assert_eq!(database.psql(totals), "159,2546,869,1");
    // A note of somebody else stays when a day comes anew.
    database.psql("UPDATE hours SET note = 'closed' WHERE cancelled = flights");
    let file = "data/flights/2013-02-08.csv";
    let (first, rest) =
        text(&worked.project, file).split_once("\n2013").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    worked.project.write(file, &format!("{first}\n2013-02-08T10:00:00Z,EWR,ORD,UA,9999,N14228,7\n2013{rest}"));
    let third = worked.run(&[]);
    let joined = third["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "departures").unwrap();
    assert_eq!(joined["segments_ran"], 1);
    assert_eq!(database.psql(totals), "159,2547,869,2");
    // What is served is read by the second pipeline.
    let served = Served::start(&worked.project, &["hours"]);
    let said = worked.project.shell(&format!("flowc run storm.kdl --param server={}", served.uri()));
    assert!(said.starts_with("exit 0"), "{said}");
    let expected = folder.join("storm.csv");
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(&expected, text(&worked.project, "out/closed.csv")).unwrap();
    }
    assert_eq!(text(&worked.project, "out/closed.csv"), std::fs::read_to_string(expected).unwrap());
    served.end();
}

#[test]
fn what_is_served_is_read_by_the_driver_of_flight_sql() {
    let mut project = project();
    project.set("FLOWC_SERVE_TOKEN", TOKEN.to_owned());
    project.write("words.csv", "word,n\napple,3\npear,5\nfig,1\n");
    project.write(
        "flow.kdl",
        "source \"words\" { files \"words.csv\" }
         stage \"big\" { in \"words\"; sql \"SELECT word, n, [n, NULL] AS list, CAST(n AS DECIMAL(9, 2)) AS d FROM words WHERE n > 2\" }
         sink \"big\" { in \"big\"; file \"big.csv\"; format \"jsonl\" }\n",
    );
    let run = |line: &str| {
        let said = project.shell(line);
        assert!(said.starts_with("exit 0"), "{said}");
    };
    run("flowc run");
    let served = Served::start(&project, &[]);
    let secret = "secret \"FLOWC_SERVE_TOKEN\" option=\"password\"";
    let read = |rows: &str, user: &str| {
        let adbc =
            format!("adbc \"flightsql\" uri=\"{}\" {rows} option \"username\" \"{user}\"; {secret} }}", served.uri());
        project
            .write("read.kdl", &format!("source \"t\" {{ {adbc} }}\nsink \"o\" {{ in \"t\"; file \"out.jsonl\" }}\n"));
    };
    for (rows, expected) in [
        ("table=\"big\" {", text(&project, "big.csv")),
        ("table=\"public.big\" { order-by \"n\";", text(&project, "big.csv")),
        ("{ query \"SELECT sum(n) AS n FROM words\";", "{\"n\":9}\n".to_owned()),
    ] {
        read(rows, "reader");
        run("rm -f read.lock; flowc run read.kdl");
        assert_eq!(text(&project, "out.jsonl"), expected, "{rows}");
    }
    // Credentials that hold no longer: the server has another token now.
    drop(served);
    project.set("FLOWC_SERVE_TOKEN", "another-token-of-the-tests-012345".to_owned());
    let served = Served::start(&project, &[]);
    project.set("FLOWC_SERVE_TOKEN", TOKEN.to_owned());
    let adbc = format!(
        "adbc \"flightsql\" uri=\"{}\" table=\"big\" {{ option \"username\" \"reader\"; {secret} }}",
        served.uri()
    );
    project.write("read.kdl", &format!("source \"t\" {{ {adbc} }}\nsink \"o\" {{ in \"t\"; file \"other.jsonl\" }}\n"));
    let said = project.shell("flowc run read.kdl");
    assert!(!said.starts_with("exit 0") && said.contains("the token is not accepted"), "{said}");
    assert!(!said.contains(TOKEN) && !project.folder().join("other.jsonl").exists(), "{said}");
}
