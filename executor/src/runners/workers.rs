//! Components on other hosts.

use flowc_planner::plan::Isolate;
use flowc_runner::Runner;
use flowc_worker::WorkerRunner;

use crate::runners::components::Elsewhere;

impl Elsewhere for WorkerRunner {
    fn takes(&self, isolate: Isolate) -> bool {
        isolate <= Isolate::Unit && self.is_used()
    }

    fn runner(&self) -> &dyn Runner {
        self
    }

    fn end_idle(&self) {
        WorkerRunner::end_idle(self);
    }

    fn is_remote(&self) -> bool {
        self.is_used()
    }

    fn check(&self) -> Result<(), String> {
        WorkerRunner::check(self)
    }
}
