//! Rows of databases as sources: SQLite, DuckDB and PostgreSQL, by their ADBC drivers.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use rusqlite::Connection;
use serde_json::Value;
use support::databases::{PASSWORD, Server, project};
use support::project::Project;

/// A database with events, of which there are so many.
fn events(project: &Project, count: i64) -> Connection {
    let connection = Connection::open(project.folder().join("app.db")).unwrap();
    let made = "CREATE TABLE events (id INTEGER PRIMARY KEY, day TEXT, amount REAL, note TEXT);";
    connection.execute_batch(made).unwrap();
    add_events(&connection, 0, count);
    connection
}

fn add_events(connection: &Connection, first: i64, end: i64) {
    let rows = "WITH RECURSIVE n(id) AS (SELECT ?1 UNION ALL SELECT id + 1 FROM n WHERE id + 1 < ?2)
         INSERT INTO events SELECT id, 'day ' || (id % 7), id / 4.0, CASE WHEN id % 3 > 0 THEN 'a note' END FROM n";
    connection.execute(rows, (first, end)).unwrap();
}

/// A pipeline that counts the events of each day.
fn pipeline(project: &Project, adbc: &str) {
    project.write(
        "flow.kdl",
        &format!(
            "source \"events\" {{ {adbc} }}
             stage \"big\" {{ in \"events\"; std \"filter@1\"; config {{ where {{ column \"id\"; op \">=\"; value 0 }} }} }}
             stage \"days\" {{ in \"big\"; std \"count@1\"; config {{ by \"day\" }} }}
             sink \"days\" {{ in \"days\"; file \"out/days.csv\" }}
             sink \"rows\" {{ in \"events\"; file \"out/rows.csv\" }}\n"
        ),
    );
}

const TABLE: &str = "adbc \"sqlite\" uri=\"app.db\" table=\"events\"";

