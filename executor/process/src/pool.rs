//! Programs that wait for work, and those that are lent.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use flowc_flight::{Connection, Ending, FlightInstance, Program, Stages, Unanswered};
use flowc_planner::catalogue::Problem;
use flowc_platform::lock;
use flowc_runner::{Instance, Outlet, StageError};

/// For how long a program that has just answered is held to be well.
const WELL: Duration = Duration::from_secs(1);

/// How long one that waited may take to answer. Another is soon started.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running program that serves stages. Dropping it ends it.
pub trait Server: Send + 'static {
    /// The way to it.
    fn connection(&self) -> &Connection;

    /// Whether it still runs.
    fn is_alive(&mut self) -> bool;

    /// Lines that it printed since this was asked last.
    fn printed(&mut self) -> Vec<String>;

    /// How it ended; waits a moment for that.
    fn ended(&mut self) -> Option<Ending>;
}

impl Server for Box<dyn Server> {
    fn connection(&self) -> &Connection {
        (**self).connection()
    }

    fn is_alive(&mut self) -> bool {
        (**self).is_alive()
    }

    fn printed(&mut self) -> Vec<String> {
        (**self).printed()
    }

    fn ended(&mut self) -> Option<Ending> {
        (**self).ended()
    }
}

/// Programs that wait for work, by their kind: any of a kind can do the work of any other of it. There are never more than
/// invocations at once. Clones share them.
pub struct Pool<K, P>(Arc<Mutex<Programs<K, P>>>);

struct Programs<K, P> {
    waiting: HashMap<K, Vec<Waiting<P>>>,
    /// Those that are being started ahead of their work.
    coming: HashMap<K, Receiver<Waiting<P>>>,
    /// How many are lent, or about to be.
    lent: HashMap<K, usize>,
}

/// A program without work.
struct Waiting<P> {
    program: P,
    since: Instant,
}

impl<P: Server> Waiting<P> {
    fn from_now(program: P) -> Self {
        Self { program, since: Instant::now() }
    }

    /// Whether it runs, and answers: one that waits may have been stopped, or have lost its way.
    fn is_well(&mut self) -> bool {
        self.program.is_alive() && (self.since.elapsed() < WELL || self.program.connection().check(PATIENCE).is_ok())
    }
}

impl<K, P> Default for Pool<K, P> {
    fn default() -> Self {
        let programs = Programs { waiting: HashMap::new(), coming: HashMap::new(), lent: HashMap::new() };
        Self(Arc::new(Mutex::new(programs)))
    }
}

impl<K, P> Clone for Pool<K, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, P: Server> Pool<K, P> {
    /// Lends one of a kind that waits and is well, or else a new one.
    ///
    /// # Errors
    /// Those of `start`.
    pub fn lend<E>(&self, kind: K, start: impl FnOnce(&K) -> Result<P, E>) -> Result<Lent<K, P>, E> {
        let at_work = AtWork::new(kind, self.clone());
        let program = match self.take(&at_work.kind) {
            Some(program) => program,
            None => start(&at_work.kind)?,
        };
        Ok(Lent { program, at_work })
    }

    /// Starts one ahead of its work, if none of its kind is there yet: the next that is lent is this one. Where that fails, who needs it
    /// starts another, and learns why.
    pub fn prepare<E>(&self, kind: K, start: impl FnOnce(&K) -> Result<P, E>) {
        let (ready, coming) = sync_channel(1);
        {
            let mut programs = self.lock();
            let is_there = programs.waiting.get(&kind).is_some_and(|waiting| !waiting.is_empty());
            // Those who work have begun, and need no other.
            if is_there || programs.coming.contains_key(&kind) || programs.lent.contains_key(&kind) {
                return;
            }
            programs.coming.insert(kind.clone(), coming);
        }
        if let Ok(program) = start(&kind) {
            // If nobody wants it any more it ends.
            let _ = ready.send(Waiting::from_now(program));
        }
    }

    /// Ends those that wait.
    pub fn end_idle(&self) {
        let (waiting, coming) = {
            let mut programs = self.lock();
            (std::mem::take(&mut programs.waiting), std::mem::take(&mut programs.coming))
        };
        drop((waiting, coming));
    }

    fn take(&self, kind: &K) -> Option<P> {
        let well = |mut waiting: Waiting<P>| waiting.is_well().then_some(waiting.program);
        while let Some(waiting) = self.waiting(kind) {
            if let Some(program) = well(waiting) {
                return Some(program);
            }
        }
        let coming = self.lock().coming.remove(kind)?;
        coming.recv().ok().and_then(well)
    }

    fn waiting(&self, kind: &K) -> Option<Waiting<P>> {
        self.lock().waiting.get_mut(kind)?.pop()
    }

    fn lock(&self) -> MutexGuard<'_, Programs<K, P>> {
        lock(&self.0)
    }
}

/// Counts a program as lent, as long as it lives.
struct AtWork<K: Eq + Hash, P> {
    kind: K,
    pool: Pool<K, P>,
}

