//! The tables of the last runs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use flowc_platform::lock;

use crate::results::{Refusal, Results, Snapshot};

/// Runs that queries may still be answered from, though newer ones have ended.
const KEPT: usize = 4;

/// Gives snapshots: the last one, and a few before it.
pub(crate) struct Shelf {
    results: Box<dyn Results>,
    last: Mutex<VecDeque<Arc<dyn Snapshot>>>,
}

impl Shelf {
    pub(crate) fn new(results: Box<dyn Results>) -> Self {
        Self { results, last: Mutex::default() }
    }

    /// The tables as the last good run left them.
    ///
    /// # Errors
    /// If what is stored can't be read.
    pub(crate) fn now(&self) -> Result<Arc<dyn Snapshot>, Refusal> {
        let now = self.results.now()?;
        let mut last = lock(&self.last);
        if last.front().is_none_or(|last| last.id() != now.id()) {
            last.retain(|other| other.id() != now.id());
            last.push_front(Arc::clone(&now));
            last.truncate(KEPT);
        }
        Ok(now)
    }

    /// The tables of a run that a query was planned with.
    ///
    /// # Errors
    /// If too many runs have ended since.
    pub(crate) fn of_run(&self, id: u64) -> Result<Arc<dyn Snapshot>, Refusal> {
        let found = lock(&self.last).iter().find(|snapshot| snapshot.id() == id).cloned();
        found.ok_or_else(|| {
            Refusal::Unavailable("the results that this query was planned with are gone; send it again".to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use arrow_schema::SchemaRef;

    use super::*;
    use crate::results::{Table, Take};

    struct Run(u64);

    impl Snapshot for Run {
        fn id(&self) -> u64 {
            self.0
        }

        fn tables(&self) -> &[Table] {
            &[]
        }

        fn read(&self, _: usize, _: u64, _: &mut Take<'_>) -> Result<(), Refusal> {
            Ok(())
        }

        fn describe(&self, _: &str, _: Duration) -> Result<SchemaRef, Refusal> {
            Err(Refusal::Invalid(String::new()))
        }

        fn query(&self, _: &str, _: Duration, _: &mut Take<'_>) -> Result<(), Refusal> {
            Ok(())
        }
    }

    struct Runs(Arc<AtomicU64>);

    impl Results for Runs {
        fn now(&self) -> Result<Arc<dyn Snapshot>, Refusal> {
            Ok(Arc::new(Run(self.0.load(Ordering::Relaxed))))
        }
    }

    #[test]
    fn a_query_is_answered_from_the_run_that_it_was_planned_with() {
        let run = Arc::new(AtomicU64::new(1));
        let shelf = Shelf::new(Box::new(Runs(run.clone())));
        assert_eq!(shelf.now().unwrap().id(), 1);
        run.store(2, Ordering::Relaxed);
        assert_eq!(shelf.now().unwrap().id(), 2);
        assert_eq!(shelf.of_run(1).unwrap().id(), 1);
        for newer in 3..=5 {
            run.store(newer, Ordering::Relaxed);
            shelf.now().unwrap();
            shelf.now().unwrap();
        }
        assert!(shelf.of_run(1).is_err());
        assert_eq!(shelf.of_run(2).unwrap().id(), 2);
    }
}
