//! Plans that are run again and again over other rows of one table, while those of all other tables stay.
//!
//! A join keeps what it built of its left side: a node that is executed again builds nothing. So each join on the way of the driving
//! table's rows is turned such that the other tables are on its left.

use std::sync::Arc;

use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use datafusion::physical_plan::unnest::UnnestExec;

/// Whether a scan is that of the driving table.
pub(crate) type Drives<'a> = dyn Fn(&StreamingTableExec) -> bool + 'a;

/// The plan with such joins; none where a node on the way of the driving rows keeps something of them.
///
/// # Errors
/// If the engine does not take it.
pub(crate) fn over_builds(
    plan: &Arc<dyn ExecutionPlan>,
    drives: &Drives<'_>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<StreamingTableExec>() {
        return Ok(drives(scan).then(|| plan.clone()));
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return turned(join, drives);
    }
    let keeps_nothing = plan.downcast_ref::<FilterExec>().is_some_and(|filter| filter.fetch().is_none())
        || plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<UnnestExec>().is_some()
        || plan.downcast_ref::<CooperativeExec>().is_some();
    match plan.children()[..] {
        [input] if keeps_nothing => match over_builds(input, drives)? {
            Some(rows) => replace_children_if_necessary(plan.clone(), vec![rows]).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

fn turned(join: &HashJoinExec, drives: &Drives<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if join.null_aware || join.fetch().is_some() {
        return Ok(None);
    }
    let is_left = reads(join.left(), drives);
    let (driving, built) = if is_left { (join.left(), join.right()) } else { (join.right(), join.left()) };
    let join_type = if is_left { join.join_type().swap() } else { *join.join_type() };
    if marks_its_left(join_type) || reads(built, drives) {
        return Ok(None);
    }
    let Some(driving) = over_builds(driving, drives)? else { return Ok(None) };
    let builder = join.builder().with_partition_mode(PartitionMode::CollectLeft);
    if is_left {
        let fresh = builder.with_new_children(vec![driving, built.clone()])?.reset_state().build()?;
        return fresh.swap_inputs(PartitionMode::CollectLeft).map(Some);
    }
    builder.with_new_children(vec![built.clone(), driving])?.reset_state().build_exec().map(Some)
}

/// Whether a join notes on its left side which rows have met one: then an execution would see the notes of the last.
fn marks_its_left(join: JoinType) -> bool {
    match join {
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftSemi | JoinType::LeftMark | JoinType::Full => true,
        JoinType::Inner | JoinType::Right | JoinType::RightAnti | JoinType::RightSemi | JoinType::RightMark => false,
    }
}

fn reads(plan: &Arc<dyn ExecutionPlan>, drives: &Drives<'_>) -> bool {
    let is_driving = plan.downcast_ref::<StreamingTableExec>().is_some_and(drives);
    is_driving || plan.children().into_iter().any(|child| reads(child, drives))
}
