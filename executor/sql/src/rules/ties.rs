//! Rows that an order leaves equal are ordered by all their columns.

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef, SortOptions};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::functions::Aggregate;

/// Adds all columns to each sort, and sorts what is read in an order that nothing decides.
#[derive(Debug)]
pub(crate) struct TieBreakers;

impl PhysicalOptimizerRule for TieBreakers {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let ordered = plan.transform_up(|node| {
            if let Some(sort) = node.downcast_ref::<SortExec>() {
                return Ok(Transformed::yes(without_ties(sort)));
            }
            if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
                return Ok(Transformed::yes(merged_without_ties(merge)));
            }
            match needs_order(&node) && !is_ordered(node.children()[0]) {
                true => {
                    let input = node.children()[0].clone();
                    let known: Vec<_> = input.output_ordering().into_iter().flatten().cloned().collect();
                    let sorted = sorted_by(known, input);
                    Ok(Transformed::yes(replace_children_if_necessary(node, vec![sorted])?))
                }
                false => Ok(Transformed::no(node)),
            }
        })?;
        Ok(ordered.data)
    }

    fn name(&self) -> &str {
        "tie_breakers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn without_ties(sort: &SortExec) -> Arc<dyn ExecutionPlan> {
    let by = with_all(sort.expr().iter().cloned().collect(), &sort.input().schema());
    match LexOrdering::new(by) {
        Some(by) => {
            let exact = SortExec::new(by, sort.input().clone());
            Arc::new(exact.with_fetch(sort.fetch()).with_preserve_partitioning(sort.preserve_partitioning()))
        }
        None => sort.input().clone(),
    }
}

/// Sorted partitions are merged by all that they are sorted by.
fn merged_without_ties(merge: &SortPreservingMergeExec) -> Arc<dyn ExecutionPlan> {
    let input = merge.input();
    let by = match input.downcast_ref::<SortExec>() {
        Some(sort) => sort.expr().clone(),
        None => {
            let known = merge.expr().iter().cloned().collect();
            return sorted_with_fetch(known, input.clone(), merge.fetch());
        }
    };
    Arc::new(SortPreservingMergeExec::new(by, input.clone()).with_fetch(merge.fetch()))
}

/// Whether rows come in one partition, and sorted by all columns.
pub(crate) fn is_sorted(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        return !sort.preserve_partitioning() || plan.output_partitioning().partition_count() == 1;
    }
    let keeps = plan.downcast_ref::<ProjectionExec>().is_some() || plan.downcast_ref::<GlobalLimitExec>().is_some();
    plan.downcast_ref::<SortPreservingMergeExec>().is_some() || (keeps && is_sorted(plan.children()[0]))
}

/// Sorts rows by all their columns.
pub(crate) fn sorted_by_all(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    sorted_by(Vec::new(), input)
}

/// Sorts rows by an order, then by all their columns.
pub(crate) fn sorted_by(first: Vec<PhysicalSortExpr>, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    sorted_with_fetch(first, input, None)
}

/// The first so many of the rows that are sorted in this way.
fn sorted_with_fetch(
    first: Vec<PhysicalSortExpr>,
    input: Arc<dyn ExecutionPlan>,
    fetch: Option<usize>,
) -> Arc<dyn ExecutionPlan> {
    let Some(by) = LexOrdering::new(with_all(first, &input.schema())) else { return input };
    let input = match input.output_partitioning().partition_count() {
        1 => input,
        _ => Arc::new(CoalescePartitionsExec::new(input)),
    };
    Arc::new(SortExec::new(by, input).with_fetch(fetch))
}

/// An order, and all columns after it.
fn with_all(mut by: Vec<PhysicalSortExpr>, schema: &SchemaRef) -> Vec<PhysicalSortExpr> {
    for (at, field) in schema.fields().iter().enumerate().filter(|(_, field)| is_sortable(field.data_type())) {
        let is_same = |sort: &PhysicalSortExpr| sort.expr.downcast_ref::<Column>().is_some_and(|c| c.index() == at);
        if !by.iter().any(is_same) {
            let options = SortOptions { descending: false, nulls_first: false };
            by.push(PhysicalSortExpr::new(Arc::new(Column::new(field.name(), at)), options));
        }
    }
    by
}

/// Whether the engine can sort by values of a type.
pub(crate) fn is_sortable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) | DataType::Union(..) | DataType::RunEndEncoded(..) => false,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_sortable(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().all(|field| is_sortable(field.data_type())),
        DataType::Dictionary(_, value) => is_sortable(value),
        _ => true,
    }
}

/// Whether what a node gives depends on the order of the rows that come.
fn needs_order(node: &Arc<dyn ExecutionPlan>) -> bool {
    let is_window =
        node.downcast_ref::<WindowAggExec>().is_some() || node.downcast_ref::<BoundedWindowAggExec>().is_some();
    is_window
        || node.downcast_ref::<AggregateExec>().is_some_and(|aggregate| {
            aggregate.aggr_expr().iter().any(|function| Aggregate::named(function.fun().name()).needs_order())
        })
}

/// Whether rows come in an order that is always the same: sorted by all columns, or as they come from an input.
fn is_ordered(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.downcast_ref::<SortExec>().is_some() || plan.downcast_ref::<StreamingTableExec>().is_some() {
        return true;
    }
    let keeps = plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<FilterExec>().is_some()
        || plan.downcast_ref::<UnnestExec>().is_some()
        || plan.downcast_ref::<BoundedWindowAggExec>().is_some()
        || plan.downcast_ref::<WindowAggExec>().is_some()
        || plan.downcast_ref::<SortPreservingMergeExec>().is_some();
    keeps && is_ordered(plan.children()[0])
}
