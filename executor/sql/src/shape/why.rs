//! Why a plan needs all rows of its tables, in a few words.

use datafusion::common::JoinType;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::{Scan, combining};

/// What keeps a plan from answering before all rows are there.
pub(super) fn whole(plan: &LogicalPlan, scans: &[Scan], tables: &[String]) -> String {
    let times = |table: &String| scans.iter().filter(|scan| scan.table == *table).count();
    if let Some(table) = tables.iter().find(|table| times(table) > 1) {
        return format!("`{table}` is read more than once");
    }
    let trunk: Vec<&LogicalPlan> = std::iter::successors(Some(plan), |node| match node.inputs()[..] {
        [input] => Some(input),
        _ => None,
    })
    .collect();
    // What stands over an aggregate sees groups, and waits for nothing.
    let lowest = trunk.iter().rposition(|node| matches!(node, LogicalPlan::Aggregate(_)));
    let over_rows = &trunk[lowest.unwrap_or(0)..];
    over_rows.iter().find_map(|node| obstacle(node)).unwrap_or_else(|| otherwise(tables))
}

fn obstacle(plan: &LogicalPlan) -> Option<String> {
    Some(match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_some() => "a LIMIT".to_owned(),
        LogicalPlan::Sort(_) => "a global ORDER BY".to_owned(),
        LogicalPlan::Limit(_) => "a LIMIT".to_owned(),
        LogicalPlan::Window(_) => "a window over all rows".to_owned(),
        LogicalPlan::Union(_) => "a UNION".to_owned(),
        LogicalPlan::RecursiveQuery(_) => "a recursive WITH".to_owned(),
        LogicalPlan::Aggregate(aggregate) => format!("`{}` needs all rows of a group", unmerged(aggregate)?),
        LogicalPlan::Join(join) if join.join_type == JoinType::Full => "a FULL JOIN".to_owned(),
        _ => return None,
    })
}

/// The first function of an aggregate whose parts can't be put together.
fn unmerged(aggregate: &Aggregate) -> Option<String> {
    let function = |expr: &Expr| match expr {
        Expr::Alias(alias) => Some(alias.expr.schema_name().to_string()),
        other => Some(other.schema_name().to_string()),
    };
    aggregate.aggr_expr.iter().find(|expr| !combining::is_mergeable(expr)).and_then(function)
}

fn otherwise(tables: &[String]) -> String {
    match tables {
        [_] | [] => "a subquery".to_owned(),
        [first, ..] => format!("the rows of `{first}`, the first input, are not taken one by one"),
    }
}
