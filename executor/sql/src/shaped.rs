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
use crate::shape::{self, Shape};
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
    let schema = result_schema(&planned.plan);
    let shape = shape::of(planned.plan.clone(), &query.tables);
    let shape = shape.map_err(|error| problems(&error, &query.written, &query.tables))?;
    Ok((planned, shape, schema))
}

/// The columns of a result, in types that other stages know.
fn result_schema(plan: &LogicalPlan) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), plain(field.data_type()), field.is_nullable());
    Arc::new(Schema::new(plan.schema().fields().iter().map(field).collect::<Vec<_>>()))
}

/// Views are the engine's own business.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}
