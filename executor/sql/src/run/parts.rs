//! Aggregates in parts: of the rows of a segment, of parts, and what comes of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::prelude::SessionContext;

use crate::rules::sorted_by_all;
use crate::stack::wait;

/// The key under which the columns of parts hold those of the tables that they are made of: whoever puts parts together plans the
/// statement, too.
const TABLES: &str = "flowc.tables";

/// The columns of parts.
///
/// # Errors
/// If the plan has no aggregate.
pub(crate) fn part_schema(context: &SessionContext, plan: &LogicalPlan, tables: &[SchemaRef]) -> Result<SchemaRef> {
    let physical = wait(context.state().create_physical_plan(plan))?;
    let fields = part(&physical)?.schema().fields().clone();
    let written = serde_json::to_string(tables).map_err(|error| internal_datafusion_err!("{error}"))?;
    Ok(Arc::new(Schema::new_with_metadata(fields, HashMap::from([(TABLES.to_owned(), written)]))))
}

/// The columns of each table that parts are made of.
pub(crate) fn tables_of(parts: &SchemaRef) -> Option<Vec<SchemaRef>> {
    serde_json::from_str(parts.metadata().get(TABLES)?).ok()
}

/// The part of the rows of a plan's table.
///
/// # Errors
/// If the plan has no aggregate.
pub(crate) fn part(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let whole = aggregate(plan)?;
    let part = AggregateExec::try_new(
        AggregateMode::Partial,
        whole.group_expr().clone(),
        whole.aggr_expr().to_vec(),
        whole.filter_expr().to_vec(),
        whole.input().clone(),
        whole.input_schema(),
    )?;
    Ok(sorted_by_all(Arc::new(part)))
}

/// Parts of a plan as one part.
///
/// # Errors
/// As [`part`].
pub(crate) fn merged(plan: &Arc<dyn ExecutionPlan>, parts: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(sorted_by_all(Arc::new(of_parts(&aggregate(plan)?, AggregateMode::PartialReduce, parts)?)))
}

/// What a plan gives of its parts.
///
/// # Errors
/// As [`part`].
pub(crate) fn finished(plan: Arc<dyn ExecutionPlan>, parts: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut left = aggregates(&plan).len();
    let finished = plan.transform_down(|node| match node.downcast_ref::<AggregateExec>() {
        Some(whole) => {
            left = left.saturating_sub(1);
            if left > 0 {
                return Ok(Transformed::no(node));
            }
            let finish = Arc::new(of_parts(whole, AggregateMode::Final, parts.clone())?);
            Ok(Transformed::new(finish as Arc<dyn ExecutionPlan>, true, TreeNodeRecursion::Jump))
        }
        None => Ok(Transformed::no(node)),
    })?;
    Ok(finished.data)
}

fn of_parts(whole: &AggregateExec, mode: AggregateMode, parts: Arc<dyn ExecutionPlan>) -> Result<AggregateExec> {
    let functions = whole.aggr_expr().to_vec();
    let unfiltered = vec![None; functions.len()];
    AggregateExec::try_new(mode, whole.group_expr().as_final(), functions, unfiltered, parts, whole.input_schema())
}

/// The aggregate of a plan that rows of tables come to: the lowest of those before a plan branches.
///
/// # Errors
/// If there is none.
pub(crate) fn aggregate(plan: &Arc<dyn ExecutionPlan>) -> Result<AggregateExec> {
    let found = aggregates(plan).pop();
    let is_whole = |aggregate: &AggregateExec| aggregate.mode().input_mode() == AggregateMode::Single.input_mode();
    found.filter(is_whole).ok_or_else(|| internal_datafusion_err!("the plan has no aggregate of rows"))
}

/// The aggregates of a plan before it branches, from the top down.
fn aggregates(plan: &Arc<dyn ExecutionPlan>) -> Vec<AggregateExec> {
    let trunk = std::iter::successors(Some(plan), |node| match node.children()[..] {
        [input] => Some(input),
        _ => None,
    });
    trunk.filter_map(|node| node.downcast_ref::<AggregateExec>()).cloned().collect()
}
