//! Which processors programs run on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowc_platform::processors;

/// The processors of this machine, and how many programs have each. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Processors(Arc<Mutex<BTreeMap<usize, usize>>>);

/// Processors that a program may use, till this is dropped.
#[derive(Debug)]
pub(crate) struct LentProcessors {
    numbers: Vec<usize>,
    all: Processors,
}

impl Processors {
    /// Those that this process may use.
    pub(crate) fn of_machine() -> Self {
        Self::of(processors())
    }

    fn of(numbers: Vec<usize>) -> Self {
        Self(Arc::new(Mutex::new(numbers.into_iter().map(|number| (number, 0)).collect())))
    }

    /// So many of them, or all if there are fewer: those that the fewest programs have.
    pub(crate) fn lend(&self, count: u32) -> LentProcessors {
        let mut lent = self.lock();
        let mut numbers: Vec<usize> = lent.keys().copied().collect();
        numbers.sort_by_key(|number| lent[number]);
        numbers.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        for number in &numbers {
            lent.entry(*number).and_modify(|programs| *programs += 1);
        }
        drop(lent);
        LentProcessors { numbers, all: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LentProcessors {
    /// Their numbers.
    pub(crate) fn numbers(&self) -> &[usize] {
        &self.numbers
    }
}

impl Drop for LentProcessors {
    fn drop(&mut self) {
        let mut lent = self.all.lock();
        for number in &self.numbers {
            lent.entry(*number).and_modify(|programs| *programs -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_the_fewest_have_are_lent_first() {
        let all = Processors::of(vec![2, 5, 7]);
        let first = all.lend(2);
        assert_eq!(first.numbers(), [2, 5]);
        let second = all.lend(2);
        assert_eq!(second.numbers(), [7, 2]);
        drop(first);
        assert_eq!(all.lend(1).numbers(), [5]);
        assert_eq!(all.lend(9).numbers().len(), 3);
        drop(second);
        assert!(all.lock().values().all(|programs| *programs == 0));
    }
}
