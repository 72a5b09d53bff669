//! Runs jobs in parallel, each after those that it depends on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Error;

/// What became of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It failed.
    Failed(Error),
    /// Something that it depends on failed, or the run was stopped before its turn.
    Skipped,
}

/// Jobs and their order.
pub(crate) struct Schedule<'a> {
    /// Per job, those before it; all with lower numbers.
    pub after: &'a [Vec<usize>],
    /// Threads.
    pub threads: usize,
    /// Bytes of stack that a job needs.
    pub stack: usize,
    /// Whether jobs that don't depend on a failure still run.
    pub keep_going: bool,
}

struct State {
    ready: BinaryHeap<Reverse<usize>>,
    waiting_for: Vec<usize>,
    outcomes: Vec<Option<Outcome>>,
    open: usize,
    stopped: bool,
}

impl Schedule<'_> {
    /// Runs every job; gives their outcomes in order. Lower numbers go first where there is a choice.
    pub(crate) fn run(&self, job: &(dyn Fn(usize) -> Result<(), Error> + Sync)) -> Vec<Outcome> {
        let waiting_for: Vec<usize> = self.after.iter().map(Vec::len).collect();
        let ready = waiting_for.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| Reverse(i)).collect();
        let outcomes = self.after.iter().map(|_| None).collect();
        let state = State { ready, waiting_for, outcomes, open: self.after.len(), stopped: false };
        let (state, wake, below) = (Mutex::new(state), Condvar::new(), self.below());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(self.after.len()) {
                spawn(scope, self.stack, || self.work(&state, &wake, &below, job));
            }
        });
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Skipped)).collect()
    }

    fn below(&self) -> Vec<Vec<usize>> {
        let mut below = vec![Vec::new(); self.after.len()];
        for (job, after) in self.after.iter().enumerate() {
            after.iter().for_each(|&before| below[before].push(job));
        }
        below
    }

    fn work(
        &self,
        state: &Mutex<State>,
        wake: &Condvar,
        below: &[Vec<usize>],
        job: &(dyn Fn(usize) -> Result<(), Error> + Sync),
    ) {
        let mut guard = lock(state);
        loop {
            if guard.open == 0 || guard.stopped {
                wake.notify_all();
                return;
            }
            let Some(Reverse(next)) = guard.ready.pop() else {
                guard = wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(guard);
            let result = job(next);
            guard = lock(state);
            match result {
                Ok(()) => guard.finish(next, Outcome::Done, below),
                Err(error) => {
                    guard.stopped |= !self.keep_going || matches!(error, Error::Cancelled);
                    guard.finish(next, Outcome::Failed(error), below);
                }
            }
            wake.notify_all();
        }
    }
}

impl State {
    /// Settles a job, and skips what depends on it if it was not done.
    fn finish(&mut self, job: usize, outcome: Outcome, below: &[Vec<usize>]) {
        let done = matches!(outcome, Outcome::Done);
        self.outcomes[job] = Some(outcome);
        self.open -= 1;
        for &next in &below[job] {
            if self.outcomes[next].is_some() {
                continue;
            }
            self.waiting_for[next] -= 1;
            if !done {
                self.finish(next, Outcome::Skipped, below);
            } else if self.waiting_for[next] == 0 {
                self.ready.push(Reverse(next));
            }
        }
    }
}

/// Starts a thread with a stack of its own size, within the span at hand.
///
/// # Panics
/// If the system has no thread left, like [`std::thread::spawn`].
pub(crate) fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    stack: usize,
    work: impl FnOnce() + Send + 'scope,
) {
    let span = tracing::Span::current();
    let thread = std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, move || span.in_scope(work));
    thread.expect("the system starts a thread");
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn run(after: &[Vec<usize>], keep_going: bool, fail: usize) -> Vec<Outcome> {
        let job = |n| if n == fail { Err(Error::Request("no".to_owned())) } else { Ok(()) };
        Schedule { after, threads: 3, stack: 1 << 20, keep_going }.run(&job)
    }

    #[test]
    fn every_job_runs_after_those_before_it() {
        let after: Vec<Vec<usize>> =
            (0..200).map(|n: usize| if n < 10 { vec![] } else { vec![n / 2, n - 10] }).collect();
        let clock = AtomicUsize::new(0);
        let times: Vec<AtomicUsize> = after.iter().map(|_| AtomicUsize::new(usize::MAX)).collect();
        let job = |n: usize| {
            for &before in &after[n] {
                assert!(times[before].load(Ordering::SeqCst) < usize::MAX, "{before} comes before {n}");
            }
            times[n].store(clock.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            Ok(())
        };
        let outcomes = Schedule { after: &after, threads: 4, stack: 1 << 20, keep_going: false }.run(&job);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)));
    }

    #[test]
    fn what_depends_on_a_failure_is_skipped_and_the_rest_runs_when_asked() {
        let after = vec![vec![], vec![], vec![0], vec![2], vec![1]];
        let outcomes = run(&after, true, 0);
        assert!(matches!(outcomes[0], Outcome::Failed(_)));
        assert!(matches!(outcomes[2], Outcome::Skipped) && matches!(outcomes[3], Outcome::Skipped));
        assert!(matches!(outcomes[1], Outcome::Done) && matches!(outcomes[4], Outcome::Done));
    }

    #[test]
    fn a_failure_stops_the_rest_otherwise() {
        let chain: Vec<Vec<usize>> = (0..50usize).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
        let outcomes = run(&chain, false, 3);
        assert!(matches!(outcomes[2], Outcome::Done) && matches!(outcomes[3], Outcome::Failed(_)));
        assert!(outcomes[4..].iter().all(|outcome| matches!(outcome, Outcome::Skipped)));
    }
}