/// The report of a run, which goes well.
fn run(project: &Project) -> Value {
    let output = project.flowc(&["run", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap()
}

/// How many segments a stage has run.
fn ran(report: &Value, stage: &str) -> u64 {
    let stages = report["stages"].as_array().unwrap();
    stages.iter().find(|of| of["name"] == stage).unwrap()["segments_ran"].as_u64().unwrap()
}

/// What a command says, which fails. Messages are wrapped where the terminal ends.
fn failure(project: &Project, line: &str) -> String {
    let said = project.shell(line);
    assert!(!said.starts_with("exit 0"), "{said}");
    said.split_whitespace().filter(|word| *word != "│" && *word != "|").collect::<Vec<_>>().join(" ")
}

fn lines(project: &Project, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(project.folder().join(file)).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn rows_are_read_with_their_types_and_again_in_every_run() {
    let project = project();
    let connection = events(&project, 5);
    pipeline(&project, TABLE);
    let first = run(&project);
    assert_eq!(lines(&project, "out/rows.csv")[..3], ["id,day,amount,note", "0,day 0,0.0,", "1,day 1,0.25,a note"]);
    // Rows that are what they were run nothing.
    let second = run(&project);
    assert_eq!((ran(&second, "big"), ran(&second, "days")), (0, 0));
    assert_eq!(first["outputs"], second["outputs"]);
    connection.execute("UPDATE events SET day = 'other' WHERE id = 3", ()).unwrap();
    let third = run(&project);
    assert_eq!((ran(&third, "big"), ran(&third, "days")), (1, 1));
    assert!(lines(&project, "out/days.csv").iter().any(|line| line.starts_with("other")));
    let plan = project.shell("flowc plan");
    assert!(plan.contains("adbc sqlite app.db table events") && plan.contains("open: read by each run"), "{plan}");
    // What the last run read can be looked at, whatever the next one will read.
    connection.execute("DELETE FROM events", ()).unwrap();
    let shown = project.shell("flowc show days --csv");
    assert!(shown.lines().any(|line| line.starts_with("other")), "{shown}");
}

#[test]
fn rows_stand_for_as_long_as_the_pipeline_says() {
    for (keep, says) in [("ttl \"1h\"", "open: stands for 1h"), ("pin \"may\"", "open: pinned as may")] {
        let project = project();
        let connection = events(&project, 5);
        pipeline(&project, &format!("{TABLE} {{ {keep} }}"));
        run(&project);
        connection.execute("UPDATE events SET day = 'other'", ()).unwrap();
        assert_eq!(ran(&run(&project), "big"), 0);
        assert!(!lines(&project, "out/days.csv").iter().any(|line| line.starts_with("other")));
        let plan = project.shell("flowc plan");
        assert!(plan.contains(says), "{plan}");
        // The database is not even asked.
        drop(connection.close());
        std::fs::remove_file(project.folder().join("app.db")).unwrap();
        assert_eq!(ran(&run(&project), "big"), 0);
    }
    let project = project();
    let connection = events(&project, 5);
    let pinned = |label: &str| pipeline(&project, &format!("{TABLE} {{ pin \"{label}\" }}"));
    pinned("may");
    run(&project);
    connection.execute("UPDATE events SET day = 'of june' WHERE id = 1", ()).unwrap();
    assert_eq!(ran(&run(&project), "big"), 0);
    pinned("june");
    assert_eq!(ran(&run(&project), "big"), 1);
    pipeline(&project, &format!("{TABLE} {{ ttl \"1ms\" }}"));
    run(&project);
    connection.execute("UPDATE events SET day = 'other'", ()).unwrap();
    assert_eq!(ran(&run(&project), "big"), 1);
}

#[test]
fn a_row_that_comes_in_between_reruns_one_segment() {
    let project = project();
    let connection = events(&project, 400_000);
    connection.execute("DELETE FROM events WHERE id = 200001", ()).unwrap();
    pipeline(&project, "adbc \"sqlite\" uri=\"app.db\" table=\"events\" { order-by \"id\" }");
    let all = ran(&run(&project), "big");
    assert!(all >= 6, "{all}");
    connection.execute("INSERT INTO events VALUES (200001, 'new', 1.5, NULL)", ()).unwrap();
    let again = ran(&run(&project), "big");
    assert!((1..=2).contains(&again), "{again} of {all}");
    assert_eq!(lines(&project, "out/rows.csv").len(), 400_001);
}

#[test]
fn a_cursor_fetches_what_is_new() {
    let project = project();
    let connection = events(&project, 10);
    pipeline(&project, "adbc \"sqlite\" uri=\"app.db\" table=\"events\" { cursor \"id\" }");
    run(&project);
    assert_eq!(ran(&run(&project), "big"), 0);
    add_events(&connection, 10, 15);
    // What was read before is not read again: nobody sees that it has changed.
    connection.execute("UPDATE events SET day = 'changed' WHERE id = 3", ()).unwrap();
    assert_eq!(ran(&run(&project), "big"), 1);
    let rows = lines(&project, "out/rows.csv");
    assert_eq!((rows.len(), &*rows[4], &*rows[15]), (16, "3,day 3,0.75,", "14,day 0,3.5,a note"));
    // A cursor that may be null would lose rows.
    connection.execute("INSERT INTO events (id, day) VALUES (50, NULL)", ()).unwrap();
    pipeline(&project, "adbc \"sqlite\" uri=\"app.db\" table=\"events\" { cursor \"day\" }");
    let said = failure(&project, "flowc run");
    assert!(said.contains("the column `day` is null in some rows"), "{said}");
}

#[test]
fn ranges_are_read_by_connections_of_their_own() {
    let project = project();
    let connection = events(&project, 1000);
    connection.execute("DELETE FROM events WHERE id = 500", ()).unwrap();
    pipeline(&project, &format!("{TABLE} {{ split \"id\" 4 }}"));
    assert_eq!(ran(&run(&project), "big"), 4);
    assert_eq!(ran(&run(&project), "big"), 0);
    // Ranges stay where they are, wherever rows come in.
    connection.execute("INSERT INTO events VALUES (500, 'new', 1.5, NULL)", ()).unwrap();
    assert_eq!(ran(&run(&project), "big"), 1);
    add_events(&connection, 1000, 1010);
    assert_eq!(ran(&run(&project), "big"), 1);
    let ids = lines(&project, "out/rows.csv").into_iter().skip(1).map(|row| row.split(',').next().unwrap().to_owned());
    assert!(ids.eq((0..1010).map(|id| id.to_string())));
    pipeline(&project, &format!("{TABLE} {{ split \"day\" 4 }}"));
    assert!(failure(&project, "flowc run").contains("rows are split by integers, but its least value is of type Utf8"));
    pipeline(&project, &format!("{TABLE} {{ split \"note\" 4 }}"));
    assert!(failure(&project, "flowc run").contains("the column `note` is null in some rows"));
    connection.execute("DELETE FROM events", ()).unwrap();
    pipeline(&project, &format!("{TABLE} {{ split \"id\" 4 }}"));
    run(&project);
    assert_eq!(lines(&project, "out/rows.csv").len(), 1);
}

#[test]
fn values_are_bound_and_never_pasted() {
    let project = project();
    let connection = events(&project, 10);
    let query =
        "adbc \"sqlite\" uri=\"app.db\" { query \"SELECT * FROM events WHERE day = ? AND id < ?\"; bind \"${day}\" 8 }";
    pipeline(&project, query);
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &format!("param \"day\" default=\"day 0\"\n{text}"));
    run(&project);
    assert_eq!(lines(&project, "out/rows.csv").len(), 3);
    let attack = "x'; DROP TABLE events; --";
    let output = project.flowc(&["run", "--param", &format!("day={attack}")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(&project, "out/rows.csv").len(), 1);
    let count: i64 = connection.query_row("SELECT count(*) FROM events", (), |row| row.get(0)).unwrap();
    assert_eq!(count, 10);
    let pasted = text.replace("day = ?", "day = '${day}'");
    project.write("flow.kdl", &format!("param \"day\" default=\"day 0\"\n{pasted}"));
    let said = failure(&project, "flowc run");
    assert!(said.contains("the parameter `day` can't be pasted into a query") && said.contains("bind"), "{said}");
}

#[test]
fn mistakes_are_told_with_their_place_and_in_the_words_of_the_database() {
    let project = project();
    let database = events(&project, 5);
    let of = |text: &str| format!("adbc \"sqlite\" uri=\"app.db\" {{ query \"{text}\" }}");
    let cases = [
        ("adbc \"nosuch\" uri=\"app.db\" table=\"events\"".to_owned(), "there is no ADBC driver `nosuch`"),
        ("adbc \"sqlite\" uri=\"none.db\" table=\"events\"".to_owned(), "the database `none.db` does not exist"),
        ("adbc \"sqlite\" uri=\"app.db\" table=\"event\"".to_owned(), "no such table: event"),
        (of("SELECT absent FROM events"), "no such column: absent"),
        (of("SELEC 1"), "near \\\"SELEC\\\": syntax error"),
        (of("SELECT * FROM events WHERE id = ?"), "parameter"),
        (of("DELETE FROM events RETURNING id"), "attempt to write a readonly database"),
        (
            "adbc \"sqlite\" uri=\"app.db\" table=\"events\" { secret \"NO_SUCH\" }".to_owned(),
            "the secret `NO_SUCH` is missing",
        ),
        (
            format!("{TABLE} {{ cursor \"idd\" }}"),
            "`cursor` names the column `idd`, which the rows do not have; they have `id`, `day`, `amount`, `note`",
        ),
        (format!("{TABLE} {{ split \"idd\" 3 }}"), "`split` names the column `idd`, which the rows do not have"),
        (of("SELECT 1; DELETE FROM events"), "the query has a second statement: `DELETE FROM events`"),
        (format!("{TABLE} {{ order-by \"id\" \"ttl\" \"1h\" }}"), "no such column: flowc_rows.ttl"),
        (
            "adbc \"sqlite\" uri=\"app.db\" { query \"SELECT day FROM events\"; cursor \"id\" }".to_owned(),
            "`cursor` names the column `id`, which the rows do not have; they have `day`",
        ),
    ];
    for (adbc, expected) in cases {
        pipeline(&project, &adbc);
        let said = failure(&project, "flowc run");
        let expected = expected.replace("\\\"", "\"");
        assert!(said.contains(&expected) && said.contains("flow.kdl:1:"), "{adbc}: {said}");
        assert!(!project.folder().join("out/rows.csv").exists());
    }
    assert!(!project.folder().join("none.db").exists(), "a source makes no database");
    let left: i64 = database.query_row("SELECT count(*) FROM events", (), |row| row.get(0)).unwrap();
    assert_eq!(left, 5, "a source writes nothing");
    // Columns that the lock knows already are not asked for again: then the database tells.
    pipeline(&project, TABLE);
    run(&project);
    let ranges = "names the column `idd`, which the rows do not have; they have `id`";
    let cases = [
        ("cursor \"idd\"", ranges),
        ("split \"idd\" 3", ranges),
        ("order-by \"idd\"", "no such column: flowc_rows.idd"),
    ];
    for (more, expected) in cases {
        pipeline(&project, &format!("{TABLE} {{ {more} }}"));
        let said = failure(&project, "flowc run");
        assert!(said.contains(expected), "{more}: {said}");
    }
}

#[test]
fn a_database_that_is_locked_is_waited_for() {
    let project = project();
    let database = events(&project, 5);
    pipeline(&project, TABLE);
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        database.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(ran(&run(&project), "big"), 1);
    locked.join().unwrap();
}

#[test]
fn a_table_that_is_altered_after_the_plan_is_told_by_its_column() {
    let project = project();
    let connection = events(&project, 5);
    pipeline(&project, TABLE);
    run(&project);
    connection.execute_batch("ALTER TABLE events DROP COLUMN day").unwrap();
    let said = failure(&project, "flowc run");
    assert!(said.contains("there is no column `day`") && said.contains("flowc run --update"), "{said}");
    connection
        .execute_batch("ALTER TABLE events ADD COLUMN day TEXT; UPDATE events SET day = 'x', amount = 'text'")
        .unwrap();
    let said = failure(&project, "flowc run");
    assert!(said.contains("the column `amount` is Float64, and has a value of SQLite's type `text`"), "{said}");
    // A column more changes nothing, but for a word about it.
    connection.execute_batch("UPDATE events SET amount = 1.5; ALTER TABLE events ADD COLUMN more INTEGER").unwrap();
    let said = project.shell("flowc run").split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "sqlite table events has columns that the lock does not have: `more`. Nothing reads them; `flowc run --update` takes \
                    the columns that the database has now";
    assert!(said.starts_with("exit 0") && said.contains(expected) && !said.contains("file and its"), "{said}");
    run(&project);
}

#[test]
fn a_text_that_is_no_utf_8_is_told_by_its_row_and_can_be_read_as_bytes() {
    let project = project();
    let connection = events(&project, 10);
    pipeline(&project, &format!("{TABLE} {{ cursor \"id\" }}"));
    run(&project);
    add_events(&connection, 10, 20);
    connection.execute("UPDATE events SET note = CAST(x'41ff' AS TEXT) WHERE id = 12", ()).unwrap();
    let said = failure(&project, "flowc run");
    let expected = "sqlite table events, rows after 9 up to 19 (Int64): row 3: the column `note` has a text that is not UTF-8; mend it in \
                    the database, or read the bytes by a `query` that casts the column, such as `CAST(note AS BLOB)`";
    assert!(said.contains(expected), "{said}");
    let query = |columns: &str| {
        let query = format!("SELECT {columns}, hex(CAST(note AS BLOB)) AS note FROM events");
        pipeline(&project, &format!("adbc \"sqlite\" uri=\"app.db\" {{ query \"{query}\" }}"));
    };
    query("id, day");
    let said = failure(&project, "flowc run");
    assert!(said.contains("there is no column `amount`; its columns are `id`, `day`, `note`"), "{said}");
    query("id, day, amount");
    run(&project);
    assert_eq!(lines(&project, "out/rows.csv")[13], "12,day 5,3.0,41FF");
}

#[test]
fn what_a_database_said_is_not_made_up_when_it_is_lost() {
    let project = project();
    let connection = events(&project, 5);
    pipeline(&project, &format!("{TABLE} {{ ttl \"1h\" }}"));
    run(&project);
    connection.execute("UPDATE events SET day = 'other'", ()).unwrap();
    project.shell("rm -rf $(find \"$HOME\" -name blocks -type d)");
    // Another column is read now, from what was kept.
    let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
    project.write("flow.kdl", &text.replace("by \"day\"", "by \"amount\""));
    let said = failure(&project, "flowc run");
    assert!(said.contains("what was kept of it was removed from the store"), "{said}");
    run(&project);
    assert!(lines(&project, "out/rows.csv")[1].contains("other"));
}

#[test]
fn duckdb_is_written_and_read_with_nested_types() {
    let project = project();
    project.write("in.jsonl", "{\"id\":1}\n{\"id\":2}\n");
    project.write(
        "flow.kdl",
        "source \"ids\" { files \"in.jsonl\" }
         sink \"t\" { in \"ids\"; adbc \"duckdb\" uri=\"d.db\" table=\"t\" mode=\"create\" }\n",
    );
    run(&project);
    let query = "SELECT id, [id, NULL] AS list, {'a': id} AS s, (id / 4)::DECIMAL(9, 2) AS d, \
                 TIMESTAMPTZ '2024-01-02 03:04:05+00' AS at FROM t ORDER BY id";
    project.write(
        "flow.kdl",
        &format!(
            "source \"t\" {{ adbc \"duckdb\" uri=\"d.db\" {{ query \"{query}\" }} }}
             sink \"out\" {{ in \"t\"; file \"out.jsonl\" }}\n"
        ),
    );
    run(&project);
    let row: Value = serde_json::from_str(&lines(&project, "out.jsonl")[1]).unwrap();
    assert_eq!(
        (&row["id"], &row["list"], &row["s"]),
        (&2.into(), &serde_json::json!([2, null]), &serde_json::json!({"a": 2}))
    );
    assert_eq!((&row["d"], &row["at"]), (&serde_json::json!(0.5), &"2024-01-02T03:04:05Z".into()));
}

/// A driver that crashes, or lies.
#[test]
fn a_driver_that_is_not_to_be_trusted_harms_nobody() {
    let project = project();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/databases/hostile.c");
    let mut compiler = project.program("cc");
    compiler.args(["-shared", "-fPIC", "-o", "libhostile.so", source]);
    assert!(compiler.status().unwrap().success());
    for (query, expected) in [
        ("crash", "the driver `./libhostile.so` has crashed (killed by signal 11 (SIGSEGV, a bad memory access))"),
        ("exit", "the driver `./libhostile.so` has crashed (exit status 3); it printed: going"),
        ("refuse", "no such thing"),
        ("children", "the driver `./libhostile.so`"),
        ("offsets", "the driver `./libhostile.so` is not to be trusted: the column `a` is damaged"),
        ("utf8", "row 1: the column `a` has a text that is not UTF-8; mend it in the database"),
        ("stream", "lost in the middle"),
    ] {
        let adbc = format!("adbc \"./libhostile.so\" {{ query \"{query}\" }}");
        let columns = "schema { column \"a\" \"Utf8\"; column \"b\" \"Int64\" }";
        project.write(
            "flow.kdl",
            &format!("source \"t\" {{ {adbc}; {columns} }}\nsink \"out\" {{ in \"t\"; file \"out.csv\" }}\n"),
        );
        let said = failure(&project, "flowc run");
        assert!(said.contains(expected), "{query}: {said}");
        assert!(!project.folder().join("out.csv").exists());
    }
    project.write("nothing.so", "this is no library");
    project.write("flow.kdl", "source \"t\" { adbc \"./nothing.so\" table=\"t\" }\nsink \"o\" { in \"t\"; stdout }\n");
    assert!(failure(&project, "flowc run").contains("nothing.so"));
}

#[test]
fn postgresql_is_read_with_exact_types() {
    let database = Server::shared().database();
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, big bigint, n numeric(20, 4), at timestamptz, d date, j jsonb, a int[],
             f real, ok boolean, s text);
         INSERT INTO t VALUES (1, 9007199254740993, 12345678901234.5678, '2024-01-02 03:04:05.678901+02', '2024-02-29',
             '{\"a\": 1}', '{1,NULL,3}', 1.5, true, 'text'),
             (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
    );
    let mut project = project();
    project.set("DB_PASSWORD", PASSWORD.to_owned());
    let source = |rows: &str| {
        let adbc = format!("adbc \"postgresql\" uri=\"{}\" {rows}", database.uri());
        project.write(
            "flow.kdl",
            &format!("source \"t\" {{ {adbc} }}\nsink \"out\" {{ in \"t\"; file \"out.jsonl\" }}\n"),
        );
    };
    let secret = "secret \"PGPASSWORD\" env=\"DB_PASSWORD\"";
    source(&format!("table=\"public.t\" {{ order-by \"id\"; {secret} }}"));
    run(&project);
    let rows = lines(&project, "out.jsonl");
    let row: Value = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!(
        (&row["id"], &row["big"], &row["n"]),
        (&1.into(), &9_007_199_254_740_993_i64.into(), &"12345678901234.5678".into())
    );
    assert_eq!((&row["at"], &row["d"]), (&"2024-01-02T01:04:05.678901Z".into(), &"2024-02-29".into()));
    assert_eq!((&row["a"], &row["j"]), (&serde_json::json!([1, null, 3]), &"{\"a\": 1}".into()));
    assert_eq!((&row["f"], &row["ok"], &row["s"]), (&1.5.into(), &true.into(), &"text".into()));
    assert_eq!(rows.len(), 2);
    // A type that Arrow does not have.
    database.psql("ALTER TABLE t ADD COLUMN place inet DEFAULT '10.0.0.1'");
    project.shell("rm -f *.lock");
    let said = failure(&project, "flowc run");
    assert!(said.contains("the column `place` has the type inet, which Arrow does not have"), "{said}");
    source(&format!("{{ query \"SELECT id, CAST(place AS text) AS place FROM t WHERE id = $1\"; bind 1; {secret} }}"));
    run(&project);
    assert_eq!(lines(&project, "out.jsonl"), ["{\"id\":1,\"place\":\"10.0.0.1/32\"}"]);
    source(&format!("{{ query \"DELETE FROM t RETURNING id\"; {secret} }}"));
    let said = failure(&project, "rm flow.lock; flowc run");
    assert!(said.contains("cannot execute DELETE in a read-only transaction"), "{said}");
    // Wrong credentials, and none.
    project.write("password", "wrong");
    source("table=\"t\" { secret \"PGPASSWORD\" file=\"password\" }");
    let said = failure(&project, "rm flow.lock; flowc run");
    assert!(
        said.contains("password authentication failed for user \"flowc\"") && said.contains("flow.kdl:1:"),
        "{said}"
    );
    assert!(!said.contains("wrong"), "{said}");
    source("table=\"t\"");
    assert!(failure(&project, "flowc run").contains("no password supplied"));
    // Drivers quote what they can't read.
    project.set("DB_URI", "postgresql://flowc:tellnobody@[::1/shop".to_owned());
    project.write(
        "flow.kdl",
        "source \"t\" { adbc \"postgresql\" table=\"t\" { secret \"DB_URI\" option=\"uri\" } }\nsink \"o\" { in \"t\"; file \"o.csv\" }\n",
    );
    let said = failure(&project, "rm -f flow.lock; flowc run");
    assert!(!said.contains("tellnobody") && said.contains("***"), "{said}");
    // Of a secret nothing is kept.
    let kept = project.shell("grep -r 'correct horse' . \"$HOME\"");
    assert!(kept.starts_with("exit 1"), "{kept}");
}
