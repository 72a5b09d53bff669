//! Parquet: a change reruns the row groups that it touches, wherever they lie in the file.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::support::{Project, all_cached, segments};

const FLOW: &str = r#"
source "orders" { files "orders.parquet" }
stage "some" { in "orders"; std "filter@1"; config { where { column "price"; op ">"; value 10 } } }
stage "counts" { in "orders"; std "count@1"; config { by "city" } }
sink "some" { in "some"; file "out/some.csv" }
sink "counts" { in "counts"; file "out/counts.csv" }
"#;

/// A row group: city, and a price that all its rows have.
type Group = (&'static str, i64);

fn rows((city, price): Group) -> RecordBatch {
    let cities = Arc::new(StringArray::from(vec![city; 100])) as ArrayRef;
    let prices = Arc::new(Int64Array::from_iter_values((0..100).map(|row| price + row % 3))) as ArrayRef;
    RecordBatch::try_from_iter([("city", cities), ("price", prices)]).expect("rows")
}

fn file(groups: &[Group]) -> Vec<u8> {
    let properties = WriterProperties::builder().set_created_by("test".to_owned()).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows(groups[0]).schema(), Some(properties)).expect("a writer");
    for &group in groups {
        writer.write(&rows(group)).and_then(|()| writer.flush()).expect("a row group");
    }
    writer.into_inner().expect("a file")
}

fn project(groups: &[Group]) -> Project {
    let project = Project::new(FLOW);
    project.write("orders.parquet", file(groups));
    project.run();
    project
}

const GROUPS: [Group; 4] = [("Rome", 5), ("Oslo", 15), ("Bern", 25), ("Rome", 35)];

#[test]
fn a_row_group_more_runs_one_segment() {
    let project = project(&GROUPS);
    project.write("orders.parquet", file(&[&GROUPS[..], &[("Nice", 45)]].concat()));
    let report = project.run();
    assert_eq!((segments(&report, "some"), segments(&report, "counts")), ((1, 4), (1, 4)));
    assert_eq!(project.read("out/counts.csv"), "city,count\nBern,100\nNice,100\nOslo,100\nRome,200\n");
}

#[test]
fn a_column_chunk_that_was_met_elsewhere_is_known() {
    let project = project(&GROUPS);
    project.write("orders.parquet", file(&[&GROUPS[..], &[("Oslo", 45)]].concat()));
    let report = project.run();
    assert_eq!((segments(&report, "some"), segments(&report, "counts")), ((1, 4), (0, 5)));
    assert_eq!(project.read("out/counts.csv"), "city,count\nBern,100\nOslo,200\nRome,200\n");
}

#[test]
fn a_changed_row_group_runs_alone_though_all_behind_it_move() {
    let project = project(&GROUPS);
    let mut groups = GROUPS;
    groups[1].0 = "a city with a much longer name than before";
    project.write("orders.parquet", file(&groups));
    let report = project.run();
    assert_eq!((segments(&report, "some"), segments(&report, "counts")), ((1, 3), (1, 3)));
    groups[2].1 = 26;
    project.write("orders.parquet", file(&groups));
    let report = project.run();
    assert_eq!(segments(&report, "some"), (1, 3));
    assert_eq!(segments(&report, "counts"), (0, 4), "the price is not counted");
}

#[test]
fn row_groups_in_another_order_run_nothing_but_the_merge() {
    let project = project(&GROUPS);
    let mut groups = GROUPS;
    groups.reverse();
    project.write("orders.parquet", file(&groups));
    let report = project.run();
    assert_eq!((segments(&report, "some"), segments(&report, "counts")), ((0, 4), (0, 4)));
    assert!(project.read("out/some.csv").starts_with("city,price\nRome,35\n"), "the sink has the new order");
    assert!(all_cached(&project.run()));
}
