//! Plans in which rows that share a key give rows together, so that keys can be worked on apart from each other.
//!
//! Going up from the tables, a *key* is a column of each table below such that rows with different values never meet. A join makes
//! one key of two whose columns it compares, an aggregate keeps those by which it groups, a window those by which it partitions.

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::DataType;
use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFunctionDefinition};

use super::{column, columns};

/// A column of each table below a node. In its result it is in these places, or in none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    data_type: DataType,
    columns: BTreeMap<String, usize>,
    places: BTreeSet<usize>,
}

/// Per table, the columns of its key. None where there is no key.
///
/// # Errors
/// If the engine does not know its own columns.
pub(super) fn keys(plan: &LogicalPlan, tables: &[String]) -> Result<Option<Vec<Vec<usize>>>> {
    if tables.is_empty() || !has_meetings(plan) {
        return Ok(None);
    }
    let mut keys = below(plan)?;
    keys.retain(|key| tables.iter().all(|table| key.columns.contains_key(table)) && !key.data_type.is_nested());
    // A column that is in two keys adds nothing the second time.
    let mut taken = BTreeSet::new();
    keys.retain(|key| key.columns.iter().all(|(table, column)| taken.insert((table.clone(), *column))));
    let of_table = |table: &String| keys.iter().map(|key| key.columns[table]).collect();
    Ok((!keys.is_empty()).then(|| tables.iter().map(of_table).collect()))
}

/// Whether rows meet at all below projections and filters.
fn has_meetings(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) | LogicalPlan::Join(_) | LogicalPlan::Window(_) => true,
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().all(has_meetings)
        }
        _ => false,
    }
}

/// The keys of a node.
fn below(plan: &LogicalPlan) -> Result<Vec<Key>> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
            let schema = scan.source.schema();
            let key = |(place, column): (usize, usize)| Key {
                data_type: schema.field(column).data_type().clone(),
                columns: BTreeMap::from([(scan.table_name.table().to_owned(), column)]),
                places: BTreeSet::from([place]),
            };
            columns(scan).into_iter().enumerate().map(key).collect()
        }
        LogicalPlan::SubqueryAlias(alias) => below(&alias.input)?,
        LogicalPlan::Filter(filter) if super::is_of_row(&filter.predicate)? => below(&filter.input)?,
        LogicalPlan::Projection(projection) => {
            for expr in &projection.expr {
                if !super::is_of_row(expr)? {
                    return Ok(Vec::new());
                }
            }
            moved(below(&projection.input)?, &projection.expr, projection.input.schema())
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut keys = moved(below(&aggregate.input)?, &aggregate.group_expr, aggregate.input.schema());
            keys.retain(|key| !key.places.is_empty());
            keys
        }
        LogicalPlan::Window(window) => {
            let schema = window.input.schema();
            let by: Vec<BTreeSet<usize>> = window.window_expr.iter().map(|expr| partitions(expr, schema)).collect();
            let is_kept = |key: &Key| by.iter().all(|by| !by.is_disjoint(&key.places));
            below(&window.input)?.into_iter().filter(is_kept).collect()
        }
        // `NOT IN` looks at nulls of all keys.
        LogicalPlan::Join(join) if !join.null_aware => {
            let (left, right) = (below(&join.left)?, below(&join.right)?);
            let on = join.on.iter().filter_map(|(left, right)| {
                let left = place(column(left)?, join.left.schema())?;
                Some((left, place(column(right)?, join.right.schema())?))
            });
            let on: Vec<(usize, usize)> = on.collect();
            joined(&left, &right, &on, join.join_type, join.left.schema().fields().len())
        }
        _ => Vec::new(),
    })
}

/// The keys that two sides share.
fn joined(left: &[Key], right: &[Key], on: &[(usize, usize)], join: JoinType, width: usize) -> Vec<Key> {
    let of_left = |key: &Key| key.places.clone();
    let of_right = |key: &Key, first: usize| key.places.iter().map(|place| place + first).collect::<BTreeSet<_>>();
    let mut keys = Vec::new();
    for one in left {
        for other in right {
            let is_compared = on.iter().any(|(l, r)| one.places.contains(l) && other.places.contains(r));
            if !is_compared || one.data_type != other.data_type {
                continue;
            }
            let places = match join {
                JoinType::Inner => of_left(one).union(&of_right(other, width)).copied().collect(),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => of_left(one),
                JoinType::Right => of_right(other, width),
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of_right(other, 0),
                // Rows of both sides may be without a partner, whose columns are null then.
                JoinType::Full => BTreeSet::new(),
            };
            let columns = one.columns.iter().chain(&other.columns).map(|(table, column)| (table.clone(), *column));
            keys.push(Key { data_type: one.data_type.clone(), columns: columns.collect(), places });
        }
    }
    keys
}

/// Keys whose columns are among these expressions, in their places there.
fn moved(keys: Vec<Key>, exprs: &[Expr], schema: &DFSchema) -> Vec<Key> {
    if exprs.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return Vec::new();
    }
    let from: Vec<Option<usize>> = exprs.iter().map(|expr| place(column(expr)?, schema)).collect();
    let places = |key: &Key| -> BTreeSet<usize> {
        let found = from.iter().enumerate().filter(|(_, place)| place.is_some_and(|place| key.places.contains(&place)));
        found.map(|(to, _)| to).collect()
    };
    keys.into_iter().map(|key| Key { places: places(&key), ..key }).collect()
}

/// The places of the columns by which a window function partitions.
fn partitions(expr: &Expr, schema: &DFSchema) -> BTreeSet<usize> {
    match expr {
        Expr::Alias(alias) => partitions(&alias.expr, schema),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(_) | WindowFunctionDefinition::WindowUDF(_) => {
                let by = call.params.partition_by.iter();
                by.filter_map(|expr| place(column(expr)?, schema)).collect()
            }
        },
        _ => BTreeSet::new(),
    }
}

fn place(column: &Column, schema: &DFSchema) -> Option<usize> {
    schema.maybe_index_of_column(column)
}
