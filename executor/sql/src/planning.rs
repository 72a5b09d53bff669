//! From a statement to an optimised plan.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, Result, ScalarValue, TableReference, plan_datafusion_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use flowc_planner::catalogue::Problem;
use flowc_sql_process::query::Query;
use serde_json::Value;

use crate::functions;
use crate::offered;
use crate::problems::{misplaced, problems};
use crate::rules::decimal;
use crate::session::{Room, session};
use crate::stack::wait;
use crate::statement;
use crate::table::Table;
use crate::time_windows;

/// A statement that is ready to run.
pub(crate) struct Planned {
    pub(crate) context: SessionContext,
    /// After the engine's logical optimizer.
    pub(crate) plan: LogicalPlan,
}

/// Plans a query over tables.
///
/// # Errors
/// Everything that is wrong with it, with places in the statement as it is written.
pub(crate) fn plan(query: &Query, tables: &[Arc<Table>], config: &Value, room: &Room) -> Result<Planned, Vec<Problem>> {
    let normal = query.normal.as_deref().unwrap_or(&query.written);
    attempt(normal, query, tables, config, room).map_err(|error| {
        // The same mistake is in the text as it is written, where its place is known.
        let written = attempt(&query.written, query, tables, config, room).err();
        match written {
            Some(error) => problems(&error, &query.written, &query.tables),
            None => misplaced(problems(&error, normal, &query.tables)),
        }
    })
}

fn attempt(text: &str, query: &Query, tables: &[Arc<Table>], config: &Value, room: &Room) -> Result<Planned> {
    let context = session(room)?;
    for (name, table) in query.tables.iter().zip(tables) {
        let table = table.clone() as Arc<dyn TableProvider>;
        context.register_table(TableReference::bare(name.as_str()), table)?;
    }
    let mut statement = statement::parse(text)?;
    time_windows::rewrite(&mut statement)?;
    offered::rewrite(&mut statement)?;
    let plan = wait(context.state().statement_to_plan(statement))?;
    let plan = plan.with_param_values(parameters(config))?;
    functions::check(&plan)?;
    check_tables(&plan, &query.tables)?;
    let plan = context.state().optimize(&plan)?;
    check_columns(&plan)?;
    Ok(Planned { context, plan })
}

/// The values of parameters.
fn parameters(config: &Value) -> ParamValues {
    let value = |value: &Value| match value {
        Value::Bool(flag) => ScalarValue::Boolean(Some(*flag)),
        Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Number(number) => match number.as_i64() {
            Some(number) => ScalarValue::Int64(Some(number)),
            None => decimal(&number.to_string()).unwrap_or(ScalarValue::Float64(number.as_f64())),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => ScalarValue::Null,
    };
    let members = config.as_object().into_iter().flatten();
    members.map(|(name, given)| (name.clone(), value(given))).collect::<HashMap<_, _>>().into()
}

/// Each table is read: what is named and not used is a mistake.
fn check_tables(plan: &LogicalPlan, tables: &[String]) -> Result<()> {
    let mut read = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            read.push(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match tables.iter().find(|table| !read.contains(table)) {
        Some(table) => Err(plan_datafusion_err!("the statement does not read its input `{table}`")),
        None => Ok(()),
    }
}

/// The columns of a stream have names of their own.
fn check_columns(plan: &LogicalPlan) -> Result<()> {
    let fields = plan.schema().fields();
    let twice = fields.iter().enumerate().find(|(at, field)| fields[..*at].iter().any(|f| f.name() == field.name()));
    match twice {
        Some((_, field)) => {
            let name = field.name();
            Err(plan_datafusion_err!("two columns of the result are called `{name}`; name one of them with `AS`"))
        }
        None => Ok(()),
    }
}
