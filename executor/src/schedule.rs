//! Runs jobs in parallel, each after those that it depends on. Jobs can be added while others run, by those too.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Error;
use flowc_platform::lock;

#[cfg(test)]
mod tests;

/// Something to do.
pub(crate) trait Job: Send + Sync {
    /// What jobs are ordered by.
    type Rank: Copy + Ord + Send;

    /// Of jobs that could be begun, those of a lower rank are; of one rank, those that were added first.
    fn rank(&self) -> Self::Rank;

    /// What it holds while it runs.
    fn needs(&self) -> Tokens {
        Tokens { processors: 1 }
    }
}

/// Resources of which there are so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Processors that work for stages, sources and sinks.
    pub processors: usize,
}

impl Tokens {
    fn take(&mut self, needs: Self) -> bool {
        let fits = needs.processors <= self.processors;
        if fits {
            self.processors -= needs.processors;
        }
        fits
    }

    fn give_back(&mut self, needs: Self) {
        self.processors += needs.processors;
    }
}

/// A job of a scheduler: a later one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId(usize);

/// How jobs are run.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// What jobs share.
    pub tokens: Tokens,
    /// Bytes of stack that a job needs.
    pub stack: usize,
    /// Whether jobs that don't depend on a failure still run.
    pub keep_going: bool,
}

/// Jobs and their order.
pub(crate) struct Scheduler<J: Job> {
    limits: Limits,
    state: Mutex<State<J>>,
    wake: Condvar,
}

struct State<J: Job> {
    jobs: Vec<Entry<J>>,
    /// By rank, those that wait for a thread and tokens alone.
    ready: BTreeSet<(J::Rank, JobId)>,
    /// Those of them that need no processor: while all are held, a hundred thousand others need not be looked at.
    unneeding: BTreeSet<(J::Rank, JobId)>,
    free: Tokens,
    /// Threads that wait for something to do.
    waiting: usize,
    /// Jobs that are not settled.
    open: usize,
    stopped: bool,
    /// In the order of time.
    failures: Vec<(JobId, Error)>,
}

struct Entry<J: Job> {
    /// None once it has run: what it holds in memory goes with it.
    job: Option<Arc<J>>,
    rank: J::Rank,
    /// The job that is not done without this one.
    whole: Option<JobId>,
    /// Jobs before it that are not settled.
    waiting_for: usize,
    /// Jobs after it.
    below: Vec<JobId>,
    /// It and its parts, as far as they are not settled.
    open: usize,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    Done,
    /// It failed, or something that it depends on did; or the run was stopped before its turn.
    Lost,
}

/// What is done for a job.
type Perform<'p, J> = dyn Fn(&Worker<'_, J>, &J) -> Result<(), Error> + Sync + 'p;

/// A job that runs. What it adds runs in the same scheduler.
pub(crate) struct Worker<'s, J: Job> {
    scheduler: &'s Scheduler<J>,
    perform: &'s Perform<'s, J>,
    job: JobId,
}

