//! Types and values of tables: each comes back as it was written, or is an error that names its column.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::databases::{Database, PASSWORD, Server, project};
use support::project::Project;

const SECRET: &str = "secret \"PGPASSWORD\" env=\"DB_PASSWORD\"";

/// A project with one row, and a password.
fn one_row() -> Project {
    let mut project = project();
    project.set("DB_PASSWORD", PASSWORD.to_owned());
    project.write("one.csv", "id\n1\n");
    project
}

/// The table `t` of a database, in a pipeline's text.
fn adbc(database: &str, server: &Database<'_>) -> String {
    let uri = match database {
        "postgresql" => server.uri(),
        _ => format!("{database}.db"),
    };
    format!("adbc \"{database}\" uri=\"{uri}\" table=\"t\"")
}

/// Writes a row of these columns, which SQL makes, into a table; gives what flowc says. Each time it is another sink.
fn write(project: &Project, columns: &str, adbc: &str, mode: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let columns = columns.replace('"', "\\\"");
    project.write(
        "flow.kdl",
        &format!(
            "source \"one\" {{ files \"one.csv\" }}
             stage \"row\" {{ in \"one\"; sql \"SELECT {columns} FROM one\" }}
             sink \"t\" {{ in \"row\"; {adbc} mode=\"{mode}\" {{ id \"sink-{id}\"; {SECRET} }} }}\n"
        ),
    );
    let said = project.shell("rm -f flow.lock; flowc run");
    said.split_whitespace().filter(|word| *word != "│" && *word != "|").collect::<Vec<_>>().join(" ")
}

/// The row of a table, as a line of JSON.
fn read(project: &Project, adbc: &str) -> String {
    project.write(
        "read.kdl",
        &format!("source \"t\" {{ {adbc} {{ {SECRET} }} }}\nsink \"o\" {{ in \"t\"; file \"out.jsonl\" }}\n"),
    );
    let said = project.shell("rm -f read.lock; flowc run read.kdl");
    assert!(said.starts_with("exit 0"), "{said}");
    let text = std::fs::read_to_string(project.folder().join("out.jsonl")).unwrap();
    text.lines().next().unwrap().to_owned()
}

/// Columns that every database holds.
const PLAIN: &str = "id, true AS ok, CAST(-5 AS SMALLINT) AS small, CAST(9007199254740993 AS BIGINT) AS big,
    CAST(4294967295 AS INT UNSIGNED) AS positive, CAST(1.5 AS FLOAT) AS f, CAST(0.1 AS DOUBLE) AS d, 'é' AS s, CAST(NULL AS VARCHAR) AS none,
    CAST('2024-02-29' AS DATE) AS day, arrow_cast('2024-02-29T01:02:03.456789', 'Timestamp(us)') AS at";

#[test]
fn values_come_back_as_they_were() {
    let server = Server::shared().database();
    for (database, more) in [
        ("sqlite", ""),
        ("postgresql", ", CAST('12345678901234567890.1234' AS DECIMAL(38, 4)) AS n, [1, NULL, 3] AS list"),
        (
            "duckdb",
            ", CAST('12345678901234567890.1234' AS DECIMAL(38, 4)) AS n, [1, NULL, 3] AS list, named_struct('a', 1, 'b', 'x') AS both,
             CAST(18446744073709551615 AS BIGINT UNSIGNED) AS huge",
        ),
    ] {
        let (project, adbc) = (one_row(), adbc(database, &server));
        let columns = format!("{PLAIN}{more}").split_whitespace().collect::<Vec<_>>().join(" ");
        let said = write(&project, &columns, &adbc, "create");
        assert!(said.starts_with("exit 0"), "{database}: {said}");
        let line = read(&project, &adbc);
        let row: Value = serde_json::from_str(&line).unwrap();
        let is_sqlite = database == "sqlite";
        assert_eq!(row["ok"], if is_sqlite { json!(1) } else { json!(true) }, "{database}");
        for (column, expected) in [
            ("small", json!(-5)),
            ("big", json!(9_007_199_254_740_993_i64)),
            ("positive", json!(4_294_967_295_u32)),
            ("f", json!(1.5)),
            ("d", json!(0.1)),
            ("s", json!("é")),
            ("none", Value::Null),
            ("day", json!("2024-02-29")),
            ("at", json!("2024-02-29T01:02:03.456789")),
        ] {
            assert_eq!(row[column], expected, "{database}: {column}");
        }
        if !is_sqlite {
            assert!(line.contains("12345678901234567890.1234"), "{database}: {line}");
            assert_eq!(row["list"], json!([1, null, 3]), "{database}");
        }
        if database == "duckdb" {
            assert_eq!(row["both"], json!({"a": 1, "b": "x"}));
            assert_eq!(row["huge"], json!(u64::MAX));
        }
    }
}

