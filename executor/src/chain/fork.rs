//! Where the batches of a stage go to several others: each is handed them as they are.

use std::sync::{Arc, Mutex};

use flowc_platform::lock;
use flowc_runner::{Batch, DeviceUse, EdgeObserver, Instance, Outlet, StageError, StageFault};

use crate::chain::running::push_counted;

/// What a branch failed with, if it did.
#[derive(Clone, Default)]
pub(crate) struct BranchFailure(Arc<Mutex<Option<StageError>>>);

impl BranchFailure {
    /// What it failed with.
    pub(crate) fn get(&self) -> Option<StageError> {
        lock(&self.0).clone()
    }

    /// Keeps a failure of a stage: it is no concern of the other branches. What is not a stage's own ends all of them.
    ///
    /// # Errors
    /// The failure, in that case.
    pub(crate) fn keep(&self, error: StageError) -> Result<(), StageError> {
        if matches!(error.fault, StageFault::Cancelled | StageFault::Downstream(_)) {
            return Err(error);
        }
        *lock(&self.0) = Some(error);
        Ok(())
    }
}

/// A branch of a fork.
pub(crate) struct Branch {
    /// Its first stage; none if that could not be opened, or has failed since.
    pub next: Option<Box<dyn Instance>>,
    /// The input of that stage.
    pub port: usize,
    /// The columns that it needs.
    pub columns: Vec<usize>,
    /// Where its failure is kept.
    pub failure: BranchFailure,
    /// Rows that were handed to it.
    pub given: u64,
}

/// Hands what a stage gives to several others. It fails when all of these have.
pub(crate) struct Fork {
    /// Hears of the stage before.
    pub observer: Box<dyn EdgeObserver>,
    /// The stages after it.
    pub branches: Vec<Branch>,
}

impl Fork {
    /// Does something with every branch that has not failed.
    fn each(&mut self, act: impl Fn(&mut Branch) -> Result<(), StageError>) -> Result<(), StageError> {
        for branch in self.branches.iter_mut().filter(|branch| branch.next.is_some()) {
            if let Err(error) = act(branch) {
                branch.next = None;
                branch.failure.keep(error)?;
            }
        }
        let failed: Option<Vec<StageError>> = self.branches.iter().map(|branch| branch.failure.get()).collect();
        failed.and_then(|mut failed| failed.pop()).map_or(Ok(()), Err)
    }
}

impl Outlet for Fork {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        if port != 0 {
            return Err(StageError::new("", StageFault::Contract(format!("there is no output port {port}"))));
        }
        self.observer.gave(batch.rows() as u64);
        let batch = self.observer.pass(batch)?;
        self.each(|Branch { next, port, columns, given, .. }| match next {
            Some(next) => push_counted(next.as_mut(), *port, batch.only(columns), given),
            None => Ok(()),
        })
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.each(|branch| branch.next.as_mut().map_or(Ok(()), |next| next.boundary()))
    }

    fn close(mut self: Box<Self>) -> Result<(), StageError> {
        self.each(|Branch { next, port, .. }| {
            let Some(mut next) = next.take() else { return Ok(()) };
            next.end_of_input(*port)?;
            next.finish()
        })
    }

    fn log(&mut self, level: &str, message: &str) {
        self.observer.log(level, message);
    }

    fn used(&mut self, device: DeviceUse) {
        self.observer.used(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what it is handed, and fails at the end or at a batch if it is told to.
    struct Stage {
        fails: Option<&'static str>,
        told: Arc<Mutex<Vec<String>>>,
        name: &'static str,
    }

    impl Stage {
        fn tell(&self, what: &'static str) -> Result<(), StageError> {
            self.told.lock().unwrap().push(format!("{} {what}", self.name));
            match self.fails == Some(what) {
                true => Err(StageError::new(self.name, StageFault::Trap("no".to_owned()))),
                false => Ok(()),
            }
        }
    }

    impl Instance for Stage {
        fn push(&mut self, _: usize, _: Batch) -> Result<(), StageError> {
            self.tell("push")
        }

        fn boundary(&mut self) -> Result<(), StageError> {
            self.tell("boundary")
        }

        fn end_of_input(&mut self, _: usize) -> Result<(), StageError> {
            self.tell("end")
        }

        fn finish(self: Box<Self>) -> Result<(), StageError> {
            self.tell("finish")
        }
    }

    struct Deaf;

    impl EdgeObserver for Deaf {
        fn gave(&mut self, _: u64) {}

        fn log(&mut self, _: &str, _: &str) {}
    }

    /// Hands a batch, a boundary and the end to two stages. Gives the outcome, the failures of the stages, and what they were told.
    fn run(fails: [Option<&'static str>; 2]) -> (Result<(), StageError>, [Option<String>; 2], String) {
        let told = Arc::default();
        let branch = |place: usize| Branch {
            next: Some(Box::new(Stage { fails: fails[place], told: Arc::clone(&told), name: ["b", "c"][place] })),
            port: 0,
            columns: vec![],
            failure: BranchFailure::default(),
            given: 0,
        };
        let branches = vec![branch(0), branch(1)];
        let failures = [0, 1].map(|place| branches[place].failure.clone());
        let mut fork = Box::new(Fork { observer: Box::new(Deaf), branches });
        let outcome = fork.emit(0, Batch::new(1, [])).and_then(|()| fork.boundary()).and_then(|()| fork.close());
        let told = told.lock().unwrap().join(", ");
        (outcome, failures.map(|failure| failure.get().map(|error| error.stage)), told)
    }

    #[test]
    fn all_branches_are_handed_everything() {
        let (outcome, failures, told) = run([None, None]);
        assert_eq!((outcome.is_ok(), failures), (true, [None, None]));
        assert_eq!(told, "b push, c push, b boundary, c boundary, b end, b finish, c end, c finish");
    }

    #[test]
    fn a_branch_that_fails_leaves_the_others_alone() {
        let (outcome, failures, told) = run([Some("push"), None]);
        assert_eq!((outcome.is_ok(), failures), (true, [Some("b".to_owned()), None]));
        assert_eq!(told, "b push, c push, c boundary, c end, c finish");
        let (outcome, failures, _) = run([None, Some("finish")]);
        assert_eq!((outcome.is_ok(), failures), (true, [None, Some("c".to_owned())]));
    }

    #[test]
    fn where_all_have_failed_there_is_nothing_to_go_on_for() {
        let (outcome, failures, told) = run([Some("boundary"), Some("push")]);
        assert!(outcome.is_err());
        assert_eq!(failures, [Some("b".to_owned()), Some("c".to_owned())]);
        assert_eq!(told, "b push, c push, b boundary");
    }
}
