//! Tables of databases as sinks: SQLite, DuckDB and PostgreSQL, by their ADBC drivers.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use support::cuts::Cuts;
use support::databases::{Database, PASSWORD, Server, project};
use support::project::Project;

/// Where a test's table is.
enum Place<'s> {
    Sqlite,
    PostgreSql(Database<'s>),
    DuckDb,
}

impl Place<'_> {
    fn adbc(&self, settings: &str) -> String {
        match self {
            Place::Sqlite => format!("adbc \"sqlite\" uri=\"app.db\" table=\"t\" {settings}"),
            Place::DuckDb => format!("adbc \"duckdb\" uri=\"duck.db\" table=\"t\" {settings}"),
            Place::PostgreSql(database) => {
                format!("adbc \"postgresql\" uri=\"{}\" table=\"t\" {settings}", database.uri())
            }
        }
    }

    /// The rows of the table as `id,n,text` in the order of ids, with `-` for nulls.
    fn rows(&self, project: &Project) -> Vec<String> {
        let sql = "SELECT id || ',' || coalesce(CAST(n AS text), '-') || ',' || coalesce(s, '-') FROM t ORDER BY id, n";
        match self {
            Place::Sqlite => {
                let connection = Connection::open(project.folder().join("app.db")).unwrap();
                let mut statement = connection.prepare(sql).unwrap();
                let rows = statement.query_map((), |row| row.get(0)).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Place::PostgreSql(database) => database.psql(sql).lines().map(str::to_owned).collect(),
            Place::DuckDb => {
                let text = format!(
                    "source \"t\" {{ adbc \"duckdb\" uri=\"duck.db\" {{ query \"{sql}\" }} }}
                     sink \"o\" {{ in \"t\"; file \"seen.txt\"; format \"lines\" }}\n"
                );
                let text = text.replace(" FROM t", " AS line FROM t");
                project.write("look.kdl", &text);
                let said = project.shell("rm -f look.kdl.lock look.lock; flowc run look.kdl");
                assert!(said.starts_with("exit 0"), "{said}");
                std::fs::read_to_string(project.folder().join("seen.txt")).unwrap().lines().map(str::to_owned).collect()
            }
        }
    }
}

const SECRET: &str = "secret \"PGPASSWORD\" env=\"DB_PASSWORD\"";

/// A project whose programs know the password.
fn with_password() -> Project {
    let mut project = project();
    project.set("DB_PASSWORD", PASSWORD.to_owned());
    project
}

/// A pipeline that writes files to a table.
fn pipeline(project: &Project, place: &Place<'_>, mode: &str, settings: &str) {
    let adbc = place.adbc(&format!("mode=\"{mode}\" {{ {SECRET}; {settings} }}"));
    let schema = "schema { column \"id\" \"Int64\"; column \"n\" \"Int64\"; column \"s\" \"Utf8\" }";
    project.write(
        "flow.kdl",
        &format!("source \"rows\" {{ files \"in/*.csv\"; {schema} }}\nsink \"t\" {{ in \"rows\"; {adbc} }}\n"),
    );
}

/// Rows of a file.
type Rows<'r> = &'r [(i64, i64, &'r str)];

fn file(project: &Project, name: &str, rows: Rows<'_>) {
    let lines: String = rows.iter().map(|(id, n, s)| format!("{id},{n},{s}\n")).collect();
    project.write(&format!("in/{name}.csv"), &format!("id,n,s\n{lines}"));
}

fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said
}

fn failure(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(!said.starts_with("exit 0"), "{said}");
    said.split_whitespace().filter(|word| *word != "│" && *word != "|").collect::<Vec<_>>().join(" ")
}

fn places() -> Vec<Place<'static>> {
    vec![Place::Sqlite, Place::PostgreSql(Server::shared().database()), Place::DuckDb]
}

