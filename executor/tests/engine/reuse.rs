//! What runs again and what does not.

use crate::support::{Project, all_cached, segments, settle, stage};
use flowc_executor::{Reason, RunRequest, StageStatus};

const WORDCOUNT: &str = r#"
source "text" { files "text/*.txt" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" } }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "counts" { in "counts"; file "out/counts.csv" }
"#;

const ORDERS: &str = r#"
param "above" default=10
source "orders" { files "orders/*.csv" }
stage "big" { in "orders"; std "filter@1"; config { where { column "price"; op ">"; value "${above}" } } }
stage "some" { in "big"; std "select@1"; config { keep "id" "price" } }
sink "some" { in "some"; directory "out"; format "csv" }
"#;

fn wordcount() -> Project {
    let project = Project::new(WORDCOUNT);
    project.write("text/a.txt", "the quick brown fox\njumps over\n");
    project.write("text/b.txt", "the lazy dog\n");
    project
}

fn orders() -> Project {
    let project = Project::new(ORDERS);
    for file in 0..5 {
        let rows = (0..20).map(|row| format!("{},{},note {row}\n", file * 20 + row, row)).collect::<String>();
        project.write(&format!("orders/{file}.csv"), format!("id,price,note\n{rows}"));
    }
    project
}

#[test]
fn a_second_run_does_nothing() {
    let project = wordcount();
    let first = project.run();
    assert_eq!(stage(&first, "words").status, StageStatus::Ran);
    assert_eq!(
        project.read("out/counts.csv"),
        "word,count\nbrown,1\ndog,1\nfox,1\njumps,1\nlazy,1\nover,1\nquick,1\nthe,2\n"
    );
    let second = project.run();
    assert!(all_cached(&second), "{second:#?}");
    assert_eq!(first.outputs, second.outputs);
}

#[test]
fn a_second_run_does_nothing_on_the_long_way_either() {
    let project = wordcount();
    project.run();
    std::fs::remove_dir_all(project.store().join("noop")).expect("what the short way reads");
    std::fs::create_dir(project.store().join("noop")).expect("its folder");
    assert!(all_cached(&project.run()));
}

#[test]
fn a_changed_file_runs_its_own_segment() {
    let project = orders();
    project.run();
    project.write("orders/3.csv", "id,price,note\n1,50,x\n");
    let report = project.run();
    assert_eq!(segments(&report, "big"), (1, 4));
    assert_eq!((stage(&report, "some").status, segments(&report, "some")), (StageStatus::Passthrough, (0, 0)));
    assert_eq!(project.read("out/3.csv"), "id,price\n1,50\n");
}

#[test]
fn a_new_file_runs_one_segment_and_a_removed_one_none() {
    let project = orders();
    project.run();
    project.write("orders/5.csv", "id,price,note\n1,50,x\n");
    assert_eq!(segments(&project.run(), "big"), (1, 5));
    std::fs::remove_file(project.path("orders/0.csv")).expect("a file");
    let report = project.run();
    assert!(all_cached(&report), "{report:#?}");
    assert!(!project.path("out/0.csv").exists(), "its output is gone too");
}

#[test]
fn touching_copying_or_renaming_into_place_runs_nothing() {
    let project = orders();
    project.run();
    let (path, copy) = (project.path("orders/2.csv"), project.path("orders/copy"));
    std::fs::copy(&path, &copy).expect("a copy");
    std::fs::rename(&copy, &path).expect("in place");
    settle();
    assert!(all_cached(&project.run()));
}

#[test]
fn a_column_that_nobody_reads_runs_nothing() {
    let project = orders();
    project.run();
    let text = project.read("orders/2.csv").replace("note 7", "another note");
    project.write("orders/2.csv", text);
    let report = project.run();
    assert!(all_cached(&report), "{report:#?}");
}

#[test]
fn a_config_that_gives_the_same_rows_stops_there() {
    let project = wordcount();
    project.run();
    // `keep` of nothing is what it was before: the plan differs, the words do not.
    let flow = WORDCOUNT
        .replace("lowercase", "")
        .replace("config { column \"line\" }", "config { column \"line\"; lowercase #true }");
    project.write("flow.kdl", flow.replace("std \"tokenize@1\";", "std \"tokenize@1\"; cache #true;"));
    let report = project.run();
    assert_eq!(stage(&report, "words").status, StageStatus::Ran);
    project.write("text/a.txt", "THE quick brown fox\njumps over\n");
    let report = project.run();
    assert_eq!(segments(&report, "words"), (1, 1), "the text changed");
    assert_eq!(stage(&report, "counts").status, StageStatus::Cached, "the words, in lower case, did not: {report:#?}");
}

#[test]
fn a_deleted_or_altered_sink_is_restored_without_running() {
    let project = wordcount();
    project.run();
    let before = project.read("out/counts.csv");
    std::fs::remove_file(project.path("out/counts.csv")).expect("a sink");
    assert!(all_cached(&project.run()));
    assert_eq!(project.read("out/counts.csv"), before);
    project.write("out/counts.csv", "word,count\nmine,1\n");
    assert!(all_cached(&project.run()));
    assert_eq!(project.read("out/counts.csv"), before);
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let mut project = wordcount();
    for file in 0..40 {
        project.write(&format!("text/{file}.txt"), format!("word{file} the word\n").repeat(50));
    }
    project.jobs = 1;
    let one = project.run();
    let bytes = std::fs::read(project.path("out/counts.csv")).expect("a sink");
    for jobs in [2, 7] {
        project.jobs = jobs;
        project.new_store();
        let report = project.run();
        assert_eq!(report.outputs, one.outputs);
        assert_eq!(std::fs::read(project.path("out/counts.csv")).expect("a sink"), bytes);
    }
}

#[test]
fn a_parameter_changes_what_reads_it() {
    let mut project = orders();
    project.run();
    project.params.insert("above".to_owned(), "15".to_owned());
    let report = project.run();
    assert_eq!(segments(&report, "big"), (5, 0));
    project.params.clear();
    let report = project.run();
    assert!(all_cached(&report), "going back is a hit: {report:#?}");
    assert!(project.read("out/0.csv").contains("\n11,11\n"), "and the sink is as it was before");
}

#[test]
fn why_names_the_config_key_the_column_and_the_file() {
    let mut project = orders();
    let reasons = |project: &Project| project.session().why("big").expect("an outlook").next.reasons;
    assert_eq!(reasons(&project), vec![Reason::NeverRan]);
    project.run();
    assert!(reasons(&project).is_empty());
    project.params.insert("above".to_owned(), "15".to_owned());
    assert!(
        reasons(&project).iter().any(|reason| matches!(reason, Reason::Config { path, .. } if path.contains("value"))),
        "{:?}",
        reasons(&project)
    );
    project.params.clear();
    project.write("orders/3.csv", "id,price,note\n1,50,x\n");
    assert!(
        reasons(&project)
            .contains(&Reason::UnreadFiles { source: "orders".into(), files: vec!["orders/3.csv".into()] }),
        "{:?}",
        reasons(&project)
    );
}

#[test]
fn forced_stages_run_and_the_rest_does_not() {
    let project = wordcount();
    project.run();
    let force = RunRequest { force: vec!["words".to_owned()], ..RunRequest::default() };
    let report = project.try_run(&force).expect("a run");
    assert_eq!(segments(&report, "words"), (2, 0));
}

#[test]
fn only_and_until_leave_the_rest_alone() {
    let project = wordcount();
    let only = RunRequest { only: vec!["words".to_owned()], ..RunRequest::default() };
    let report = project.try_run(&only).expect("a run");
    assert_eq!(stage(&report, "words").status, StageStatus::Ran);
    assert_eq!(stage(&report, "counts").status, StageStatus::Skipped);
    assert!(!project.path("out/counts.csv").exists());
    let until = RunRequest { until: vec!["counts".to_owned()], ..RunRequest::default() };
    project.try_run(&until).expect("a run");
    assert!(project.path("out/counts.csv").exists());
}

#[test]
fn rows_are_enriched_from_a_table_and_one_changed_file_runs_one_segment() {
    let project = Project::new(
        r#"
        source "orders" { files "orders/*.csv" }
        source "customers" { files "customers.csv" }
        stage "named" {
            in rows="orders" table="customers"
            std "lookup@1"
            config { on { left "customer"; right "id" }; mode "left" }
        }
        sink "named" { in "named"; directory "out"; format "csv" }
        "#,
    );
    project.write("customers.csv", "id,name\n1,Ada\n2,Bob\n");
    project.write("orders/a.csv", "order,customer\n10,1\n11,3\n");
    project.write("orders/b.csv", "order,customer\n12,2\n");
    project.run();
    assert_eq!(project.read("out/a.csv"), "order,customer,name\n10,1,Ada\n11,3,\n");
    assert_eq!(project.read("out/b.csv"), "order,customer,name\n12,2,Bob\n");
    project.write("orders/b.csv", "order,customer\n12,1\n");
    assert_eq!(segments(&project.run(), "named"), (1, 1));
    project.write("customers.csv", "id,name\n1,Ada\n2,Rob\n");
    assert_eq!(segments(&project.run(), "named"), (2, 0), "every row may need the table");
}
