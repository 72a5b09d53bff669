//! The engine, set up so that equal inputs give equal bytes, however they are cut and whatever memory there is.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::Dialect;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::registry::FunctionRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::Analyzer;
use datafusion::prelude::{SessionConfig, SessionContext};

use flowc_sql_process::query::{CATALOG, SCHEMA};

use crate::memory::QueryMemory;
use crate::rules::{
    CHECKED_ARITHMETIC, DISTINCT_ORDERS, EXACT_FLOATS, IntervalArithmetic, MixedNumbers, ONE_NAN, ONE_ZERO,
    OrderedLimits, ROUNDED_CASTS, TIME_CASTS, ThreeValues, TieBreakers, at_time_zone,
};
use crate::{extremes, scalars, sums};

/// The part of its memory that a sort keeps for merging what it has spilled.
const MERGING: usize = 16;
/// Partitions of a query that runs in some. A number of its own, so that how it runs depends on no machine.
const PARTITIONS: usize = 4;

/// What a query may take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    /// What it shares with other queries, if there are some.
    pub(crate) runtime: Option<Arc<RuntimeEnv>>,
    /// Bytes of memory.
    pub(crate) memory: Option<usize>,
    /// Rows of a batch, where they are not the engine's own.
    pub(crate) batch_rows: Option<usize>,
    /// Bytes of rows from which on a query over whole inputs runs in partitions. None does where this is not said.
    pub(crate) apart: Option<usize>,
}

/// A session without tables.
///
/// # Errors
/// If there is no folder for temporary files.
pub(crate) fn session(room: &Room) -> Result<SessionContext> {
    // Before the engine's own rules, which give what is compared one type.
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(MixedNumbers));
    let state = SessionStateBuilder::new()
        .with_config(config(room))
        .with_runtime_env(room.runtime.clone().map_or_else(|| runtime(room.memory), Ok)?)
        .with_default_features()
        .with_analyzer_rules(rules)
        .with_analyzer_rule(Arc::new(TIME_CASTS))
        .with_analyzer_rule(Arc::new(ThreeValues))
        .with_analyzer_rule(Arc::new(ONE_NAN))
        .with_analyzer_rule(Arc::new(ONE_ZERO))
        .with_analyzer_rule(Arc::new(ROUNDED_CASTS))
        .with_analyzer_rule(Arc::new(EXACT_FLOATS))
        .with_analyzer_rule(Arc::new(DISTINCT_ORDERS))
        .with_analyzer_rule(Arc::new(CHECKED_ARITHMETIC))
        .with_analyzer_rule(Arc::new(OrderedLimits))
        .with_physical_optimizer_rule(Arc::new(TieBreakers))
        .build();
    let mut context = SessionContext::new_with_state(state);
    context.register_expr_planner(Arc::new(IntervalArithmetic))?;
    context.register_udf(at_time_zone());
    let mended = scalars::functions(&context.state())?;
    mended.into_iter().for_each(|function| context.register_udf(function));
    sums::functions().into_iter().chain(extremes::functions()).for_each(|function| context.register_udaf(function));
    Ok(context)
}

/// A session for the same tables and functions, in which the engine works on several partitions at once.
pub(crate) fn in_partitions(context: &SessionContext) -> SessionState {
    let mut state = context.state();
    let options = state.config_mut().options_mut();
    options.execution.target_partitions = PARTITIONS;
    options.execution.sort_spill_reservation_bytes /= PARTITIONS;
    let optimizer = &mut options.optimizer;
    optimizer.repartition_aggregations = true;
    optimizer.repartition_joins = true;
    optimizer.repartition_sorts = true;
    state
}

/// Everything in one partition, and nothing that depends on how fast parts of a plan are.
fn config(room: &Room) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(1);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.collect_spans = true;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.catalog.information_schema = false;
    CATALOG.clone_into(&mut options.catalog.default_catalog);
    SCHEMA.clone_into(&mut options.catalog.default_schema);
    options.execution.time_zone = Some("+00:00".to_owned());
    options.execution.planning_concurrency = 1;
    options.execution.collect_statistics = false;
    options.execution.skip_partial_aggregation_probe_rows_threshold = usize::MAX;
    if let Some(memory) = room.memory {
        options.execution.sort_spill_reservation_bytes = memory / MERGING;
        // Merging sorted batches takes as much again as they do, since rows are compared by all columns. Sorting them as one takes what was
        // reserved with them, so rows that do not fit can always be written out.
        options.execution.sort_in_place_threshold_bytes = usize::MAX;
    }
    let optimizer = &mut options.optimizer;
    optimizer.enable_round_robin_repartition = false;
    optimizer.repartition_aggregations = false;
    optimizer.repartition_joins = false;
    optimizer.repartition_file_scans = false;
    optimizer.repartition_windows = false;
    optimizer.repartition_sorts = false;
    optimizer.prefer_existing_union = true;
    optimizer.enable_distinct_aggregation_soft_limit = false;
    optimizer.enable_topk_aggregation = false;
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    match room.batch_rows {
        Some(rows) => config.with_batch_size(rows),
        None => config,
    }
}

/// So much memory, if it is limited, and room for what does not fit into it: the folder that the program runs in, which flowc removes
/// with it.
///
/// # Errors
/// If there is no such folder.
pub(crate) fn runtime(memory: Option<usize>) -> Result<Arc<RuntimeEnv>> {
    let folder = std::env::current_dir()?;
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![folder]));
    let builder = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    match memory {
        Some(bytes) => builder.with_memory_pool(QueryMemory::new(bytes)).build_arc(),
        None => builder.build_arc(),
    }
}
