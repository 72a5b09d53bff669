//! Rows that are appended to tables of databases and of Delta, from sources that are read in steps, and then at once.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use rusqlite::Connection;
use support::databases::project;
use support::project::Project;

fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said
}

/// What gives more rows at each step, and how it is read anew in other pieces: a table by its cursor, the same by a query, a file, files.
fn growing(project: &Project, source: &str, step: i64) {
    let rows = |step: i64| (step * 40..(step + 1) * 40).map(|n| n * 3);
    let lines = |steps: std::ops::Range<i64>| {
        let rows = steps.flat_map(rows);
        rows.map(|id| format!("{id},{},{}\n", id % 7, "x".repeat(2))).collect::<String>()
    };
    match source {
        "file" => project.write("in/a.csv", &format!("id,n,s\n{}", lines(0..step + 1))),
        "files" => project.write(&format!("in/{step}.csv"), &format!("id,n,s\n{}", lines(step..step + 1))),
        _ => {
            let connection = Connection::open(project.folder().join("from.db")).unwrap();
            connection.execute("CREATE TABLE IF NOT EXISTS f (id INTEGER, n INTEGER, s TEXT)", ()).unwrap();
            for id in rows(step) {
                connection.execute("INSERT INTO f VALUES (?1, ?2, 'xx')", (id, id % 7)).unwrap();
            }
        }
    }
}

#[test]
fn rows_that_were_read_in_steps_are_not_appended_again_when_they_are_read_at_once() {
    let schema = "schema { column \"id\" \"Int64\"; column \"n\" \"Int64\"; column \"s\" \"Utf8\" }";
    let files = format!("files \"in/*.csv\"; {schema}");
    let table = |settings: &str| format!("adbc \"sqlite\" uri=\"from.db\" table=\"f\" {{ {settings} }}");
    let query = "adbc \"sqlite\" uri=\"from.db\" { query \"SELECT * FROM f ORDER BY id\" }".to_owned();
    let sources = [
        ("cursor", table("cursor \"id\"")),
        ("split", table("split \"id\" 4")),
        ("order", table("order-by \"id\"")),
        ("file", files.clone()),
        ("files", files),
    ];
    for (name, source) in &sources {
        let project = project();
        // The second sink's rows come out of a stage, of which some segments have none.
        let pipeline = |source: &str| {
            let text = format!(
                "source \"rows\" {{ {source} }}
                 stage \"few\" {{ in \"rows\"; std \"filter@1\"; config {{ where column=\"id\" op=\">=\" value=130 }} }}
                 sink \"t\" {{ in \"rows\"; adbc \"sqlite\" uri=\"app.db\" table=\"t\" mode=\"append\" }}
                 sink \"few\" {{ in \"few\"; adbc \"sqlite\" uri=\"app.db\" table=\"few\" mode=\"append\" }}
                 sink \"d\" {{ in \"rows\"; delta \"d\" mode=\"append\" }}\n"
            );
            project.write("flow.kdl", &text);
        };
        pipeline(source);
        let check = |steps: i64| {
            let connection = Connection::open(project.folder().join("app.db")).unwrap();
            let count = |sql: &str| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
            for what in ["count(*)", "count(DISTINCT id)"] {
                assert_eq!(count(&format!("SELECT {what} FROM t")), steps * 40, "{name}");
            }
            assert_eq!(count("SELECT count(*) FROM few"), count("SELECT count(*) FROM t WHERE id >= 130"), "{name}");
        };
        for step in 0..3 {
            growing(&project, name, step);
            run(&project);
        }
        check(3);
        // Nothing of what flowc keeps is left, and nothing has changed.
        project.shell("rm -rf \"$HOME\"; mkdir \"$HOME\"");
        assert!(!run(&project).contains("records sent"), "{name}");
        check(3);
        project.shell("rm -rf \"$HOME\"; mkdir \"$HOME\"");
        growing(&project, name, 3);
        let said = run(&project);
        assert_eq!(said.matches(": 40 records sent, 160 rows in total").count(), 2, "{name}: {said}");
        check(4);
        if *name == "cursor" {
            pipeline(&query);
            run(&project);
            check(4);
        }
    }
}
