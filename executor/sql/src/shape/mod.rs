//! What a plan needs of its inputs before it can answer.
//!
//! - `rows`: a row of the one input gives a row or none, so columns can be passed on;
//! - `combining`: an aggregate of the rows of each segment of the first input, with all rows of the others; parts are put together;
//! - `driver`: each row of one input gives rows of its own, with all rows of the other inputs;
//! - `keyed`: rows of one key give rows together;
//! - all else needs all rows.
//!
//! `why` says what keeps a plan from less. In doubt a plan needs all rows: that is always right.

mod combining;
mod driver;
mod keyed;
mod rows;
mod why;

use std::collections::BTreeSet;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use flowc_planner::plan::Class;

pub(crate) use rows::RowByRow;

/// What a plan needs, and how it is run.
#[derive(Debug)]
pub(crate) struct Shape {
    /// One per table.
    pub(crate) inputs: Vec<InputShape>,
    pub(crate) run: Run,
}

/// What a plan needs of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputShape {
    pub(crate) class: Class,
    /// Columns, ascending.
    pub(crate) reads: Vec<usize>,
    /// Columns of the key.
    pub(crate) keys: Vec<usize>,
    /// Why it is of this class, where there is more to say.
    pub(crate) because: String,
}

/// How a plan is run.
#[derive(Debug)]
pub(crate) enum Run {
    /// Batch by batch, without the engine's operators.
    Rows(RowByRow),
    /// In parts of segments, which are put together.
    Parts { plan: LogicalPlan, order: Order },
    /// When all rows are there.
    Query { plan: LogicalPlan, order: Order },
}

/// The order of the rows of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As the plan gives them: it sorts them, or keeps the order of its input.
    Given,
    /// By the numbers of the driving input's rows, then by all columns.
    Driver,
    /// By all columns.
    Columns,
}

/// What an optimised plan needs of the tables of these names.
///
/// # Errors
/// If the engine does not take what it has planned itself.
pub(crate) fn of(plan: LogicalPlan, tables: &[String]) -> Result<Shape> {
    let scans = scans(&plan)?;
    let reads: Vec<Vec<usize>> = tables.iter().map(|table| reads(&scans, table)).collect();
    let is_one = matches!((tables, &scans[..]), ([table], [scan]) if scan.table == *table);
    if is_one && let Some(rows) = rows::of(&plan)? {
        let reads = rows.reads();
        return Ok(Shape { inputs: vec![input(Class::RowWise, reads, "")], run: Run::Rows(rows) });
    }
    let once = |table: &String| scans.iter().filter(|scan| scan.table == *table).count() == 1;
    let result_order = || if crate::rules::is_ordered(&plan) { Order::Given } else { Order::Columns };
    // Each part takes all rows of the other tables. Which table that is worth for is the author's to say, who names it first.
    let combines = match tables.first().filter(|first| once(first)) {
        Some(first) => combining::combines(&plan, first)?,
        None => false,
    };
    let in_parts = |reads| beside(0, Class::Combining, tables, reads);
    if combines && is_one {
        return Ok(Shape { inputs: in_parts(reads), run: Run::Parts { order: result_order(), plan } });
    }
    if let Some(driving) = tables.iter().position(|table| once(table) && driver::drives(&plan, table)) {
        let inputs = beside(driving, Class::RowWise, tables, reads);
        let run = match driver::keeps_order(&plan) {
            true => Run::Query { plan, order: Order::Given },
            false => Run::Query { plan: driver::numbered(plan, &tables[driving])?, order: Order::Driver },
        };
        return Ok(Shape { inputs, run });
    }
    // Functions that give rows are scanned too, and can't be partitioned.
    if tables.iter().all(once)
        && scans.len() == tables.len()
        && let Some(keys) = keyed::keys(&plan, tables)?
    {
        let keyed = reads.into_iter().zip(keys).map(|(reads, keys)| InputShape {
            class: Class::Keyed,
            reads: reads.into_iter().chain(keys.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect(),
            keys,
            because: String::new(),
        });
        return Ok(Shape { inputs: keyed.collect(), run: Run::Query { plan, order: Order::Columns } });
    }
    let order = result_order();
    if combines {
        return Ok(Shape { inputs: in_parts(reads), run: Run::Parts { order, plan } });
    }
    let because = why::whole(&plan, &scans, tables);
    let inputs = reads.into_iter().map(|reads| input(Class::Whole, reads, &because)).collect();
    Ok(Shape { inputs, run: Run::Query { plan, order } })
}

fn input(class: Class, reads: Vec<usize>, because: &str) -> InputShape {
    InputShape { class, reads, keys: Vec::new(), because: because.to_owned() }
}

/// The inputs of a plan that takes one table in segments, each with all rows of the others.
fn beside(table: usize, class: Class, tables: &[String], reads: Vec<Vec<usize>>) -> Vec<InputShape> {
    let all = format!("each segment of `{}` meets all rows", tables[table]);
    let of = |(at, reads)| if at == table { input(class, reads, "") } else { input(Class::Whole, reads, &all) };
    reads.into_iter().enumerate().map(of).collect()
}

/// A place where a plan reads a table.
struct Scan {
    table: String,
    columns: Vec<usize>,
}

fn scans(plan: &LogicalPlan) -> Result<Vec<Scan>> {
    let mut scans = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.push(Scan { table: scan.table_name.table().to_owned(), columns: columns(scan) });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

/// The columns that a scan gives, as columns of its table.
fn columns(scan: &TableScan) -> Vec<usize> {
    scan.projection.clone().unwrap_or_else(|| (0..scan.source.schema().fields().len()).collect())
}

fn reads(scans: &[Scan], table: &str) -> Vec<usize> {
    let of_table = scans.iter().filter(|scan| scan.table == table);
    of_table.flat_map(|scan| scan.columns.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether an expression depends on nothing but the row.
fn is_of_row(expr: &Expr) -> Result<bool> {
    use datafusion::common::tree_node::TreeNode;
    let other = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::AggregateFunction(_)
                | Expr::Exists(_)
                | Expr::GroupingSet(_)
                | Expr::InSubquery(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::Unnest(_)
                | Expr::WindowFunction(_)
        ))
    })?;
    Ok(!other)
}

/// The column that an expression is, perhaps under another name.
fn column(expr: &Expr) -> Option<&datafusion::common::Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column(&alias.expr),
        _ => None,
    }
}
