//! Standard stages that are kernels. Their text is one of flowc's own, with constants that follow from the config and from the columns; from
//! there on they are kernels like others.

mod group_count;
mod histogram;
mod top_k;

use arrow_schema::{Field, Schema};
use flowc_planner::catalogue::{Problem, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::KernelColumns;
use flowc_planner::suggest;
use serde_json::Value;

use crate::Labels;

/// A standard stage that is a kernel.
pub trait Standard: Sync {
    /// What a pipeline calls it: `top-k@1`.
    fn name(&self) -> &'static str;

    /// What the stage is, before any config.
    fn signature(&self, digest: StageDigest) -> Signature;

    /// The kernel for a config, and for the columns of its inputs.
    ///
    /// # Errors
    /// If the columns are not what it takes.
    fn written(&self, config: &Value, inputs: &[&Schema]) -> Result<WrittenOut, Problem>;

    /// What its kernels are made of.
    fn template(&self) -> &'static str;
}

/// The kernel of a standard stage for some columns.
#[derive(Clone, Debug)]
pub struct WrittenOut {
    /// Its text.
    pub text: String,
    /// How its names and the columns go together.
    pub columns: KernelColumns,
    /// Rows without a null that its table has at least.
    pub least: usize,
    /// The columns before what it counts, if it counts.
    pub labels: Option<Labels>,
}

static ALL: [&dyn Standard; 3] = [&top_k::TopK, &histogram::Histogram, &group_count::GroupCount];

/// The standard stage of a name, if that is a kernel.
pub fn standard(name: &str) -> Option<&'static dyn Standard> {
    ALL.iter().find(|stage| stage.name() == name).copied()
}

impl dyn Standard {
    /// Identity of the stage's code.
    pub fn digest(&self) -> StageDigest {
        let mut hasher = KeyHasher::new("standard kernel 1");
        StageDigest::new(hasher.bytes(self.name().as_bytes()).bytes(self.template().as_bytes()).finish())
    }
}

/// The problem of a value in the config.
fn at(problem: Problem, config_path: &str) -> Problem {
    Problem { config_path: Some(config_path.to_owned()), ..problem }
}

/// The column of an input that a config names, by the pointer to its name.
fn column<'a>(schema: &'a Schema, name: &str, input: &str, config_path: &str) -> Result<&'a Field, Problem> {
    schema.field_with_name(name).map_err(|_| {
        let help = suggest(name, schema.fields().iter().map(|field| field.name().as_str()));
        let problem = Problem::new(format!("the input `{input}` has no column `{name}`"));
        at(Problem { help, ..problem }, config_path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planner_knows_the_names() {
        assert_eq!(ALL.map(|stage| stage.name()), flowc_planner::plan::STANDARD_KERNELS);
    }
}
