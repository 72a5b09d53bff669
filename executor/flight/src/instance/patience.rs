//! How long an instance waits for its stage.

use std::time::Duration;

use flowc_planner::plan::Limits;

/// Time that may be spent on waiting, from one boundary to the next; without a timeout there is no end of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    limit: Option<Duration>,
    left: Option<Duration>,
}

impl Patience {
    /// All of a stage's timeout is left.
    pub(super) fn new(limits: &Limits) -> Self {
        let limit = limits.timeout_ms.map(Duration::from_millis);
        Self { limit, left: limit }
    }

    /// What is left.
    pub(super) fn left(&self) -> Option<Duration> {
        self.left
    }

    /// So much was spent.
    pub(super) fn spend(&mut self, time: Duration) {
        self.left = self.left.map(|left| left.saturating_sub(time));
    }

    /// All of it is left again.
    pub(super) fn restart(&mut self) {
        self.left = self.limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_before_a_boundary_does_not_count_after_it() {
        let second = Duration::from_secs(1);
        let mut patience = Patience::new(&Limits { timeout_ms: Some(3000), ..Limits::default() });
        patience.spend(2 * second);
        assert_eq!(patience.left(), Some(second));
        patience.spend(2 * second);
        assert_eq!(patience.left(), Some(Duration::ZERO));
        patience.restart();
        assert_eq!(patience.left(), Some(3 * second));
        let mut endless = Patience::new(&Limits::default());
        endless.spend(second);
        assert_eq!(endless.left(), None);
    }
}
