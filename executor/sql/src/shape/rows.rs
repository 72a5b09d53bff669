//! Plans that give at most one row for each row of one table.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::{columns, is_of_row};

/// Such a plan as expressions over the columns of the table.
#[derive(Clone, Debug)]
pub(crate) struct RowByRow {
    /// Rows are left out by these, one after the other.
    pub(crate) filters: Vec<Expr>,
    /// One per column of the result.
    pub(crate) outputs: Vec<Expr>,
    /// The table's columns, as the expressions know them.
    pub(crate) table: DFSchema,
}

/// The plan as expressions; none if it is of another kind.
///
/// # Errors
/// If the engine does not know its own columns.
pub(super) fn of(plan: &LogicalPlan) -> Result<Option<RowByRow>> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() && scan.filters.is_empty() => {
            let schema = scan.source.schema();
            let table = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &schema)?;
            let of_table = |at: usize| Expr::Column(table.qualified_field(at).into());
            let outputs = columns(scan).into_iter().map(of_table).collect();
            Ok(Some(RowByRow { filters: Vec::new(), outputs, table }))
        }
        LogicalPlan::SubqueryAlias(alias) => of(&alias.input),
        LogicalPlan::Filter(filter) => with(&filter.input, |rows, schema| {
            let predicate = rows.over_table(&filter.predicate, schema)?;
            rows.filters.push(predicate);
            Ok(())
        }),
        LogicalPlan::Projection(projection) => with(&projection.input, |rows, schema| {
            let outputs = projection.expr.iter().map(|expr| rows.over_table(expr, schema));
            rows.outputs = outputs.collect::<Result<_>>()?;
            Ok(())
        }),
        _ => Ok(None),
    }
}

fn with(input: &LogicalPlan, change: impl FnOnce(&mut RowByRow, &DFSchema) -> Result<()>) -> Result<Option<RowByRow>> {
    let Some(mut rows) = of(input)? else { return Ok(None) };
    change(&mut rows, input.schema())?;
    let expressions = rows.filters.iter().chain(&rows.outputs);
    let of_row = expressions.map(is_of_row).collect::<Result<Vec<_>>>()?;
    Ok(of_row.into_iter().all(|of_row| of_row).then_some(rows))
}

impl RowByRow {
    /// An expression over the columns of a plan as one over those of the table.
    fn over_table(&self, expr: &Expr, schema: &DFSchema) -> Result<Expr> {
        let expr = if let Expr::Alias(alias) = expr { (*alias.expr).clone() } else { expr.clone() };
        let replaced = expr.transform_up(|expr| match &expr {
            Expr::Column(column) => {
                let at = schema.index_of_column(column)?;
                Ok(Transformed::yes(self.outputs[at].clone()))
            }
            _ => Ok(Transformed::no(expr)),
        })?;
        Ok(replaced.data)
    }

    /// The table's column that an output is, if it is one as it stands.
    pub(crate) fn passed(&self, output: usize) -> Option<usize> {
        self.table.maybe_index_of_column(super::column(&self.outputs[output])?)
    }

    /// The outputs that have to be computed.
    pub(crate) fn written(&self) -> impl Iterator<Item = usize> {
        (0..self.outputs.len()).filter(|&output| self.passed(output).is_none())
    }

    /// The columns of the table that expressions read.
    pub(crate) fn reads(&self) -> Vec<usize> {
        let expressions = self.filters.iter().chain(self.written().map(|output| &self.outputs[output]));
        let columns = expressions.flat_map(|expr| expr.column_refs());
        let mut reads: Vec<usize> = columns.filter_map(|column| self.table.maybe_index_of_column(column)).collect();
        reads.sort_unstable();
        reads.dedup();
        reads
    }
}