#[test]
fn what_a_database_does_not_hold_is_refused_by_its_column() {
    let server = Server::shared().database();
    let project = one_row();
    let nanoseconds = "arrow_cast('2024-02-29T01:02:03.456789001', 'Timestamp(ns)') AS v";
    let huge = "CAST(18446744073709551615 AS BIGINT UNSIGNED) AS v";
    for (database, column, expected) in [
        (
            "sqlite",
            "CAST(1.25 AS DECIMAL(9, 2)) AS v",
            "the column `v` is Decimal128(9, 2), which SQLite has no type for",
        ),
        ("sqlite", "arrow_cast(0, 'Timestamp(s, \"UTC\")') AS v", "which SQLite has no type for"),
        ("sqlite", "[1] AS v", "which SQLite has no type for"),
        ("sqlite", "CAST('NaN' AS DOUBLE) AS v", "row 1, column `v` can't be written: SQLite holds no NaN"),
        ("sqlite", huge, "row 1, column `v` can't be written: the database holds integers of 64 bits with a sign"),
        ("postgresql", huge, "row 1, column `v` can't be written: the database holds integers of 64 bits with a sign"),
        ("postgresql", nanoseconds, "row 1, column `v` can't be written: PostgreSQL holds microseconds"),
        ("postgresql", "named_struct('a', 1) AS v", "which PostgreSQL has no type for"),
        ("duckdb", "arrow_cast(1.5, 'Float16') AS v", "the column `v` is Float16, which DuckDB has no type for"),
    ] {
        let said = write(&project, column, &adbc(database, &server), "create");
        assert!(!said.starts_with("exit 0") && said.contains(expected), "{database} {column}: {said}");
        if expected.contains("has no type for") {
            // No run is needed to tell.
            let said = project.shell("flowc plan");
            let said =
                said.split_whitespace().filter(|word| *word != "│" && *word != "|").collect::<Vec<_>>().join(" ");
            assert!(!said.starts_with("exit 0") && said.contains(expected), "{database} {column}: {said}");
        }
    }
    assert_eq!(server.psql("SELECT count(*) FROM pg_tables WHERE tablename = 't'"), "0");
}

/// Tables that somebody else has made.
#[test]
fn a_table_with_other_types_takes_values_that_it_holds() {
    let server = Server::shared().database();
    let project = one_row();
    server.psql(
        "CREATE TABLE t (id int, u uuid, j jsonb, n numeric(9, 2), s varchar(3), f real, at timestamptz, a smallint[])",
    );
    let adbc = adbc("postgresql", &server);
    let good = "id, arrow_cast(decode('00112233445566778899aabbccddeeff', 'hex'), 'FixedSizeBinary(16)') AS u, '{\"b\": [1]}' AS j,
        '1.5' AS n, 'abc' AS s, CAST(0.5 AS DOUBLE) AS f, arrow_cast(0, 'Timestamp(s, \"UTC\")') AS at, [1, 2] AS a";
    let good = good.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = write(&project, &good, &adbc, "append");
    assert!(said.starts_with("exit 0"), "{said}");
    let found = server.psql("SELECT id, u, j -> 'b' -> 0, n, s, f, extract(epoch FROM at)::int, a FROM t");
    assert_eq!(found, "1,00112233-4455-6677-8899-aabbccddeeff,1,1.50,abc,0.5,0,{1,2}");
    for (column, expected) in [
        (
            "CAST(1.5 AS DOUBLE) AS id",
            "the column `id` is integer there, and double precision in the stream: the value \"1.5\"",
        ),
        ("'1.234' AS n", "the column `n` is numeric(9,2) there, and text in the stream: the value \"1.234\""),
        ("'abcd' AS s", "the column `s` is character varying(3) there"),
        ("CAST(0.1 AS DOUBLE) AS f", "the column `f` is real there"),
        ("'no json' AS j", "the column `j` is jsonb there, and text in the stream: "),
        ("CAST('2024-02-29T00:00:00' AS TIMESTAMP) AS at", "the column `at` is timestamp with time zone there"),
    ] {
        let said = write(&project, column, &adbc, "append");
        assert!(!said.starts_with("exit 0") && said.contains(expected), "{column}: {said}");
    }
    assert_eq!(server.psql("SELECT count(*) FROM t"), "1");
}

