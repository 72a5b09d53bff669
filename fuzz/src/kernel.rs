//! Kernels in WGSL: whatever is accepted binds to columns or is told why not, and what is bound has a valid build.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use flowc_kernel::{Kernel, Source};
use flowc_planner::plan::{KernelColumns, OutputColumn};

pub(crate) fn build(bytes: &[u8]) {
    let source = Source::new("fuzz.wgsl", &String::from_utf8_lossy(bytes));
    let kernel = match Kernel::parse(source.clone()) {
        Ok(kernel) => kernel,
        Err(problems) => return assert!(problems.iter().all(|problem| !problem.to_string().is_empty())),
    };
    let schema = schema();
    let settings = KernelColumns { drops: vec!["w".to_owned()], ..KernelColumns::default() };
    let bound = match kernel.bind(&[&schema, &schema], &settings) {
        Ok(bound) => bound,
        Err(problems) => return assert!(problems.iter().all(|problem| !problem.to_string().is_empty())),
    };
    assert!(bound.reads.is_sorted_by(|a, b| a < b) && bound.reads.iter().all(|column| *column < schema.fields().len()));
    assert_eq!(bound.columns.len(), bound.schema.fields().len());
    let written = bound.columns.iter().filter(|column| **column == OutputColumn::Written).count();
    assert_eq!(written, bound.written.len());
    for build in [kernel.build(&bound, 1000), kernel.build_for_ended_loops(&bound, 1000)] {
        assert_eq!(build.buffers.len(), bound.buffers.len() + 1);
    }
    assert_eq!(Kernel::parse(source).unwrap().bind(&[&schema, &schema], &settings).unwrap(), bound);
}

/// Columns of all kinds of layout, whose names the seeds use.
fn schema() -> Schema {
    let list = |item, count| DataType::FixedSizeList(Arc::new(Field::new_list_field(item, true)), count);
    let types = [
        ("a", DataType::Int32),
        ("b", DataType::Float32),
        ("c", DataType::Boolean),
        ("d", DataType::Int8),
        ("e", DataType::UInt64),
        ("t", DataType::Utf8),
        ("v", list(DataType::Float32, 3)),
        ("w", DataType::Decimal128(38, 2)),
    ];
    let nullable = |name: &str| ["c", "e"].contains(&name);
    Schema::new(types.map(|(name, of)| Field::new(name, of, nullable(name))).to_vec())
}
