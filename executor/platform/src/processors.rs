//! The processors of this machine.

use rustix::thread::{CpuSet, sched_getaffinity};

/// The numbers of the processors that this process may use; none where they can't be told apart.
pub fn processors() -> Vec<usize> {
    let given = sched_getaffinity(None).ok();
    let numbers = given.map(|set| (0..CpuSet::MAX_CPU).filter(|number| set.is_set(*number)).collect());
    numbers.unwrap_or_default()
}