#[test]
fn rows_are_appended_once_and_never_again() {
    for place in places() {
        let project = with_password();
        pipeline(&project, &place, "append", "");
        file(&project, "a", &[(1, 1, "x"), (2, 2, "y")]);
        assert!(run(&project).contains("wrote t: 2 records sent, 2 rows in total"));
        assert!(!run(&project).contains("wrote t"));
        file(&project, "a", &[(1, 1, "x"), (2, 2, "y"), (3, 3, "z")]);
        file(&project, "0", &[(9, 9, "w")]);
        assert!(run(&project).contains("wrote t: 2 records sent, 4 rows in total"));
        // The database itself tells what it has: nothing that flowc keeps is needed.
        project.shell("rm -rf \"$HOME\"; mkdir \"$HOME\"");
        assert!(!run(&project).contains("wrote t"));
        assert_eq!(place.rows(&project), ["1,1,x", "2,2,y", "3,3,z", "9,9,w"]);
        // Rows that have changed can't be taken back.
        file(&project, "0", &[(9, 8, "w")]);
        assert!(failure(&project).contains("of 1 segment that were appended rows have changed or are gone"));
        pipeline(&project, &place, "append", "on-change \"append\"");
        run(&project);
        assert_eq!(place.rows(&project), ["1,1,x", "2,2,y", "3,3,z", "9,8,w", "9,9,w"]);
    }
}

#[test]
fn rows_are_written_over_those_of_their_key() {
    for place in places() {
        let project = with_password();
        pipeline(&project, &place, "upsert", "key \"id\"");
        file(&project, "a", &[(1, 1, "x"), (2, 2, "y")]);
        file(&project, "b", &[(5, 5, "v")]);
        assert!(run(&project).contains("wrote t: 3 records"));
        file(&project, "a", &[(1, 1, "x"), (2, 20, "y"), (3, 3, "z")]);
        assert!(run(&project).contains("wrote t: 3 records sent, 4 rows in total"), "one segment has changed");
        assert_eq!(place.rows(&project), ["1,1,x", "2,20,y", "3,3,z", "5,5,v"]);
        assert!(!run(&project).contains("wrote t"));
        project.shell("rm -rf \"$HOME\"; mkdir \"$HOME\"");
        assert!(!run(&project).contains("wrote t"));
        file(&project, "c", &[(7, 1, "p"), (7, 2, "q")]);
        assert!(failure(&project).contains("several rows have the key id = \"7\""));
        file(&project, "c", &[]);
        project.write("in/c.csv", "id,n,s\n,1,p\n");
        let said = failure(&project);
        assert!(said.contains("row 1, column `id` can't be written: a key can't be null"), "{said}");
        assert_eq!(place.rows(&project).len(), 4);
    }
}

#[test]
fn a_key_that_moves_to_another_segment_keeps_one_row_with_its_last_value() {
    for place in places() {
        let project = with_password();
        pipeline(&project, &place, "upsert", "key \"id\"");
        // Per step, what the files hold, and the rows of the key 1.
        let steps: [[Rows<'_>; 2]; 6] = [
            [&[(1, 1, "a"), (2, 2, "y")], &[(5, 5, "v")]],
            [&[(2, 2, "y")], &[(5, 5, "v"), (1, 2, "b")]],
            [&[(1, 1, "a"), (2, 2, "y")], &[(5, 5, "v")]],
            [&[(5, 5, "v")], &[(1, 1, "a"), (2, 2, "y")]],
            [&[(5, 5, "v"), (1, 3, "c")], &[(2, 2, "y")]],
            [&[(1, 1, "a"), (2, 2, "y")], &[(5, 5, "v")]],
        ];
        for (step, [a, b]) in steps.into_iter().enumerate() {
            file(&project, "a", a);
            file(&project, "b", b);
            run(&project);
            let mut due: Vec<String> = [a, b].concat().iter().map(|(id, n, s)| format!("{id},{n},{s}")).collect();
            due.sort();
            assert_eq!(place.rows(&project), due, "step {step}");
        }
    }
}

#[test]
fn a_key_that_leaves_a_segment_again_keeps_its_last_value_until_all_is_written_again() {
    for place in places() {
        let project = with_password();
        pipeline(&project, &place, "upsert", "key \"id\"");
        let (a, b): (Rows<'_>, Rows<'_>) = (&[(1, 1, "a"), (2, 2, "y")], &[(5, 5, "v")]);
        let step = |b: Rows<'_>| {
            file(&project, "a", a);
            file(&project, "b", b);
            run(&project);
            place.rows(&project)
        };
        assert_eq!(step(b), ["1,1,a", "2,2,y", "5,5,v"]);
        assert_eq!(step(&[(5, 5, "v"), (1, 9, "b")]), ["1,9,b", "2,2,y", "5,5,v"]);
        assert_eq!(step(b), ["1,9,b", "2,2,y", "5,5,v"]);
        let forget = "DELETE FROM flowc_sinks";
        match &place {
            Place::Sqlite => {
                let connection = Connection::open(project.folder().join("app.db")).unwrap();
                assert_eq!(connection.execute(forget, ()).unwrap(), 1);
            }
            Place::PostgreSql(database) => assert_eq!(database.psql(forget), ""),
            // Nothing here deletes rows of it.
            Place::DuckDb => continue,
        }
        assert_eq!(step(b), ["1,1,a", "2,2,y", "5,5,v"]);
    }
}