/// From a table of PostgreSQL into another one.
#[test]
fn types_that_arrow_lacks_are_copied() {
    let server = Server::shared().database();
    let project = one_row();
    let columns =
        "(u uuid, n numeric(30, 10), j jsonb, a numeric[], at timestamptz, t time, i interval, s text[], b bytea)";
    server.psql(&format!("CREATE TABLE t {columns}; CREATE TABLE copy {columns}"));
    server.psql(
        "INSERT INTO t VALUES ('00112233-4455-6677-8899-aabbccddeeff', 12345678901234567890.0123456789, '{\"a\": [1, null]}', '{1.5,NULL}',
             '2024-02-29 01:02:03.456789+05', '23:59:59.999999', '1 month 2 days 00:00:03.5', '{a,NULL,\"b c\"}', '\\x00ff'),
             (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    let adbc = adbc("postgresql", &server);
    let copy = adbc.replace("table=\"t\"", "table=\"copy\" mode=\"append\"");
    project.write(
        "flow.kdl",
        &format!("source \"t\" {{ {adbc} {{ {SECRET} }} }}\nsink \"copy\" {{ in \"t\"; {copy} {{ {SECRET} }} }}\n"),
    );
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    assert_eq!(server.psql("SELECT * FROM copy"), server.psql("SELECT * FROM t"));
    assert_eq!(server.psql("SELECT count(*) FROM copy"), "2");
}

#[test]
fn sqlite_gives_each_value_as_it_is_or_not_at_all() {
    let project = one_row();
    let connection = Connection::open(project.folder().join("odd.db")).unwrap();
    let adbc = "adbc \"sqlite\" uri=\"odd.db\" table=\"odd\"";
    for (values, found) in [
        ("(1), (2.5), ('x')", "is Utf8, and has a value of SQLite's type `integer`"),
        ("(2.5), (9007199254740993)", "is Float64, and has a value of SQLite's type `integer`"),
        ("('a'), (x'00')", "and has a value of SQLite's type"),
    ] {
        connection
            .execute_batch(&format!("DROP TABLE IF EXISTS odd; CREATE TABLE odd (v); INSERT INTO odd VALUES {values}"))
            .unwrap();
        project.write(
            "flow.kdl",
            &format!("source \"rows\" {{ {adbc} }}\nsink \"rows\" {{ in \"rows\"; file \"rows.parquet\" }}\n"),
        );
        project.shell("rm -f flow.lock");
        let said = project.shell("flowc run");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.starts_with("exit 1") && said.contains("the column `v`") && said.contains(found), "{said}");
    }
    // Beyond the rows by which columns are typed.
    for (typed, value, found) in [
        ("i", "'x'", "is Int64, and has a value of SQLite's type `text`"),
        ("i", "1.0", "is Int64, and has a value of SQLite's type `real`"),
        ("i + 0.5", "x'00'", "is Float64, and has a value of SQLite's type `blob`"),
        ("i + 0.5", "-9007199254740993", "is Float64, and has a value of SQLite's type `integer`"),
        ("'t' || i", "7", "is Utf8, and has a value of SQLite's type `integer`"),
        ("'t' || i", "x''", "is Utf8, and has a value of SQLite's type `blob`"),
        ("CAST(i AS BLOB)", "'x'", "is Binary, and has a value of SQLite's type `text`"),
        ("CAST(i AS BLOB)", "7", "is Binary, and has a value of SQLite's type `integer`"),
    ] {
        connection
            .execute_batch(&format!(
                "DROP TABLE odd; CREATE TABLE odd (v);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) INSERT INTO odd SELECT {typed} FROM n;
                 INSERT INTO odd VALUES ({value})"
            ))
            .unwrap();
        project.shell("rm -f flow.lock");
        let said = project.shell("flowc run");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("the column `v`") && said.contains(found), "{said}");
    }
    // Whole numbers beside others are those numbers.
    connection
        .execute_batch("DROP TABLE odd; CREATE TABLE odd (v); INSERT INTO odd VALUES (1), (2.5), (NULL)")
        .unwrap();
    project.shell("rm -f flow.lock");
    assert!(project.shell("flowc run").starts_with("exit 0"));
    assert_eq!(project.shell("flowc show rows --json"), "exit 0\n--- stdout\n{\"v\":1.0}\n{\"v\":2.5}\n{\"v\":null}\n");
}

#[test]
fn sqlite_makes_no_number_of_a_text() {
    let server = Server::shared().database();
    let project = one_row();
    let connection = Connection::open(project.folder().join("sqlite.db")).unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER, code NUMERIC, day DATE, s TEXT)").unwrap();
    let adbc = adbc("sqlite", &server);
    let said = write(&project, "id, 'x7' AS code, '2024-02-29' AS day", &adbc, "append");
    assert!(said.starts_with("exit 0"), "{said}");
    for (column, expected) in [
        ("'007' AS code", "the column `code` is NUMERIC there, and TEXT in the stream: the value \"007\""),
        ("7 AS s", "the column `s` is TEXT there, and INTEGER in the stream: the value \"7\""),
    ] {
        let said = write(&project, column, &adbc, "append");
        assert!(!said.starts_with("exit 0") && said.contains(expected), "{column}: {said}");
    }
    let kept: String =
        connection.query_row("SELECT code || ' ' || day || ' ' || count(*) FROM t", (), |row| row.get(0)).unwrap();
    assert_eq!(kept, "x7 2024-02-29 1");
}
