//! The time that a stage itself takes from one boundary of an invocation to the next, held against its timeout. What its outlet takes is not its own.

use std::time::{Duration, Instant};

/// How often the ticker moves the epoch.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Time spent in the guest.
#[derive(Debug)]
pub(crate) struct Clock {
    limit: Duration,
    spent: Duration,
    since: Option<Instant>,
}

impl Clock {
    pub(crate) fn new(milliseconds: u64) -> Self {
        Self { limit: Duration::from_millis(milliseconds), spent: Duration::ZERO, since: None }
    }

    /// The guest goes on. Gives the ticks that it has left.
    pub(crate) fn start(&mut self) -> u64 {
        self.since = Some(Instant::now());
        let left = self.limit.saturating_sub(self.spent);
        let ticks = left.as_millis().div_ceil(TICK.as_millis());
        // The first tick may come at once.
        u64::try_from(ticks).unwrap_or(u64::MAX / 4).min(u64::MAX / 4) + 1
    }

    /// The guest waits.
    pub(crate) fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.spent += since.elapsed();
        }
    }

    /// Counts time anew. To be called while the guest waits.
    pub(crate) fn restart(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Whether the limit is passed.
    pub(crate) fn is_over(&self) -> bool {
        self.spent > self.limit
    }

    /// The limit.
    pub(crate) fn milliseconds(&self) -> u64 {
        u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_was_spent_before_a_restart_does_not_count() {
        let mut clock = Clock::new(0);
        clock.start();
        std::thread::sleep(Duration::from_millis(1));
        clock.stop();
        assert!(clock.is_over());
        clock.restart();
        assert!(!clock.is_over());
    }
}