#[test]
fn several_sinks_make_one_table() {
    for place in places() {
        let project = with_password();
        let sink = |name: &str, mode: &str| {
            let adbc = place.adbc(&format!("mode=\"{mode}\" {{ {SECRET}; id \"{name}\" }}"));
            format!("sink \"{name}\" {{ in \"{name}\"; {adbc} }}\n")
        };
        let schema = "schema { column \"id\" \"Int64\"; column \"n\" \"Int64\"; column \"s\" \"Utf8\" }";
        let source = |name: &str| format!("source \"{name}\" {{ files \"in/{name}.csv\"; {schema} }}\n");
        file(&project, "a", &[(1, 1, "x")]);
        file(&project, "b", &[(2, 2, "y")]);
        project.write("flow.kdl", &[source("a"), source("b"), sink("a", "append"), sink("b", "append")].concat());
        run(&project);
        assert_eq!(place.rows(&project), ["1,1,x", "2,2,y"]);
        assert!(!run(&project).contains("wrote"));
        file(&project, "b", &[(2, 2, "y"), (3, 3, "z")]);
        run(&project);
        assert_eq!(place.rows(&project), ["1,1,x", "2,2,y", "3,3,z"]);
    }
}

#[test]
fn a_table_of_somebody_else_keeps_its_other_columns() {
    let database = Server::shared().database();
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, n smallint NOT NULL, s text, mine text DEFAULT 'new');
         INSERT INTO t VALUES (1, 1, 'x', 'kept'), (8, 8, 'w', 'kept')",
    );
    let (project, place) = (with_password(), Place::PostgreSql(database));
    pipeline(&project, &place, "upsert", "key \"id\"");
    file(&project, "a", &[(1, 10, "y"), (2, 2, "z")]);
    run(&project);
    let Place::PostgreSql(database) = &place else { panic!() };
    assert_eq!(database.psql("SELECT * FROM t ORDER BY id"), "1,10,y,kept\n2,2,z,new\n8,8,w,kept");
    // What the table's types do not hold is an error in the database's words, and nothing is written.
    file(&project, "a", &[(1, 11, "y"), (2, 100_000, "z")]);
    assert!(failure(&project).contains("smallint out of range"));
    assert_eq!(database.psql("SELECT n FROM t WHERE id = 1"), "10");
    database.psql("ALTER TABLE t DROP COLUMN s");
    assert!(failure(&project).contains("the table has no column `s`"));
    pipeline(&project, &place, "create", "");
    assert!(failure(&project).contains("the table is there already"));
}

#[test]
fn an_empty_table_is_filled_by_the_names_of_its_columns() {
    let database = Server::shared().database();
    database.psql("CREATE TABLE t (s text, mine text DEFAULT 'new', n bigint, id bigint)");
    let (project, place) = (with_password(), Place::PostgreSql(database));
    pipeline(&project, &place, "upsert", "key \"id\"");
    file(&project, "a", &[(1, 10, "y"), (2, 2, "z")]);
    run(&project);
    let Place::PostgreSql(database) = &place else { panic!() };
    assert_eq!(database.psql("SELECT * FROM t ORDER BY id"), "y,new,10,1\nz,new,2,2");
    database.psql("DELETE FROM t; DROP TABLE flowc_sinks");
    file(&project, "b", &[(3, 1, "x"), (3, 2, "x")]);
    assert!(failure(&project).contains("several rows have the key id = \"3\""));
    assert_eq!(database.psql("SELECT count(*) FROM t"), "0");
}

