//! Queries over whole inputs that run in partitions, and those that do not.

use std::sync::Arc;

use datafusion::physical_plan::displayable;
use flowc_sql_process::query::Query;

use super::shaped;
use super::tests::rows;
use crate::functions::takes_parts;
use crate::memory::RowMemory;
use crate::rules::is_sorted;
use crate::session::{Room, in_partitions};
use crate::stack::wait;
use crate::table::Table;

/// Threads have parts of all tables, and joins build the side that is smaller, whichever is written first.
#[test]
fn whole_inputs_are_divided_once_their_sizes_are_known() {
    let statement = "SELECT t.g, count(*) AS c FROM t JOIN u ON t.k = u.k GROUP BY t.g ORDER BY t.g LIMIT 3";
    let query = Query { written: statement.to_owned(), normal: None, tables: vec!["t".to_owned(), "u".to_owned()] };
    let tables = [rows(5, 60_000), rows(6, 50)].map(|rows| {
        let table = Table::new(rows.schema(), RowMemory::new(usize::MAX));
        let columns: Vec<_> = rows.columns().iter().cloned().map(Some).collect();
        (0..8).for_each(|_| table.append(&columns, rows.num_rows()).unwrap());
        Arc::new(table)
    });
    let (planned, ..) = shaped(&query, &tables, &serde_json::json!({}), &Room::default()).unwrap();
    assert!(takes_parts(&planned.plan).unwrap());
    let plan = wait(in_partitions(&planned.context).create_physical_plan(&planned.plan)).unwrap();
    assert!(is_sorted(&plan));
    let lines = displayable(&*plan).indent(false).to_string();
    assert!(lines.contains("RepartitionExec"), "{lines}");
    let scans: Vec<&str> = lines.lines().filter(|line| line.contains("partition_sizes=[2, 2, 2, 2]")).collect();
    assert_eq!(scans.len(), 2, "{lines}");
    // Joins build the one that is told first; the other one has a second column.
    let on = lines.lines().find(|line| line.contains("HashJoinExec")).unwrap_or_default();
    assert!(on.contains("on=[(k@0, k@0)]") && on.contains("projection=[g@2]"), "{lines}");
}

#[test]
fn what_could_show_how_rows_are_divided_is_not() {
    let takes = |statement: &str| {
        let tables = [("t", rows(1, 3)), ("u", rows(2, 3))];
        let used: Vec<_> = tables.iter().filter(|(name, _)| statement.contains(&format!(" {name}"))).collect();
        let names = used.iter().map(|(name, _)| (*name).to_owned()).collect();
        let query = Query { written: statement.to_owned(), normal: None, tables: names };
        let tables: Vec<_> = used.iter().map(|(_, rows)| Arc::new(Table::planned(rows.schema()))).collect();
        let (planned, ..) = shaped(&query, &tables, &serde_json::json!({}), &Room::default()).unwrap();
        takes_parts(&planned.plan).unwrap()
    };
    for statement in [
        "SELECT k, n FROM t ORDER BY k LIMIT 7",
        "SELECT k, count(DISTINCT n) AS c FROM t GROUP BY k",
        "SELECT n FROM t WHERE x > (SELECT avg(x) FROM t)",
        "SELECT k FROM t EXCEPT SELECT k FROM u",
        "SELECT sum(n) AS s FROM (SELECT n FROM t ORDER BY x, n LIMIT 2 OFFSET 1) r",
    ] {
        assert!(takes(statement), "{statement}");
    }
    for statement in [
        "SELECT k, row_number() OVER (ORDER BY n) AS r FROM t",
        "SELECT k, median(n) AS m FROM t GROUP BY k",
        "SELECT k, array_agg(n) AS a FROM t GROUP BY k",
        "SELECT k, sum(DISTINCT x) AS s, count(DISTINCT n) AS c FROM t GROUP BY k",
        "SELECT n FROM t LIMIT 2",
        "SELECT sum(n) AS s FROM (SELECT n FROM t LIMIT 2) r",
        "SELECT sum(n) AS s FROM (SELECT n FROM t WHERE k = 1 LIMIT 2 OFFSET 1) r",
        "SELECT n FROM t WHERE n IN (SELECT n FROM u LIMIT 1)",
        "SELECT n FROM t WHERE n > (SELECT n FROM u WHERE k = 1 LIMIT 1)",
        "WITH RECURSIVE r AS (SELECT min(n) AS n FROM t UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r",
    ] {
        assert!(!takes(statement), "{statement}");
    }
}
