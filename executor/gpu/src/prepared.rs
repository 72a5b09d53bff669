//! A kernel that is ready for an adapter: bound to its columns, built, and with its config.

use arrow_schema::{DataType, Schema, SchemaRef};
use flowc_kernel::{BinsOf, Bound, Build, Kernel, Needs};
use flowc_planner::catalogue::Problem;
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{Class, shown_columns};
use flowc_planner::quantity::size;
use flowc_runner::Invocation;

use crate::adapter::{Adapter, Sort};
use crate::known::{Fitted, Known};
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
    /// The names of the columns of the table that it reads.
    pub(crate) of_table: Vec<String>,
    /// Rows without a null that the table has at least.
    pub(crate) least: usize,
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
        let inputs: Vec<SchemaRef> = invocation.inputs.iter().map(|input| shown_columns(&input.schema)).collect();
        let inputs: Vec<&Schema> = inputs.iter().map(|schema| &**schema).collect();
        let config: serde_json::Value = serde_json::from_str(&invocation.config).map_err(|error| error.to_string())?;
        let told = |problem: Problem| {
            std::iter::once(&problem).chain(&problem.also).map(|one| one.message.clone()).collect::<Vec<_>>().join("\n")
        };
        let Fitted { kernel, bound, mut config, least } = known.fitted(&config, &inputs).map_err(told)?;
        check_needs(kernel.needs(), adapter)?;
        config.resize(config.len().next_multiple_of(4).max(4), 0);
        let iterations = adapter.limits.iterations.unwrap_or(ITERATIONS);
        let build = match adapter.limits.iterations {
            Some(_) => kernel.build_for_ended_loops(&bound, iterations),
            None => kernel.build(&bound, iterations),
        };
        check_build(&build, adapter)?;
        let names = |input: usize, columns: &[usize]| -> Vec<String> {
            columns.iter().map(|column| inputs[input].field(*column).name().clone()).collect()
        };
        let of_table = bound.table.as_ref().map_or_else(Vec::new, |table| names(1, &table.reads));
        let names = names(0, &bound.reads);
        let key = key(invocation, &kernel, iterations);
        Ok(Self { bound, names, of_table, least, build, key, config })
    }

    pub(crate) fn is_row_wise(&self) -> bool {
        self.bound.class == Class::RowWise
    }

    /// Whether blocks can come to it from a kernel before: groups are made of columns that the processor has.
    pub(crate) fn can_share(&self) -> bool {
        match &self.bound.bins {
            Some(bins) => matches!(bins.of, BinsOf::Number(_)),
            None => self.is_row_wise(),
        }
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
fn key(invocation: &Invocation, kernel: &Kernel, iterations: u32) -> [u8; 32] {
    let mut hasher = KeyHasher::new("kernel build");
    // The text of a standard stage follows from its config.
    hasher.digest(invocation.digest.as_bytes()).bytes(kernel.text().as_bytes()).number(iterations.into());
    for input in &*invocation.inputs {
        hasher.number(input.schema.fields().len() as u64);
        for field in input.schema.fields() {
            hasher.field(field);
        }
    }
    hasher.finish()
}

/// Checks that an adapter has what a kernel needs.
fn check_needs(needs: Needs, adapter: &Adapter) -> Result<(), String> {
    let Adapter { name, limits, .. } = adapter;
    let lacking = [
        (needs.int64 && !limits.int64, "64-bit integers; declare the column as `array<vec2<u32>>`"),
        (needs.f16 && !limits.f16, "half floats"),
        (needs.subgroups && !limits.subgroups, "operations among a subgroup"),
    ];
    if let Some((_, what)) = lacking.iter().find(|(lacks, _)| *lacks) {
        return Err(format!("`{name}` has no {what}"));
    }
    if needs.workgroup_memory > limits.workgroup_memory {
        let [has, most] = [needs.workgroup_memory, limits.workgroup_memory].map(|bytes| size(bytes.into()));
        return Err(format!("workgroups of the kernel share {has}, and `{name}` has {most} for that"));
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

#[cfg(test)]
mod tests {
    use flowc_kernel::Source;
    use flowc_planner::plan::KernelColumns;

    use super::*;
    use crate::adapter::Limits;
    use crate::adapter::tests::adapter;

    fn without(change: impl FnOnce(&mut Limits)) -> Adapter {
        let mut adapter = adapter("Small", Sort::Integrated);
        change(&mut adapter.limits);
        adapter
    }

    fn built(text: &str, columns: &[(&str, DataType)]) -> (Kernel, Build) {
        let fields = columns.iter().map(|(name, data_type)| arrow_schema::Field::new(*name, data_type.clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let kernel = Kernel::parse(Source::new("k.wgsl", text)).unwrap();
        let bound = kernel.bind(&[&schema], &KernelColumns::default()).unwrap();
        let build = kernel.build(&bound, 1000);
        (kernel, build)
    }

    #[test]
    fn what_an_adapter_lacks_is_told_by_name() {
        let (kernel, _) =
            built("struct Out { y: i64 }\nfn row(x: i64) -> Out { return Out(x); }\n", &[("x", DataType::Int64)]);
        let told = check_needs(kernel.needs(), &without(|limits| limits.int64 = false)).unwrap_err();
        assert_eq!(told, "`Small` has no 64-bit integers; declare the column as `array<vec2<u32>>`");
        let text = "enable f16;\nstruct Out { y: f16 }\nfn row(x: f16) -> Out { return Out(x); }\n";
        let (kernel, _) = built(text, &[("x", DataType::Float16)]);
        let told = check_needs(kernel.needs(), &without(|limits| limits.f16 = false)).unwrap_err();
        assert_eq!(told, "`Small` has no half floats");
        assert!(check_needs(kernel.needs(), &without(|limits| limits.f16 = true)).is_ok());
        let needs = Needs { subgroups: true, ..kernel.needs() };
        let told = check_needs(needs, &without(|limits| (limits.f16, limits.subgroups) = (true, false))).unwrap_err();
        assert_eq!(told, "`Small` has no operations among a subgroup");
        let text = "var<storage, read> x: array<u32>;\nvar<storage, read_write> y: array<u32>;\nvar<workgroup> s: array<u32, 16384>;\n\
                    var<workgroup> unused: array<u32, 99999>;\n@compute @workgroup_size(64)\n\
                    fn main(@builtin(global_invocation_id) at: vec3<u32>) { s[at.x % 64u] = x[at.x]; y[at.x] = s[0]; }\n";
        let (kernel, _) = built(text, &[("x", DataType::UInt32)]);
        let told = check_needs(kernel.needs(), &without(|_| {})).unwrap_err();
        assert_eq!(told, "workgroups of the kernel share 64KiB, and `Small` has 32KiB for that");
        assert!(check_needs(kernel.needs(), &without(|limits| limits.workgroup_memory = 64 << 10)).is_ok());
    }

    #[test]
    fn workgroups_and_buffers_that_are_too_many_are_told() {
        let (_, build) =
            built("struct Out { y: i32 }\nfn row(x: i32) -> Out { return Out(x); }\n", &[("x", DataType::Int32)]);
        let told = check_build(&build, &without(|limits| limits.invocations = 128)).unwrap_err();
        assert_eq!(told, "`Small` takes workgroups of 128 at most, not of 256");
        let told = check_build(&build, &without(|limits| limits.buffers = 2)).unwrap_err();
        assert!(told.starts_with("the kernel has 4 buffers with that for faults, and `Small` takes 2"), "{told}");
        assert!(check_build(&build, &without(|_| {})).is_ok());
    }
}
