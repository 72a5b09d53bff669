//! The memory of a whole run. Tasks run side by side only as far as what their stages may take fits into it, whatever the
//! number of threads and the length of chains.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use flowc_planner::plan::{Plan, Stage};
use flowc_planner::quantity::size;
use flowc_platform::lock;

use crate::{Cancel, Error};

/// How long a task that waits may not notice that the run was stopped.
const PULSE: Duration = Duration::from_millis(50);

/// The memory that a run may use where nothing else is said: three quarters of what there is.
pub fn default_budget() -> u64 {
    const UNKNOWN: u64 = 4 << 30;
    flowc_platform::memory().map_or(UNKNOWN, |bytes| bytes / 4 * 3)
}

/// Memory that the tasks of a run share.
pub(crate) struct Budget {
    total: u64,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    taken: u64,
    /// The number that the next task gets, and the one whose turn it is: a big task is not passed by small ones for ever.
    next: u64,
    turn: u64,
}

/// Memory that a task has taken. Dropping it gives it back.
pub(crate) struct Taken<'a> {
    budget: &'a Budget,
    /// How much.
    pub bytes: u64,
}

impl Budget {
    /// All of it is free.
    pub(crate) fn new(total: u64) -> Self {
        Self { total, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits until so much is free, and takes it. A task that may take more than there is gets all of it.
    ///
    /// # Errors
    /// If the run is stopped meanwhile.
    pub(crate) fn take(&self, bytes: u64, cancel: &Cancel) -> Result<Taken<'_>, Error> {
        let bytes = bytes.min(self.total);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        while state.turn != number || state.taken + bytes > self.total {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            state =
                self.freed.wait_timeout(state, PULSE).map_or_else(|poisoned| poisoned.into_inner().0, |woken| woken.0);
        }
        state.turn += 1;
        state.taken += bytes;
        self.freed.notify_all();
        Ok(Taken { budget: self, bytes })
    }

    /// Refuses a plan with a stage that alone may take more than there is.
    ///
    /// # Errors
    /// In that case.
    pub(crate) fn check(&self, plan: &Plan, memory: u64) -> Result<(), Error> {
        let limit = |stage: &Stage| stage.limits.memory.unwrap_or(memory);
        let Some(stage) = plan.stages.iter().find(|stage| limit(stage) > self.total) else { return Ok(()) };
        let (whence, remedy) = match stage.limits.memory {
            Some(_) => ("`memory` in its node", "lower it"),
            None => ("the setting `memory`", "lower that"),
        };
        Err(Error::Request(format!(
            "stage `{}` may take {} ({whence}), more than the {} of the whole run; {remedy}, or raise `--budget`",
            stage.name,
            size(limit(stage)),
            size(self.total)
        )))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.budget.lock().taken -= self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn what_is_taken_at_once_stays_within_the_budget() {
        let (budget, cancel) = (Budget::new(100), Cancel::new());
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (budget, cancel, now, most) = (&budget, &cancel, &now, &most);
                scope.spawn(move || {
                    for turn in 0..200 {
                        let taken = budget.take((thread * 7 + turn) % 60 + 1, cancel).unwrap();
                        most.fetch_max(now.fetch_add(taken.bytes, Ordering::SeqCst) + taken.bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(taken.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        let most = most.into_inner();
        assert!((1..=100).contains(&most), "{most}");
        assert_eq!(budget.lock().taken, 0);
    }

    #[test]
    fn more_than_there_is_means_all_of_it_and_nothing_beside() {
        let (budget, cancel) = (Budget::new(100), Cancel::new());
        let all = budget.take(1000, &cancel).unwrap();
        assert_eq!(all.bytes, 100);
        cancel.cancel();
        assert!(matches!(budget.take(1, &cancel), Err(Error::Cancelled)));
    }
}