#[test]
fn rows_of_one_key_are_told_whether_or_not_the_table_refuses_them() {
    for constraint in ["PRIMARY KEY (id)", "UNIQUE (n, id)", "UNIQUE (id) DEFERRABLE", "CHECK (id > 0)"] {
        let database = Server::shared().database();
        database.psql(&format!("CREATE TABLE t (id bigint, n bigint, s text, {constraint})"));
        let (project, place) = (with_password(), Place::PostgreSql(database));
        pipeline(&project, &place, "upsert", "key \"id\"");
        file(&project, "a", &[(3, 1, "x"), (3, 2, "x")]);
        let said = failure(&project);
        assert!(said.contains("several rows have the key id = \"3\""), "{constraint}: {said}");
        assert_eq!(place.rows(&project), [""; 0]);
        file(&project, "a", &[(3, 1, "x"), (4, 2, "x")]);
        run(&project);
        assert_eq!(place.rows(&project), ["3,1,x", "4,2,x"]);
    }
    // What other columns may not have is told in the database's words.
    let database = Server::shared().database();
    database.psql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint UNIQUE, s text)");
    let (project, place) = (with_password(), Place::PostgreSql(database));
    pipeline(&project, &place, "upsert", "key \"id\"");
    file(&project, "a", &[(3, 1, "x"), (4, 1, "x")]);
    let said = failure(&project);
    assert!(said.contains("t_n_key"), "{said}");
}

#[test]
fn a_table_is_replaced_whole_or_not_at_all() {
    for place in places() {
        let project = with_password();
        pipeline(&project, &place, "replace", "");
        file(&project, "a", &[(1, 1, "x"), (2, 2, "y")]);
        run(&project);
        assert!(!run(&project).contains("wrote t"));
        file(&project, "a", &[(3, 3, "z")]);
        run(&project);
        assert_eq!(place.rows(&project), ["3,3,z"]);
        // The table is the sink's own: it gets the types that the rows have now.
        project.write("in/a.csv", "id,n,s\n3,three,z\n");
        let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
        project.write("flow.kdl", &text.replace("column \"n\" \"Int64\"", "column \"n\" \"Utf8\""));
        run(&project);
        assert_eq!(place.rows(&project), ["3,three,z"]);
        project.write("flow.kdl", &text);
        file(&project, "a", &[(3, 3, "z")]);
        run(&project);
        assert_eq!(place.rows(&project), ["3,3,z"]);
        // A table that was dropped is made again.
        if let Place::PostgreSql(database) = &place {
            database.psql("DROP TABLE t");
            run(&project);
            assert_eq!(place.rows(&project), ["3,3,z"]);
        }
    }
}

#[test]
fn a_value_that_a_database_does_not_hold_is_told_by_its_column() {
    let project = with_password();
    project.write("in.jsonl", "{\"x\":1.5}\n{\"x\":2.5}\n");
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"in.csv\"; schema { column \"x\" \"Float64\" } }
         sink \"t\" { in \"rows\"; adbc \"sqlite\" uri=\"app.db\" table=\"t\" mode=\"create\" }\n",
    );
    project.write("in.csv", "x\n1.5\nNaN\n");
    let said = failure(&project);
    assert!(said.contains("row 2, column `x` can't be written: SQLite holds no NaN"), "{said}");
}

/// Kills flowc and all that it started at several moments; then runs it to its end.
#[test]
fn a_run_that_is_killed_doubles_no_row_and_loses_none() {
    let kills: u64 = std::env::var("FLOWC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    for (place, mode, settings) in [
        (Place::Sqlite, "append", ""),
        (Place::PostgreSql(Server::shared().database()), "append", ""),
        (Place::PostgreSql(Server::shared().database()), "upsert", "key \"id\""),
    ] {
        let mut project = with_password();
        let temporary = project.folder().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        project.set("TMPDIR", temporary.display().to_string());
        pipeline(&project, &place, mode, settings);
        let all: Vec<(i64, i64, &str)> = (0..20_000).map(|n| (n, n, "text")).collect();
        for kill in 0..kills {
            let end = 3000 + 1000 * (kill as usize % 10);
            file(&project, "a", &all[..end]);
            let mut child = project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(40 + 45 * kill % 400));
            let _ = child.kill();
            child.wait().unwrap();
        }
        file(&project, "a", &all[..15_000]);
        run(&project);
        let rows = place.rows(&project);
        assert_eq!(
            (rows.len(), rows[0].as_str(), rows[14_999].as_str()),
            (15_000, "0,0,text", "14999,14999,text"),
            "{mode}"
        );
        // What the killed ones left, a run removes that uses a database.
        run(&project);
        let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{mode}: {left:?}");
    }
}

