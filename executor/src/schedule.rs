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

/// How jobs are run.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Threads.
    pub threads: usize,
    /// Bytes of stack that a job needs.
    pub stack: usize,
    /// Whether jobs that don't depend on a failure still run.
    pub keep_going: bool,
}

/// Jobs and their order.
pub(crate) struct Schedule<'a> {
    /// Per job, those before it; all with lower numbers.
    after: &'a [Vec<usize>],
    /// Per job, those that it is before.
    below: Vec<Vec<usize>>,
    limits: Limits,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    ready: BinaryHeap<Reverse<usize>>,
    waiting_for: Vec<usize>,
    outcomes: Vec<Option<Outcome>>,
    open: usize,
    stopped: bool,
}

/// A job by its number.
type Job<'a> = dyn Fn(usize) -> Result<(), Error> + Sync + 'a;

/// What a job does, in words.
type Name<'a> = dyn Fn(usize) -> String + Sync + 'a;

impl<'a> Schedule<'a> {
    /// None has begun.
    pub(crate) fn new(after: &'a [Vec<usize>], limits: Limits) -> Self {
        let waiting_for: Vec<usize> = after.iter().map(Vec::len).collect();
        let ready = waiting_for.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| Reverse(i)).collect();
        let outcomes = after.iter().map(|_| None).collect();
        let state = State { ready, waiting_for, outcomes, open: after.len(), stopped: false };
        let mut below = vec![Vec::new(); after.len()];
        for (job, after) in after.iter().enumerate() {
            after.iter().for_each(|&before| below[before].push(job));
        }
        Self { after, below, limits, state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Runs every job; gives their outcomes in order. Lower numbers go first where there is a choice. A job that panics has
    /// failed by a fault of flowc.
    pub(crate) fn run(&self, name: &Name<'_>, job: &Job<'_>) -> Vec<Outcome> {
        let mut refused = None;
        std::thread::scope(|scope| {
            let threads = self.limits.threads.min(self.after.len());
            let start = || spawn(scope, self.limits.stack, || self.work(name, job));
            let started = (0..threads).map_while(|_| start().map_err(|error| refused = Some(error)).ok()).count();
            // With fewer threads the work takes longer, with none it would never end.
            if let (0, Some(error)) = (started, refused.take()) {
                let mut state = lock(&self.state);
                state.stopped = true;
                state.outcomes[0] = Some(Outcome::Failed(Error::system("start a thread")(error)));
            }
        });
        let outcomes = std::mem::take(&mut lock(&self.state).outcomes);
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Skipped)).collect()
    }

    /// Whether a job will not be begun any more, or has ended.
    pub(crate) fn is_settled(&self, job: usize) -> bool {
        let state = lock(&self.state);
        state.stopped || state.outcomes.get(job).is_none_or(Option::is_some)
    }

    fn work(&self, name: &Name<'_>, job: &Job<'_>) {
        let mut guard = lock(&self.state);
        loop {
            if guard.open == 0 || guard.stopped {
                self.wake.notify_all();
                return;
            }
            let Some(Reverse(next)) = guard.ready.pop() else {
                guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(guard);
            let result = Error::catch(|| name(next), || job(next));
            guard = lock(&self.state);
            match result {
                Ok(()) => guard.finish(next, Outcome::Done, &self.below),
                Err(error) => {
                    guard.stopped |= !self.limits.keep_going || matches!(error, Error::Cancelled);
                    guard.finish(next, Outcome::Failed(error), &self.below);
                }
            }
            self.wake.notify_all();
        }
    }
}

impl State {
    /// Settles a job, and skips what depends on it if it was not done.
    fn finish(&mut self, job: usize, outcome: Outcome, below: &[Vec<usize>]) {
        let done = matches!(outcome, Outcome::Done);
        self.settle(job, outcome);
        let mut settled = vec![job];
        while let Some(job) = settled.pop() {
            for &next in &below[job] {
                if self.outcomes[next].is_some() {
                    continue;
                }
                self.waiting_for[next] -= 1;
                if !done {
                    self.settle(next, Outcome::Skipped);
                    settled.push(next);
                } else if self.waiting_for[next] == 0 {
                    self.ready.push(Reverse(next));
                }
            }
        }
    }

