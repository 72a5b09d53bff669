//! A kernel that is ready for an adapter: bound to its columns, built, and with its config.

use arrow_schema::{DataType, Schema};
use flowc_kernel::{Bound, Build};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::Class;
use flowc_planner::quantity::size;
use flowc_runner::Invocation;

use crate::adapter::{Adapter, Sort};
use crate::kind::Known;
use crate::written::Values;

/// Iterations of an invocation where the driver has no limit of its own.
const ITERATIONS: u32 = 1 << 26;

/// Bytes of the largest variable of an invocation on CPU drivers, which compile larger ones for minutes.
const LARGEST_ON_CPU: u32 = 1024;

/// A kernel on an adapter, for an invocation.
pub(crate) struct Prepared {
    pub(crate) bound: Bound,
    /// The names of the columns that it reads.
    pub(crate) names: Vec<String>,
    pub(crate) build: Build,
    /// What tells the build from others.
    pub(crate) key: [u8; 32],
    pub(crate) config: Vec<u8>,
}

impl Prepared {
    /// Prepares a kernel.
    ///
    /// # Errors
    /// In words, if the adapter lacks what it needs.
    pub(crate) fn new(known: &Known, adapter: &Adapter, invocation: &Invocation) -> Result<Self, String> {
        let schema = &invocation.inputs[0].schema;
        let told = |problems: Vec<flowc_kernel::Diagnostic>| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let bound = known.kernel.bind(schema, &known.columns).map_err(told)?;
        check_needs(known, adapter)?;
        let config: serde_json::Value = serde_json::from_str(&invocation.config).map_err(|error| error.to_string())?;
        let mut config = known.kernel.encode_config(&config).map_err(|wrong| wrong.to_string())?;
        config.resize(config.len().next_multiple_of(4).max(4), 0);
        let iterations = adapter.limits.iterations.unwrap_or(ITERATIONS);
        let build = known.kernel.build(&bound, iterations);
        check_build(&build, adapter)?;
        let names = bound.reads.iter().map(|column| schema.field(*column).name().clone()).collect();
        let key = key(invocation, schema, iterations);
        Ok(Self { bound, names, build, key, config })
    }

    pub(crate) fn is_row_wise(&self) -> bool {
        self.bound.class == Class::RowWise
    }

    /// Whether all that it writes can be taken as it is: of some types, values may be none.
    pub(crate) fn is_always_valid(&self) -> bool {
        self.bound.written.iter().all(|written| is_always_valid(Values::of(written.field.data_type()).item))
    }
}

/// Whether all bits are a value of a type.
fn is_always_valid(data_type: &DataType) -> bool {
    use DataType as D;
    data_type.is_integer()
        || data_type.is_floating()
        || matches!(data_type, D::Boolean | D::Date32 | D::FixedSizeBinary(_))
}

/// What tells a build from others: the kernel, and the columns that it is bound to.
fn key(invocation: &Invocation, schema: &Schema, iterations: u32) -> [u8; 32] {
    let mut hasher = KeyHasher::new("kernel build");
    hasher.digest(invocation.digest.as_bytes()).number(iterations.into());
    for field in schema.fields() {
        hasher.field(field);
    }
    hasher.finish()
}

/// Checks that an adapter has what a kernel needs.
fn check_needs(known: &Known, adapter: &Adapter) -> Result<(), String> {
    let needs = known.kernel.needs();
    let Adapter { name, limits, .. } = adapter;
    let lacking = [
        (needs.int64 && !limits.int64, "64-bit integers; declare the column as `array<vec2<u32>>`"),
        (needs.f16 && !limits.f16, "half floats"),
        (needs.subgroups && !limits.subgroups, "operations among a subgroup"),
    ];
    if let Some((_, what)) = lacking.iter().find(|(lacks, _)| *lacks) {
        return Err(format!("`{name}` has no {what}"));
    }
    if adapter.sort == Sort::Cpu && needs.largest_variable > LARGEST_ON_CPU {
        let [has, most] = [needs.largest_variable, LARGEST_ON_CPU].map(|bytes| size(bytes.into()));
        return Err(format!(
            "a variable of the kernel has {has}; CPU drivers as `{name}` compile more than {most} for minutes"
        ));
    }
    Ok(())
}

/// Checks that an adapter takes a build.
fn check_build(build: &Build, adapter: &Adapter) -> Result<(), String> {
    let Adapter { name, limits, .. } = adapter;
    if build.shader.workgroup > limits.invocations {
        return Err(format!(
            "`{name}` takes workgroups of {} at most, not of {}",
            limits.invocations, build.shader.workgroup
        ));
    }
    let buffers = build.shader.access.iter().filter(|access| **access != flowc_kernel::Access::Uniform).count();
    if buffers > limits.buffers as usize {
        return Err(format!(
            "the kernel has {buffers} buffers with that for faults, and `{name}` takes {}: read or write fewer columns",
            limits.buffers
        ));
    }
    Ok(())
}
