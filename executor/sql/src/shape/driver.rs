//! Plans in which each row of one table, the driving one, gives rows of its own.

use std::sync::Arc;

use datafusion::catalog::{
    TableProvider,
    default_table_source::{provider_as_source, source_as_provider},
};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, JoinType, Result, internal_datafusion_err};
use datafusion::logical_expr::{
    Expr, Filter, Join, LogicalPlan, Projection, SubqueryAlias, TableScan, TableScanBuilder,
};

use super::is_of_row;
use crate::table::{ROW, Table};

/// Whether each row of a table gives rows of its own: from the table to the result there are projections, filters and joins that
/// keep it on the side from which all rows are taken one by one.
pub(super) fn drives(plan: &LogicalPlan, table: &str) -> bool {
    let of_row = |exprs: &[Expr]| exprs.iter().all(|expr| is_of_row(expr).unwrap_or(false));
    match plan {
        LogicalPlan::TableScan(scan) => scan.table_name.table() == table && scan.fetch.is_none(),
        LogicalPlan::SubqueryAlias(alias) => drives(&alias.input, table),
        LogicalPlan::Filter(filter) => of_row(std::slice::from_ref(&filter.predicate)) && drives(&filter.input, table),
        LogicalPlan::Projection(projection) => of_row(&projection.expr) && drives(&projection.input, table),
        LogicalPlan::Unnest(unnest) => keeps_order(&unnest.input) && drives(&unnest.input, table),
        LogicalPlan::Join(join) => {
            let is_left = reads(&join.left, table);
            let side = if is_left { &join.left } else { &join.right };
            let filter = join.filter.as_slice();
            // Numbers of rows do not go through what unnests lists.
            of_row(filter) && takes_rows(join.join_type, is_left) && !unnests(side) && drives(side, table)
        }
        _ => false,
    }
}

/// Whether a join takes the rows of a side one by one.
fn takes_rows(join: JoinType, is_left: bool) -> bool {
    match join {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => is_left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => !is_left,
        JoinType::Full => false,
    }
}

fn reads(plan: &LogicalPlan, table: &str) -> bool {
    has(plan, |node| matches!(node, LogicalPlan::TableScan(scan) if scan.table_name.table() == table))
}

fn unnests(plan: &LogicalPlan) -> bool {
    has(plan, |node| matches!(node, LogicalPlan::Unnest(_)))
}

/// Whether there is such a node in a plan.
fn has(plan: &LogicalPlan, is_such: impl Fn(&LogicalPlan) -> bool) -> bool {
    let mut found = false;
    // Nothing in it can fail.
    let _ = plan.apply_with_subqueries(|node| {
        found |= is_such(node);
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Whether rows come in the order in which the table's came.
pub(super) fn keeps_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::SubqueryAlias(alias) => keeps_order(&alias.input),
        LogicalPlan::Filter(filter) => keeps_order(&filter.input),
        LogicalPlan::Projection(projection) => keeps_order(&projection.input),
        LogicalPlan::Unnest(unnest) => keeps_order(&unnest.input),
        _ => false,
    }
}

/// The plan with a further column that holds the numbers of the table's rows.
///
/// # Errors
/// If the engine does not take it.
pub(super) fn numbered(plan: LogicalPlan, table: &str) -> Result<LogicalPlan> {
    let inner = |input: Arc<LogicalPlan>| numbered(Arc::unwrap_or_clone(input), table).map(Arc::new);
    Ok(match plan {
        LogicalPlan::TableScan(scan) if scan.table_name.table() == table => LogicalPlan::TableScan(numbers(scan)?),
        LogicalPlan::SubqueryAlias(alias) => {
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(inner(alias.input)?, alias.alias)?)
        }
        LogicalPlan::Filter(filter) => LogicalPlan::Filter(Filter::try_new(filter.predicate, inner(filter.input)?)?),
        LogicalPlan::Projection(projection) => {
            let input = inner(projection.input)?;
            let number = input.schema().iter().find(|(_, field)| field.name() == ROW).map(Column::from);
            let number = number.ok_or_else(|| internal_datafusion_err!("rows have lost their numbers"))?;
            let expr = projection.expr.into_iter().chain([Expr::Column(number)]).collect();
            LogicalPlan::Projection(Projection::try_new(expr, input)?)
        }
        LogicalPlan::Join(join) => {
            let is_left = reads(&join.left, table);
            let (left, right) = match is_left {
                true => (inner(join.left)?, join.right),
                false => (join.left, inner(join.right)?),
            };
            LogicalPlan::Join(Join::try_new(
                left,
                right,
                join.on,
                join.filter,
                join.join_type,
                join.join_constraint,
                join.null_equality,
                join.null_aware,
            )?)
        }
        other => other,
    })
}

fn numbers(scan: TableScan) -> Result<TableScan> {
    let provider = source_as_provider(&scan.source)?;
    let table = provider.downcast_ref::<Table>().ok_or_else(|| internal_datafusion_err!("a table of another kind"))?;
    let numbered: Arc<dyn TableProvider> = Arc::new(table.numbered());
    let number = scan.source.schema().fields().len();
    let projection = scan.projection.map(|columns| columns.into_iter().chain([number]).collect());
    let numbered = TableScanBuilder::new(scan.table_name, provider_as_source(numbered));
    numbered.with_projection(projection).with_filters(scan.filters).with_fetch(scan.fetch).build()
}
