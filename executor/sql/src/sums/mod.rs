//! Sums, means and variances without rounding on the way, so that they are the same in whatever order rows come, however these are
//! cut, and whatever was spilled between them. Sums of whole numbers that do not fit their type are an error.

mod accumulators;
mod function;
mod total;

use datafusion::logical_expr::AggregateUDF;

use function::Function;
use total::Kind;

/// The functions that take the places of the engine's own.
pub(crate) fn functions() -> Vec<AggregateUDF> {
    let functions = [
        Function::new("sum", &[], Kind::Sum),
        Function::new("avg", &["mean"], Kind::Mean),
        Function::new("var", &["var_samp", "var_sample"], Kind::Variance { is_sample: true }),
        Function::new("var_pop", &["var_population"], Kind::Variance { is_sample: false }),
        Function::new("stddev", &["stddev_samp"], Kind::Deviation { is_sample: true }),
        Function::new("stddev_pop", &[], Kind::Deviation { is_sample: false }),
    ];
    functions.into_iter().map(AggregateUDF::from).collect()
}