    fn settle(&mut self, job: usize, outcome: Outcome) {
        self.outcomes[job] = Some(outcome);
        self.open -= 1;
    }
}

/// Starts a thread with a stack of its own size, within the span at hand.
///
/// # Errors
/// If the system has no thread or no memory for it.
pub(crate) fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    stack: usize,
    work: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    let span = tracing::Span::current();
    std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, move || span.in_scope(work)).map(drop)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn run(after: &[Vec<usize>], keep_going: bool, job: &Job<'_>) -> Vec<Outcome> {
        let limits = Limits { threads: 3, stack: 1 << 20, keep_going };
        Schedule::new(after, limits).run(&|job| format!("doing job {job}"), job)
    }

    fn failing(fail: usize) -> impl Fn(usize) -> Result<(), Error> {
        move |n| if n == fail { Err(Error::Request("no".to_owned())) } else { Ok(()) }
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
        assert!(run(&after, false, &job).iter().all(|outcome| matches!(outcome, Outcome::Done)));
    }

    #[test]
    fn what_depends_on_a_failure_is_skipped_and_the_rest_runs_when_asked() {
        let after = vec![vec![], vec![], vec![0], vec![2], vec![1]];
        let outcomes = run(&after, true, &failing(0));
        assert!(matches!(outcomes[0], Outcome::Failed(_)));
        assert!(matches!(outcomes[2], Outcome::Skipped) && matches!(outcomes[3], Outcome::Skipped));
        assert!(matches!(outcomes[1], Outcome::Done) && matches!(outcomes[4], Outcome::Done));
    }

    #[test]
    fn a_failure_stops_the_rest_otherwise() {
        let chain: Vec<Vec<usize>> = (0..50usize).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
        let outcomes = run(&chain, false, &failing(3));
        assert!(matches!(outcomes[2], Outcome::Done) && matches!(outcomes[3], Outcome::Failed(_)));
        assert!(outcomes[4..].iter().all(|outcome| matches!(outcome, Outcome::Skipped)));
    }

    #[test]
    fn a_panic_is_a_failure_that_names_its_job_and_nobody_waits_for_it() {
        let chain: Vec<Vec<usize>> = (0..50usize).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
        let job = |n: usize| if n == 3 { panic!("lost count") } else { Ok(()) };
        for keep_going in [false, true] {
            let outcomes = run(&chain, keep_going, &job);
            assert!(matches!(outcomes[2], Outcome::Done) && matches!(outcomes[4], Outcome::Skipped));
            let Outcome::Failed(error) = &outcomes[3] else { panic!("job 3 fails") };
            assert!(error.to_string().starts_with("a bug in flowc, doing job 3: lost count, at "), "{error}");
        }
    }

    #[test]
    fn what_will_not_run_any_more_is_settled() {
        let after = vec![vec![], vec![0], vec![1], vec![]];
        let limits = |keep_going| Limits { threads: 1, stack: 1 << 20, keep_going };
        for keep_going in [false, true] {
            let schedule = Schedule::new(&after, limits(keep_going));
            let seen = Mutex::new(Vec::new());
            let settled = || (0..4).map(|job| schedule.is_settled(job)).collect::<Vec<_>>();
            let job = |n: usize| {
                seen.lock().unwrap().push(settled());
                failing(0)(n)
            };
            schedule.run(&|_| String::new(), &job);
            let seen = seen.into_inner().unwrap();
            assert_eq!(seen[0], [false; 4]);
            assert_eq!(seen.get(1), keep_going.then_some(&vec![true, true, true, false]));
            assert_eq!(settled(), [true; 4]);
        }
    }

    #[test]
    fn a_system_without_threads_is_told() {
        let limits = Limits { threads: 2, stack: usize::MAX / 2, keep_going: false };
        let outcomes = Schedule::new(&[vec![], vec![0]], limits).run(&|_| String::new(), &|_| Ok(()));
        let [Outcome::Failed(error @ Error::System { .. }), Outcome::Skipped] = &outcomes[..] else {
            panic!("{outcomes:?}")
        };
        assert!(error.to_string().starts_with("cannot start a thread: "), "{error}");
    }
}
