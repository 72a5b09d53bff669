//! What flowc makes of the engine's functions: which of them give the same every time, which can be made of parts, and why others are not
//! offered.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, WindowFunctionDefinition};

use crate::rules::has_own_order;

/// What an aggregate function needs of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// Any parts of them, which are put together afterwards.
    Parts,
    /// All rows of a group, in any order.
    Group,
    /// All rows of a group, in an order that is always the same.
    Ordered,
    /// Something that it can't have. In the place of the function another may do, or another expression.
    Refused { because: &'static str, instead: &'static str },
}

/// What depends on the order of rows since it sees a part of them at a time.
const SAMPLED: &str = "what it estimates depends on the order in which rows come";
/// What depends on the order of rows since it rounds on the way.
const ROUNDED: &str = "it rounds as it adds, so its result depends on the order in which rows come";
/// What may stand in its place: sums are exact.
const BY_SUMS: &str = "write it with `sum` and `count`, which do not round";

const APPROXIMATED: Aggregate = Aggregate::Refused { because: SAMPLED, instead: "use `median` or `percentile_cont`" };
const REGRESSION: Aggregate = Aggregate::Refused { because: ROUNDED, instead: BY_SUMS };

/// All aggregate functions of the engine, by the names that it has for them.
const AGGREGATES: &[(&str, Aggregate)] = &[
    ("any_value", Aggregate::Ordered),
    ("approx_distinct", Aggregate::Group),
    ("approx_median", APPROXIMATED),
    ("approx_percentile_cont", APPROXIMATED),
    ("approx_percentile_cont_with_weight", APPROXIMATED),
    ("array_agg", Aggregate::Ordered),
    ("avg", Aggregate::Parts),
    ("bit_and", Aggregate::Parts),
    ("bit_or", Aggregate::Parts),
    ("bit_xor", Aggregate::Parts),
    ("bool_and", Aggregate::Parts),
    ("bool_or", Aggregate::Parts),
    ("corr", REGRESSION),
    ("count", Aggregate::Parts),
    ("covar_pop", REGRESSION),
    ("covar_samp", REGRESSION),
    ("first_value", Aggregate::Ordered),
    ("grouping", Aggregate::Group),
    ("last_value", Aggregate::Ordered),
    ("max", Aggregate::Parts),
    ("median", Aggregate::Group),
    ("min", Aggregate::Parts),
    ("nth_value", Aggregate::Ordered),
    ("percentile_cont", Aggregate::Group),
    ("regr_avgx", REGRESSION),
    ("regr_avgy", REGRESSION),
    ("regr_count", REGRESSION),
    ("regr_intercept", REGRESSION),
    ("regr_r2", REGRESSION),
    ("regr_slope", REGRESSION),
    ("regr_sxx", REGRESSION),
    ("regr_sxy", REGRESSION),
    ("regr_syy", REGRESSION),
    ("stddev", Aggregate::Parts),
    ("stddev_pop", Aggregate::Parts),
    ("string_agg", Aggregate::Ordered),
    ("sum", Aggregate::Parts),
    ("var", Aggregate::Parts),
    ("var_pop", Aggregate::Parts),
];

/// What nobody has looked at.
const UNKNOWN: Aggregate =
    Aggregate::Refused { because: "it is not known to give the same every time", instead: "use another function" };

impl Aggregate {
    /// What a function needs.
    pub(crate) fn named(name: &str) -> Self {
        AGGREGATES.iter().find(|(of, _)| *of == name).map_or(UNKNOWN, |(_, aggregate)| *aggregate)
    }

    /// Whether what it gives depends on the order of rows.
    pub(crate) fn needs_order(self) -> bool {
        self == Self::Ordered
    }

    fn check(self, name: &str) -> Result<()> {
        match self {
            Self::Refused { because, instead } => {
                Err(plan_datafusion_err!("`{name}` is not offered: {because}; {instead}"))
            }
            Self::Parts | Self::Group | Self::Ordered => Ok(()),
        }
    }
}

/// Refuses functions whose results are not the same every time.
///
/// # Errors
/// That there is such a function, and what to do.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    each_expression(plan, &mut |expr| match expr {
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
            Err(volatile(call.name()))
        }
        Expr::AggregateFunction(call) => Aggregate::named(call.func.name()).check(call.func.name()),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                Aggregate::named(function.name()).check(function.name())
            }
            WindowFunctionDefinition::WindowUDF(_) => Ok(()),
        },
        _ => Ok(()),
    })
}