impl<K: Clone + Eq + Hash, P> AtWork<K, P> {
    fn new(kind: K, pool: Pool<K, P>) -> Self {
        *lock(&pool.0).lent.entry(kind.clone()).or_default() += 1;
        Self { kind, pool }
    }
}

impl<K: Eq + Hash, P> Drop for AtWork<K, P> {
    fn drop(&mut self) {
        let lent = &mut lock(&self.pool.0).lent;
        match lent.get_mut(&self.kind) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = lent.remove(&self.kind),
        }
    }
}

/// A program that is at work. Dropping it ends it.
pub struct Lent<K: Eq + Hash, P> {
    program: P,
    at_work: AtWork<K, P>,
}

impl<K: Clone + Eq + Hash + Send + 'static, P: Server> Lent<K, P> {
    /// The way to it.
    pub fn connection(&self) -> &Connection {
        self.program.connection()
    }

    /// Opens an invocation, after which the program waits again.
    ///
    /// # Errors
    /// If the stage refuses it, or the program is gone.
    pub fn open(self, stages: Stages<'_>, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let connection = self.program.connection().clone();
        Ok(Box::new(FlightInstance::open(&connection, Box::new(self), stages, outlet)?))
    }

    /// Asks something, after which the program waits again, if it has answered. One that is still at work on it, or is about to end, is of
    /// no use to others.
    ///
    /// # Errors
    /// What it answers, or that it ended.
    pub fn ask<T>(mut self, question: impl FnOnce(&Connection) -> Result<T, Unanswered>) -> Result<T, Unanswered> {
        let answer = question(self.program.connection());
        match answer {
            Err(Unanswered::Silent(_)) => answer,
            // The connection ends before the process does.
            Err(Unanswered::Broken(_)) => match self.program.ended() {
                Some(ending) => Err(unanswered(&ending, &self.program.printed()).into()),
                None => answer,
            },
            Ok(_) | Err(Unanswered::Problem(_)) => {
                if self.program.is_alive() {
                    self.wait_for_work();
                }
                answer
            }
        }
    }

    fn wait_for_work(self) {
        let Self { program, at_work } = self;
        at_work.pool.lock().waiting.entry(at_work.kind.clone()).or_default().push(Waiting::from_now(program));
    }
}

/// What it means that a program ended so while it was asked. Too little memory is no mistake of the pipeline.
fn unanswered(ending: &Ending, words: &[String]) -> Problem {
    let message = format!("its process ended while it was asked: {ending}\n{}", words.join("\n"));
    let message = message.trim_end();
    match ending {
        Ending::Memory => Problem::of_machine(message).with_help("give it more with `--memory`"),
        Ending::Other(_) | Ending::Unreachable(_) => Problem::new(message),
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, P: Server> Program for Lent<K, P> {
    fn printed(&mut self) -> Vec<String> {
        self.program.printed()
    }

    fn ended(&mut self) -> Option<Ending> {
        self.program.ended()
    }

    fn give_back(self: Box<Self>, sound: bool) {
        if sound {
            self.wait_for_work();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Idle;

    impl Server for Idle {
        fn connection(&self) -> &Connection {
            unreachable!("nobody talks to it")
        }

        fn is_alive(&mut self) -> bool {
            true
        }

        fn printed(&mut self) -> Vec<String> {
            Vec::new()
        }

        fn ended(&mut self) -> Option<Ending> {
            None
        }
    }

    #[test]
    fn none_is_started_ahead_of_work_that_has_begun() {
        let (pool, started) = (Pool::<&str, Idle>::default(), Cell::new(0));
        let start = |_: &&str| {
            started.set(started.get() + 1);
            Ok::<_, ()>(Idle)
        };
        let lent = ["one", "one"].map(|kind| pool.lend(kind, start).unwrap());
        assert_eq!(started.get(), 2);
        pool.prepare("one", start);
        assert_eq!(started.get(), 2, "those that are lent have begun");
        pool.prepare("other", start);
        assert_eq!(started.get(), 3);
        let [first, second] = lent;
        drop(first);
        pool.prepare("one", start);
        assert_eq!(started.get(), 3, "one is still lent");
        second.wait_for_work();
        pool.prepare("one", start);
        assert_eq!(started.get(), 3, "one waits");
        pool.lend("one", |_| Err(())).unwrap();
        pool.prepare("one", start);
        assert_eq!(started.get(), 4);
        assert!(pool.lend("new", |_| Err(())).is_err());
        pool.prepare("new", start);
        assert_eq!(started.get(), 5, "what did not start is not lent");
    }

    #[test]
    fn who_asks_in_vain_hears_why() {
        let words = ["loading".to_owned(), "the model".to_owned()];
        let crashed = unanswered(&Ending::Other("it was ended by signal 11".to_owned()), &words);
        assert_eq!(
            crashed,
            Problem::new("its process ended while it was asked: it was ended by signal 11\nloading\nthe model")
        );
        let memory = unanswered(&Ending::Memory, &[]);
        let message = "its process ended while it was asked: it was killed for want of memory";
        assert_eq!(memory, Problem::of_machine(message).with_help("give it more with `--memory`"));
    }
}