impl<J: Job> Scheduler<J> {
    /// Without jobs.
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            jobs: Vec::new(),
            ready: BTreeSet::new(),
            unneeding: BTreeSet::new(),
            free: limits.tokens,
            waiting: 0,
            open: 0,
            stopped: false,
            failures: Vec::new(),
        };
        Self { limits, state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Adds a job that runs once others are done. If one of them fails, it is skipped.
    pub(crate) fn add(&self, job: J, after: &[JobId]) -> JobId {
        self.insert(job, after, None)
    }

    fn insert(&self, job: J, after: &[JobId], whole: Option<JobId>) -> JobId {
        let mut state = self.lock();
        let id = state.insert(job, after, whole);
        self.wake_another(&state);
        id
    }

    /// Wakes a thread if there is something that it could begin. It does the same once it has begun that. To wake all of them for each
    /// job costs more than a small job does.
    fn wake_another(&self, state: &State<J>) {
        if state.waiting > 0 && state.next().is_some() {
            self.wake.notify_one();
        }
    }

    /// Does every job, and those that are added meanwhile. Gives what failed, in the order of time. `perform` must not panic: nobody
    /// would do the rest.
    pub(crate) fn run(&self, perform: &Perform<'_, J>) -> Vec<(JobId, Error)> {
        let mut refused = None;
        std::thread::scope(|scope| {
            // One more for jobs that need no processor.
            let threads = self.limits.tokens.processors + 1;
            let start = || spawn(scope, self.limits.stack, || self.work(perform));
            let started = (0..threads).map_while(|_| start().map_err(|error| refused = Some(error)).ok()).count();
            // With fewer threads the work takes longer, with none it would never end.
            if let (0, Some(error)) = (started, refused.take()) {
                let mut state = self.lock();
                state.stopped = true;
                state.failures.push((JobId(0), Error::system("start a thread")(error)));
            }
        });
        std::mem::take(&mut self.lock().failures)
    }

    /// Whether a job was done.
    pub(crate) fn is_done(&self, job: JobId) -> bool {
        self.lock().jobs[job.0].outcome == Outcome::Done
    }

    /// Whether a job will not be begun any more, or has ended.
    pub(crate) fn is_settled(&self, job: JobId) -> bool {
        let state = self.lock();
        state.stopped || state.jobs[job.0].outcome != Outcome::Open
    }

    fn work(&self, perform: &Perform<'_, J>) {
        let mut state = self.lock();
        while state.open > 0 && !state.stopped {
            let Some((id, job)) = state.begin() else {
                state.waiting += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.waiting -= 1;
                continue;
            };
            self.wake_another(&state);
            drop(state);
            let (result, needs) = (perform(&Worker { scheduler: self, perform, job: id }, &job), job.needs());
            drop(job);
            state = self.lock();
            state.free.give_back(needs);
            state.finish(id, result, self.limits.keep_going);
        }
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        lock(&self.state)
    }
}

impl<J: Job> Worker<'_, J> {
    /// Adds a job that runs once others are done.
    pub(crate) fn add(&self, job: J, after: &[JobId]) -> JobId {
        self.scheduler.add(job, after)
    }

    /// Adds a job without which this one is not done: what waits for this one waits for both.
    pub(crate) fn add_part(&self, job: J, after: &[JobId]) -> JobId {
        self.scheduler.insert(job, after, Some(self.job))
    }

    /// Does jobs of a lower rank than this here and now, while more of them wait than there are processors. So a job that adds
    /// others does not run away from them: what they hold in memory stays bounded.
    pub(crate) fn relieve(&self, rank: J::Rank) {
        let most = self.scheduler.limits.tokens.processors;
        loop {
            let mut state = self.scheduler.lock();
            if state.stopped || state.ready.range(..(rank, JobId(0))).nth(most).is_none() {
                return;
            }
            // The job at hand holds the processor for it.
            let Some((id, job)) = state.pop(rank) else { return };
            drop(state);
            let worker = Worker { scheduler: self.scheduler, perform: self.perform, job: id };
            let result = (self.perform)(&worker, &job);
            drop(job);
            let mut state = self.scheduler.lock();
            state.finish(id, result, self.scheduler.limits.keep_going);
            self.scheduler.wake_another(&state);
        }
    }

    /// See [`Scheduler::is_settled`].
    pub(crate) fn is_settled(&self, job: JobId) -> bool {
        self.scheduler.is_settled(job)
    }
}

impl<J: Job> State<J> {
    fn insert(&mut self, job: J, after: &[JobId], whole: Option<JobId>) -> JobId {
        let id = JobId(self.jobs.len());
        let rank = job.rank();
        let open: Vec<JobId> = after.iter().copied().filter(|job| self.jobs[job.0].outcome == Outcome::Open).collect();
        let is_lost = self.stopped || after.iter().any(|job| self.jobs[job.0].outcome == Outcome::Lost);
        open.iter().for_each(|job| self.jobs[job.0].below.push(id));
        if let Some(whole) = whole {
            self.jobs[whole.0].open += 1;
        }
        let (job, waiting_for) = (Some(Arc::new(job)), open.len());
        let outcome = Outcome::Open;
        self.jobs.push(Entry { job, rank, whole, waiting_for, below: Vec::new(), open: 1, outcome });
        self.open += 1;
        match (is_lost, waiting_for) {
            (true, _) => self.settle(id, Outcome::Lost),
            (false, 0) => self.make_ready(id),
            (false, _) => {}
        }
        id
    }

