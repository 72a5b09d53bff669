//! Errors of a query at work, as its author is to see them.

use datafusion::common::DataFusionError;
use flowc_planner::quantity::size;
use flowc_runner::StageFault;

/// What an error says of the query.
pub(super) fn fault(error: &DataFusionError, memory: Option<u64>) -> StageFault {
    let root = error.find_root();
    let message = match root {
        DataFusionError::ResourcesExhausted(why) => too_little(why, memory),
        DataFusionError::ArrowError(error, _) => error.to_string(),
        DataFusionError::Execution(what) => what.clone(),
        other => other.strip_backtrace(),
    };
    let message = message.strip_prefix("Arithmetic overflow: ").unwrap_or(&message).to_owned();
    StageFault::Problem { message, config_path: None }
}

/// Whether a query needs more memory than it may have.
pub(super) fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

fn too_little(why: &str, memory: Option<u64>) -> String {
    let (limit, remedy) = match memory {
        Some(bytes) => (format!(" of {}", size(bytes)), format!("`memory \"{}\"`", size(bytes.saturating_mul(2)))),
        None => (String::new(), "`memory`".to_owned()),
    };
    format!("the query needs more memory than its limit{limit}; set {remedy} in the stage. The engine says: {why}")
}