/// Whether a plan gives the same when parts of its rows are worked on apart: nothing needs a whole group, or the order in which rows came.
pub(crate) fn takes_parts(plan: &LogicalPlan) -> Result<bool> {
    let mut takes = true;
    each_expression(plan, &mut |expr| {
        takes &= match expr {
            Expr::AggregateFunction(call) => {
                let is_plain = !call.params.distinct && call.params.order_by.is_empty();
                is_plain && Aggregate::named(call.func.name()) == Aggregate::Parts
            }
            Expr::WindowFunction(_) => false,
            _ => true,
        };
        Ok(())
    })?;
    plan.apply_with_subqueries(|node| {
        takes &= match node {
            // Rows of a round are those of the one before.
            LogicalPlan::RecursiveQuery(_) => false,
            // The first rows of an input are those that came first.
            LogicalPlan::Limit(limit) => has_own_order(&limit.input),
            LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
            _ => true,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(takes)
}

/// Goes through all expressions of a plan and of its subqueries.
fn each_expression(plan: &LogicalPlan, check: &mut dyn FnMut(&Expr) -> Result<()>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                check(expr)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn volatile(name: &str) -> DataFusionError {
    match name {
        "now" | "current_timestamp" | "current_date" | "current_time" | "today" => plan_datafusion_err!(
            "`{name}()` is another time in every run; give the time as a parameter: `$today`, and `config {{ today \"2024-01-01\" }}`"
        ),
        _ => plan_datafusion_err!("`{name}()` gives something else in every run, so its results can't be kept"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::session::{Room, session};

    #[test]
    fn every_aggregate_of_the_engine_is_in_the_table() {
        let context = session(&Room::default()).unwrap();
        let functions = context.state().aggregate_functions().clone();
        let known: BTreeSet<&str> = functions.values().map(|function| function.name()).collect();
        let listed: Vec<&str> = AGGREGATES.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, known.into_iter().collect::<Vec<_>>());
    }

    /// Names of functions with their other names, one a line, in order.
    fn listed<'f>(functions: impl Iterator<Item = (&'f str, &'f [String])>) -> String {
        let names: BTreeMap<&str, BTreeSet<&str>> =
            functions.map(|(name, aliases)| (name, aliases.iter().map(String::as_str).collect())).collect();
        let lines = names.into_iter().map(|(name, aliases)| {
            let aliases: Vec<String> = aliases.into_iter().map(|alias| format!("`{alias}`")).collect();
            format!("| `{name}` | {} |\n", aliases.join(", "))
        });
        format!("| | also |\n|---|---|\n{}", lines.collect::<String>())
    }

    fn page() -> String {
        let state = session(&Room::default()).unwrap().state();
        let is_offered = |name: &str| Aggregate::named(name).check(name).is_ok();
        let scalars = state.scalar_functions().values();
        let scalars = scalars.filter(|function| function.signature().volatility == Volatility::Immutable);
        let aggregates = state.aggregate_functions().values().filter(|function| is_offered(function.name()));
        let windows = state.window_functions().values();
        format!(
            "# Functions of SQL\n\nMade from the code; a test keeps it so. What they give is told in [Stages in SQL](sql.md), where it is not that of PostgreSQL.\n\n\
             ## Of the values of a row\n\n{}\n## Of the rows of a group\n\nEach of them is a function of windows, too.\n\n{}\n## Of windows\n\n{}",
            listed(scalars.map(|function| (function.name(), function.aliases()))),
            listed(aggregates.map(|function| (function.name(), function.aliases()))),
            listed(windows.map(|function| (function.name(), function.aliases()))),
        )
    }

    #[test]
    fn the_page_of_functions_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql-functions.md");
        if std::env::var_os("FLOWC_BLESS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page(), "docs/sql-functions.md is out of date: run this test with FLOWC_BLESS=1");
    }

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let said = |name| Aggregate::named(name).check(name).unwrap_err().strip_backtrace();
        assert!(said("corr").contains("`corr` is not offered: it rounds as it adds"));
        assert!(said("approx_median").ends_with("use `median` or `percentile_cont`"));
        assert!(said("new").contains("not known"));
        assert!(Aggregate::named("sum").check("sum").is_ok());
    }
}
