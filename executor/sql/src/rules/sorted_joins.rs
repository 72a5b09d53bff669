//! Joins that sort both sides, in the place of those that hold one in memory.

use std::sync::Arc;

use arrow_schema::SortOptions;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::sorted_by;

/// The plan with joins that spill. What has no such form stays as it is: `NOT IN`, and joins without equal columns.
///
/// # Errors
/// If the engine does not take it.
pub(crate) fn with_sorted_joins(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let sorted = plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
        Some(join) if !join.null_aware && node.fetch().is_none() => Ok(Transformed::yes(sorted(join)?)),
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(sorted.data)
}

fn sorted(join: &HashJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let options = vec![SortOptions::default(); join.on().len()];
    let by = |key: &Arc<dyn PhysicalExpr>| PhysicalSortExpr::new(Arc::clone(key), SortOptions::default());
    let (left, right) = join.on().iter().map(|(left, right)| (by(left), by(right))).unzip();
    let (left, right) = (sorted_by(left, Arc::clone(join.left())), sorted_by(right, Arc::clone(join.right())));
    let (on, filter) = (join.on().to_vec(), join.filter().cloned());
    let merge = SortMergeJoinExec::try_new(left, right, on, filter, *join.join_type(), options, join.null_equality())?;
    let Some(projection) = &join.projection else { return Ok(Arc::new(merge)) };
    let schema = merge.schema();
    let column = |&at: &usize| {
        let name = schema.field(at).name();
        let column = datafusion::physical_expr::expressions::Column::new(name, at);
        ProjectionExpr { expr: Arc::new(column), alias: name.clone() }
    };
    let columns: Vec<ProjectionExpr> = projection.iter().map(column).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, Arc::new(merge))?))
}
