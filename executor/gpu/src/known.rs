//! The code of stages that are kernels, fitted to the columns of their inputs.

use arrow_schema::Schema;
use flowc_kernel::{Bound, Kernel, Source, Standard, WrittenOut, problem};
use flowc_planner::catalogue::Problem;
use flowc_planner::plan::KernelColumns;
use serde_json::Value;

/// The code of a stage.
pub(crate) enum Known {
    /// A kernel with what the pipeline says of its columns.
    Own { kernel: Box<Kernel>, columns: KernelColumns },
    /// A standard stage: its kernel follows from config and columns.
    Standard(&'static dyn Standard),
}

/// A kernel for the columns of its inputs.
pub(crate) struct Fitted {
    pub(crate) kernel: Kernel,
    pub(crate) bound: Bound,
    /// The config as its buffer holds it.
    pub(crate) config: Vec<u8>,
    /// Rows without a null that its table has at least.
    pub(crate) least: usize,
}

impl Known {
    /// The kernel for a config and for the columns of its inputs.
    ///
    /// # Errors
    /// All that does not fit.
    pub(crate) fn fitted(&self, config: &Value, inputs: &[&Schema]) -> Result<Fitted, Problem> {
        match self {
            Self::Own { kernel, columns } => {
                let bound = kernel.bind(inputs, columns).map_err(problem)?;
                let config = kernel.encode_config(config).map_err(|wrong| wrong.into_problem())?;
                Ok(Fitted { kernel: Kernel::clone(kernel), bound, config, least: 0 })
            }
            Self::Standard(stage) => {
                let WrittenOut { text, columns, least, labels } = stage.written(config, inputs)?;
                let kernel = Kernel::parse(Source::new(stage.name(), &text)).map_err(problem)?;
                let bound = kernel.bind(inputs, &columns).map_err(problem)?;
                let bound = match labels {
                    Some(labels) => bound.labelled(labels),
                    None => bound,
                };
                Ok(Fitted { kernel, bound, config: Vec::new(), least })
            }
        }
    }
}
