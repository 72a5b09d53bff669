//! Which processors programs run on.

use std::sync::{Arc, Mutex, MutexGuard};

use flowc_platform::{lock, processors};

use crate::ProcessError;

/// The processors of this machine, and how many programs have each. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Processors(Arc<Mutex<Vec<Processor>>>);

#[derive(Clone, Copy, Debug)]
struct Processor {
    number: usize,
    programs: usize,
}

/// Processors that a program may use, till this is dropped.
#[derive(Debug)]
pub struct LentProcessors {
    numbers: Vec<usize>,
    all: Processors,
}

impl Processors {
    /// Those that this process may use. Others of it begin elsewhere.
    pub(crate) fn of_machine() -> Self {
        let mut numbers = processors();
        let begin = std::process::id() as usize % numbers.len().max(1);
        numbers.rotate_left(begin);
        Self::of(numbers)
    }

    fn of(numbers: Vec<usize>) -> Self {
        let processors = numbers.into_iter().map(|number| Processor { number, programs: 0 });
        Self(Arc::new(Mutex::new(processors.collect())))
    }

    /// How many there are, at least one.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.lock().len()).unwrap_or(u32::MAX).max(1)
    }

    /// So many of them: those that the fewest programs have.
    ///
    /// # Errors
    /// If there are fewer. What several threads add up depends on how many they are, so fewer would give other results.
    pub(crate) fn lend(&self, count: u32) -> Result<LentProcessors, ProcessError> {
        let mut all = self.lock();
        let (asked, there) = (usize::try_from(count).unwrap_or(usize::MAX), all.len());
        if there < asked {
            return Err(ProcessError::Processors { asked, there });
        }
        let mut least: Vec<&mut Processor> = all.iter_mut().collect();
        least.sort_by_key(|processor| processor.programs);
        let lend = |processor: &mut Processor| {
            processor.programs += 1;
            processor.number
        };
        let numbers = least.into_iter().take(asked).map(lend).collect();
        drop(all);
        Ok(LentProcessors { numbers, all: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Processor>> {
        lock(&self.0)
    }
}

impl LentProcessors {
    /// Their numbers.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }
}

impl Drop for LentProcessors {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let lent = all.iter_mut().filter(|processor| self.numbers.contains(&processor.number));
        lent.for_each(|processor| processor.programs -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_the_fewest_have_are_lent_first() {
        let all = Processors::of(vec![2, 5, 7]);
        let first = all.lend(2).unwrap();
        assert_eq!(first.numbers(), [2, 5]);
        let second = all.lend(2).unwrap();
        assert_eq!(second.numbers(), [7, 2]);
        drop(first);
        assert_eq!(all.lend(1).unwrap().numbers(), [5]);
        assert_eq!(all.lend(3).unwrap().numbers().len(), 3);
        drop(second);
        assert!(all.lock().iter().all(|processor| processor.programs == 0));
    }
    #[test]
    fn fewer_than_asked_for_are_not_lent() {
        let all = Processors::of(vec![2, 5, 7]);
        let refused = all.lend(4).unwrap_err().to_string();
        assert!(refused.contains("`cpus 4`") && refused.contains("the 3 that"), "{refused}");
        assert!(all.lock().iter().all(|processor| processor.programs == 0));
    }
}
