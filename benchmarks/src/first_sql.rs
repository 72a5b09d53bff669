//! The first stage of a run that is a query.

use anyhow::Result;

use super::Bench;
use super::measure::{by_turns, wall};
use super::project::Project;
use super::report::{Finding, Section, ms, row};

const ROUNDS: usize = 9;
const FILTER: &str = "std \"filter@1\"; config { where { column \"id\"; op \">\"; value 1 } }";

/// What starting the engine of SQL and planning a query cost, against a standard stage that does the same.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let project = |name: &str, code: &str| -> Result<Project> {
        let project = Project::new(bench, name)?;
        project.write("in.csv", "id,name\n1,a\n2,b\n3,c\n")?;
        project.write(
            "flow.kdl",
            format!(
                "source \"rows\" {{ files \"in.csv\" }}\nstage \"some\" {{ in \"rows\"; {code} }}\nsink \"out\" {{ in \"some\"; file \"out.csv\" }}\n"
            ),
        )?;
        Ok(project)
    };
    let warm = project("warm", FILTER)?;
    warm.run()?;
    let filter = project("filter", FILTER)?;
    let sql = project("sql", "sql \"SELECT id, name FROM rows WHERE id > 1\"")?;
    let fresh = |project: &Project| {
        project.take_store_of(&warm)?;
        project.run()
    };
    let [filter, sql] = by_turns(ROUNDS, [&mut || fresh(&filter), &mut || fresh(&sql)])?.map(|usages| wall(&usages));
    Ok(Section {
        title: "The first query of a run".to_owned(),
        text: "Wall time of `flowc run` over three rows, in a store that holds the compiled component and no results. One pipeline filters by \
               `filter@1`, the other by `sql`, for which a process is started, and the query is planned."
            .to_owned(),
        head: row(["stage", "wall time"]),
        rows: vec![row(["filter".to_owned(), ms(filter)]), row(["sql".to_owned(), ms(sql)])],
        findings: vec![Finding::at_most("under 150 ms beyond `filter`", (sql - filter) * 1e3, 150.0, " ms")],
    })
}
