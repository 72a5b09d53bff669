//! One text file is one test: a kernel with its columns, and what it is found to be or what is wrong with it.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;
use std::path::Path;

use flowc_kernel::{Bound, Kernel};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::OutputColumn;
use support::{Case, told};

/// Runs every kernel of a folder through `actual` and compares with the file of the same name and the given ending.
/// `FLOWC_BLESS=1` rewrites what is expected.
fn each_case(folder: &str, ending: &str, actual: impl Fn(&Case) -> String) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wgsl"));
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = actual(&Case::new(name, &std::fs::read_to_string(path).unwrap()));
        let beside = path.with_extension(ending);
        if std::env::var_os("FLOWC_BLESS").is_some() {
            std::fs::write(&beside, &found).unwrap();
        } else if std::fs::read_to_string(&beside).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected (FLOWC_BLESS=1 rewrites):\n{}", wrong.join("\n"));
    paths.len()
}

fn described(case: &Case) -> String {
    match case.bound() {
        Ok((kernel, bound)) => description(case, &kernel, &bound),
        Err(problems) => told(&problems),
    }
}

fn description(case: &Case, kernel: &Kernel, bound: &Bound) -> String {
    let signature = kernel.signature(StageDigest::new([0; 32]));
    let names = |columns: &[usize]| {
        let names: Vec<&str> = columns.iter().map(|column| case.schema.field(*column).name().as_str()).collect();
        names.join(", ")
    };
    let mut text = String::new();
    let because = bound.because.as_ref().map_or_else(String::new, |because| format!(": {because}"));
    writeln!(text, "class: {}{because}", bound.class).unwrap();
    writeln!(text, "numbers: {}", bound.numeric).unwrap();
    writeln!(text, "needs: {:?}", kernel.needs()).unwrap();
    writeln!(text, "doc: {}", signature.doc).unwrap();
    writeln!(text, "config: {}", signature.config_schema).unwrap();
    writeln!(text, "reads: {}", names(&bound.reads)).unwrap();
    let rows = match (&bound.bins, bound.picks) {
        (Some(bins), _) => format!("new, {:?} by {:?}", bins.of, bins.counters),
        (None, true) => "subset".to_owned(),
        (None, false) => "same".to_owned(),
    };
    writeln!(text, "rows: {rows}").unwrap();
    for (field, column) in bound.schema.fields().iter().zip(&bound.columns) {
        let from = match column {
            OutputColumn::Passed { .. } => "passed",
            OutputColumn::Written => "written",
        };
        let null = if field.is_nullable() { "?" } else { "" };
        writeln!(text, "  {} {}{null} {from}", field.name(), field.data_type()).unwrap();
    }
    for column in &bound.written {
        writeln!(text, "null with: {} [{}]", column.field.name(), names(&column.null_with)).unwrap();
    }
    let build = kernel.build(bound, 1000);
    // What is built for drivers that end loops is valid, too, or this panics.
    kernel.build_for_ended_loops(bound, 1000);
    for (binding, (contents, access)) in build.buffers.iter().zip(&build.shader.access).enumerate() {
        writeln!(text, "buffer {binding}: {contents:?} {access:?}").unwrap();
    }
    build.sites.iter().for_each(|site| writeln!(text, "may fault: {site}").unwrap());
    text
}

#[test]
fn kernels_are_found_to_be_what_they_are() {
    assert!(each_case("cases/kernels", "txt", described) >= 10);
}

#[test]
fn mistakes_are_told_as_expected() {
    assert!(each_case("cases/mistakes", "txt", described) >= 30);
}

/// The modules that run, as WGSL.
#[test]
fn builds_are_as_expected() {
    let cases = each_case("cases/builds", "built", |case| {
        let build = case.build(1000);
        let flags = naga::back::wgsl::WriterFlags::empty();
        naga::back::wgsl::write_string(&build.shader.module, &build.shader.info, flags).unwrap()
    });
    assert!(cases >= 3);
}