    /// The next job for which there are tokens, and what is left of them then.
    fn next(&self) -> Option<((J::Rank, JobId), Tokens)> {
        let mut free = self.free;
        let fitting = if free.processors == 0 { &self.unneeding } else { &self.ready };
        let fits = |(_, id): &&(J::Rank, JobId)| self.jobs[id.0].job.as_ref().is_some_and(|job| free.take(job.needs()));
        let next = fitting.iter().find(fits).copied()?;
        Some((next, free))
    }

    /// Begins the next job for which there are tokens.
    fn begin(&mut self) -> Option<(JobId, Arc<J>)> {
        let (next, free) = self.next()?;
        self.free = free;
        self.taken(next)
    }

    /// A job that waits for a thread and tokens alone.
    fn make_ready(&mut self, id: JobId) {
        let entry = &self.jobs[id.0];
        self.ready.insert((entry.rank, id));
        if entry.job.as_ref().is_some_and(|job| job.needs().processors == 0) {
            self.unneeding.insert((entry.rank, id));
        }
    }

    /// The next job of a lower rank, for a thread that holds tokens already.
    fn pop(&mut self, below: J::Rank) -> Option<(JobId, Arc<J>)> {
        let next = self.ready.range(..(below, JobId(0))).next().copied()?;
        self.taken(next)
    }

    fn taken(&mut self, next: (J::Rank, JobId)) -> Option<(JobId, Arc<J>)> {
        self.ready.remove(&next);
        self.unneeding.remove(&next);
        Some((next.1, self.jobs[next.1.0].job.take()?))
    }

    fn finish(&mut self, job: JobId, result: Result<(), Error>, keep_going: bool) {
        match result {
            Ok(()) => self.part_done(job),
            Err(error) => {
                self.stopped |= !keep_going || matches!(error, Error::Cancelled);
                self.failures.push((job, error));
                self.settle(job, Outcome::Lost);
            }
        }
    }

    /// A job, or one of its parts, is done.
    fn part_done(&mut self, job: JobId) {
        let entry = &mut self.jobs[job.0];
        entry.open -= 1;
        if entry.open == 0 && entry.outcome == Outcome::Open {
            self.settle(job, Outcome::Done);
        }
    }

    /// Settles a job. What depends on one that was not done, or has it as a part, is lost with it.
    fn settle(&mut self, job: JobId, outcome: Outcome) {
        let mut settled = vec![(job, outcome)];
        while let Some((job, outcome)) = settled.pop() {
            let entry = &mut self.jobs[job.0];
            if entry.outcome != Outcome::Open {
                continue;
            }
            entry.outcome = outcome;
            (entry.job, self.open) = (None, self.open - 1);
            let (below, whole) = (std::mem::take(&mut entry.below), entry.whole);
            for next in below {
                let entry = &mut self.jobs[next.0];
                entry.waiting_for -= 1;
                match outcome {
                    Outcome::Done if entry.waiting_for == 0 && entry.outcome == Outcome::Open => {
                        self.make_ready(next);
                    }
                    Outcome::Done => {}
                    Outcome::Open | Outcome::Lost => settled.push((next, Outcome::Lost)),
                }
            }
            let Some(whole) = whole else { continue };
            match outcome {
                Outcome::Done => {
                    let entry = &mut self.jobs[whole.0];
                    entry.open -= 1;
                    if entry.open == 0 {
                        settled.push((whole, Outcome::Done));
                    }
                }
                Outcome::Open | Outcome::Lost => settled.push((whole, Outcome::Lost)),
            }
        }
    }
}

/// Starts a thread with a stack of its own size, within the span at hand.
///
/// # Errors
/// If the system has no thread or no memory for it.
fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    stack: usize,
    work: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    let span = tracing::Span::current();
    std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, move || span.in_scope(work)).map(drop)
}