/// The server crashes in the middle of a transaction.
#[test]
fn a_server_that_is_killed_has_all_rows_or_none() {
    let mut server = Server::start();
    let name = server.database().name;
    let uri = format!("postgresql://flowc@127.0.0.1:{}/{name}", server.port);
    let project = with_password();
    let schema = "schema { column \"id\" \"Int64\"; column \"n\" \"Int64\"; column \"s\" \"Utf8\" }";
    project.write(
        "flow.kdl",
        &format!(
            "source \"rows\" {{ files \"in/*.csv\"; {schema} }}
             sink \"t\" {{ in \"rows\"; adbc \"postgresql\" uri=\"{uri}\" table=\"t\" mode=\"append\" {{ {SECRET} }} }}\n"
        ),
    );
    let all: Vec<(i64, i64, &str)> = (0..200_000).map(|n| (n, n, "a text that takes some room")).collect();
    file(&project, "a", &all[..1000]);
    run(&project);
    file(&project, "b", &all);
    let flowc = project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Rows are being copied once the server has a table for them.
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%flowc_staged_rows%' AND pid <> pg_backend_pid()";
    support::processes::wait_until("rows are staged", || server.psql(&name, sql) != "0");
    server.kill();
    let output = flowc.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("table `t`"), "{said}");
    server.restart();
    assert_eq!(server.psql(&name, "SELECT count(*) FROM t"), "1000");
    run(&project);
    assert_eq!(server.psql(&name, "SELECT count(*), count(DISTINCT id) FROM t"), "201000,200000");
}

/// The connection is lost at moments that lie between the first answer of the server and the one to `COMMIT`.
#[test]
fn a_connection_that_is_cut_doubles_no_row_and_halves_none() {
    let server = Server::shared();
    let cuts = Cuts::before(server.port);
    for (mode, settings) in [("append", ""), ("upsert", "key \"id\"")] {
        let (project, database) = (with_password(), server.database());
        let write = |end: usize| {
            let uri = database.uri().replace(&server.port.to_string(), &cuts.port.to_string());
            let adbc =
                format!("adbc \"postgresql\" uri=\"{uri}\" table=\"t\" mode=\"{mode}\" {{ {SECRET}; {settings} }}");
            let schema = "schema { column \"id\" \"Int64\"; column \"n\" \"Int64\"; column \"s\" \"Utf8\" }";
            project.write(
                "flow.kdl",
                &format!("source \"rows\" {{ files \"in/*.csv\"; {schema} }}\nsink \"t\" {{ in \"rows\"; {adbc} }}\n"),
            );
            let rows: Vec<(i64, i64, &str)> = (0..end as i64).map(|n| (n, n, "text")).collect();
            file(&project, "a", &rows);
        };
        let counts = || database.psql("SELECT count(*) || ' ' || count(DISTINCT id) FROM t");
        write(100);
        run(&project);
        write(200);
        cuts.sent();
        run(&project);
        let whole = cuts.sent();
        let mut rows = 200;
        for part in 1..8 {
            write(rows + 100);
            cuts.cut_after(whole * part / 8);
            let said = project.shell("flowc run");
            let found = counts();
            let is_there = found == format!("{0} {0}", rows + 100);
            assert!(
                is_there || found == format!("{rows} {rows}"),
                "{mode}, part {part} of {whole} bytes: {found}: {said}"
            );
            assert_eq!(said.starts_with("exit 0"), is_there, "{mode}, part {part} of {whole} bytes: {said}");
            rows += if is_there { 100 } else { 0 };
        }
        // Nobody hears that it was committed: the table is asked.
        write(rows + 100);
        cuts.cut_at_commit();
        run(&project);
        assert_eq!(counts(), format!("{0} {0}", rows + 100));
        let before = rows + 100;
        write(before + 100);
        run(&project);
        assert_eq!(counts(), format!("{0} {0}", before + 100));
    }
}
