//! From a query to what runs of it.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use flowc_planner::catalogue::Problem;
use flowc_sql_process::query::Query;
use serde_json::Value;

use crate::planning::{Planned, plan};
use crate::problems::problems;
use crate::session::Room;
use crate::shape::{self, Run, Shape};
use crate::table::Table;

/// A query with its shape and the columns of its result.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn shaped(
    query: &Query,
    tables: &[Arc<Table>],
    config: &Value,
    room: &Room,
) -> Result<(Planned, Shape, SchemaRef), Vec<Problem>> {
    let planned = plan(query, tables, config, room)?;
    let shape = shape::of(planned.plan.clone(), &query.tables);
    let shape = shape.map_err(|error| problems(&error, &query.written, &query.tables))?;
    let schema = result_schema(&planned.plan, &shape);
    Ok((planned, shape, schema))
}

/// The columns of a result, in types that other stages know.
fn result_schema(plan: &LogicalPlan, shape: &Shape) -> SchemaRef {
    let is_passed = |output| matches!(&shape.run, Run::Rows(rows) if rows.passed(output).is_some());
    let field = |(output, field): (usize, &Arc<Field>)| {
        let data_type = if is_passed(output) { field.data_type().clone() } else { plain(field.data_type()) };
        Field::new(field.name(), data_type, field.is_nullable())
    };
    Arc::new(Schema::new(plan.schema().fields().iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// Views in what the engine computes are its own business. A column that is passed on is what it was.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}
