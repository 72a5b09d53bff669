//! Queries that go row by row: expressions over the batches of the one input, as these come.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::filter::prep_null_mask_filter;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use flowc_runner::{Batch, Outlet, PerBatch, Selection, StageError, StageFault};

use crate::run::described::described;
use crate::run::failure::{asked, is_panic, plain_fault};
use crate::shape::RowByRow;
use crate::stack::deep;

/// Such a query at work.
pub(super) struct RowInstance {
    pub(super) stage: Arc<str>,
    pub(super) expressions: Arc<Expressions>,
    /// How many rows came before.
    pub(super) before: u64,
}

/// A query over the columns that it reads.
#[derive(Debug)]
pub(super) struct Expressions {
    reads: SchemaRef,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    /// The columns that are written, with their types.
    written: Vec<(Arc<dyn PhysicalExpr>, DataType)>,
}

impl Expressions {
    /// Those of a plan whose result has these columns.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub(super) fn new(context: &SessionContext, rows: &RowByRow, schema: &SchemaRef) -> Result<Self, StageFault> {
        let refused = |error: DataFusionError| plain_fault(&error);
        let fields = rows.reads().into_iter().map(|column| {
            let (table, field) = rows.table.qualified_field(column);
            (table.cloned(), field.clone())
        });
        let fields: Vec<_> = fields.collect();
        let reads = Arc::new(Schema::new(fields.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>()));
        let table = DFSchema::new_with_metadata(fields, Default::default()).map_err(refused)?;
        let state = context.state();
        let physical = |expr: &Expr| state.create_physical_expr(expr.clone(), &table);
        let filters = rows.filters.iter().map(physical).collect::<Result<_>>().map_err(refused)?;
        let written = rows
            .written()
            .map(|output| Ok((physical(&rows.outputs[output])?, schema.field(output).data_type().clone())));
        let written = written.collect::<Result<_>>().map_err(refused)?;
        Ok(Self { reads, filters, written })
    }

    /// The rows that are left, and the columns that are written of them. Columns after those that are read stay as they are.
    fn answer(&self, batch: &Batch) -> Result<Batch> {
        let reads: Vec<usize> = (0..self.reads.fields().len()).collect();
        let mut left = batch.clone();
        for filter in &self.filters {
            let read = left.project(self.reads.clone(), &reads)?;
            left = left.select(&Selection::Mask(mask(filter, &read)?))?;
        }
        let read = left.project(self.reads.clone(), &reads)?;
        let written = self.written.iter().map(|(expr, data_type)| {
            let column = expr.evaluate(&read)?.into_array(read.num_rows())?;
            Ok(Some(described(&column, data_type)?))
        });
        let written = written.collect::<Result<Vec<Option<ArrayRef>>>>()?;
        let beside = left.columns()[reads.len()..].iter().cloned();
        Ok(Batch::new(left.rows(), beside.chain(written).collect::<Vec<_>>()))
    }

    /// The answer in batches: more than one where a column of them would be too large for one.
    fn answers(&self, batch: &Batch) -> Result<Vec<Batch>> {
        match asked(|| self.answer(batch)) {
            Err(error) if is_panic(&error) && batch.rows() > 1 => {
                let half = batch.rows() / 2;
                let mut all = self.answers(&batch.slice(0, half))?;
                all.extend(self.answers(&batch.slice(half, batch.rows() - half))?);
                Ok(all)
            }
            answer => Ok(vec![answer?]),
        }
    }

    /// The first row that can't be answered by itself.
    fn culprit(&self, batch: &Batch) -> Option<usize> {
        let (mut start, mut rows) = (0, batch.rows());
        while rows > 1 {
            let half = rows / 2;
            match self.answers(&batch.slice(start, half)) {
                Err(_) => rows = half,
                Ok(_) => (start, rows) = (start + half, rows - half),
            }
        }
        Some(start)
    }
}

/// Where a condition holds.
fn mask(filter: &Arc<dyn PhysicalExpr>, read: &RecordBatch) -> Result<BooleanArray> {
    let holds = filter.evaluate(read)?.into_array(read.num_rows())?;
    let holds =
        holds.as_boolean_opt().ok_or_else(|| DataFusionError::Internal("a condition is no boolean".to_owned()))?;
    Ok(if holds.nulls().is_some() { prep_null_mask_filter(holds) } else { holds.clone() })
}

impl PerBatch for RowInstance {
    fn push(&mut self, port: usize, batch: Batch, outlet: &mut dyn Outlet) -> Result<(), StageError> {
        let Self { expressions, stage, before, .. } = self;
        let answers = deep(|| expressions.answers(&batch).map_err(|error| (expressions.culprit(&batch), error)));
        let answers = answers.map_err(|(culprit, error)| {
            let failed = StageError::new(&**stage, plain_fault(&error));
            let row = culprit.map(|row| *before + row as u64);
            row.map_or(failed.clone(), |row| failed.at(port, row..row + 1))
        })?;
        self.before += batch.rows() as u64;
        answers.into_iter().filter(|answer| answer.rows() > 0).try_for_each(|answer| outlet.emit(0, answer))
    }
}
