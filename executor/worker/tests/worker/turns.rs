//! Several workers, of which some are gone.

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_runner::conformance::{Subject, batch, invocation, run};
use flowc_runner::{Runner, StageError, StageFault};
use flowc_worker::WorkerRunner;

use crate::support::{GUEST, Running, runner};

struct On(WorkerRunner);

impl Subject for On {
    fn runner(&self) -> &dyn Runner {
        &self.0
    }

    fn digest(&self) -> StageDigest {
        GUEST.digest
    }

    fn describe(&self, config: &str, input: SchemaRef) -> Result<Description, Problem> {
        GUEST.describe(config, input)
    }
}

impl On {
    fn run(&self) -> Result<(), StageError> {
        let invocation = invocation(self, r#"{"do": "good", "rows": "same"}"#, Limits::default()).unwrap();
        run(&self.0, &invocation, [batch(0, 10)]).0
    }
}

#[test]
fn a_worker_that_is_gone_is_named_once_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, stays) =
        (Running::start(folder.path().join("gone.json")), Running::start(folder.path().join("stays.json")));
    let workers = On(runner(&[&gone.file, &stays.file]));
    workers.run().unwrap();
    workers.run().unwrap();
    let address = gone.credentials.address.clone();
    drop(gone);
    let errors: Vec<StageError> = (0..6).filter_map(|_| workers.run().err()).collect();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let StageFault::Unreachable(what) = &error.fault else { panic!("{error:?}") };
    assert!(what.contains(&format!("the worker at {address} can't be reached")), "{what}");
    assert!(what.contains("gone.json"), "{what}");
}

#[test]
fn while_all_are_gone_every_invocation_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Running::start(folder.path().join("worker.json"));
    let workers = On(runner(&[&worker.file]));
    workers.run().unwrap();
    drop(worker);
    assert!(matches!(workers.run().unwrap_err().fault, StageFault::Unreachable(_)));
    assert!(matches!(workers.run().unwrap_err().fault, StageFault::Unreachable(_)));
}

#[test]
fn a_file_that_is_missing_is_told_before_anything_runs() {
    let workers = On(runner(&[std::path::Path::new("/nowhere/worker.json")]));
    assert!(workers.0.check().unwrap_err().contains("/nowhere/worker.json"));
    assert!(matches!(workers.run().unwrap_err().fault, StageFault::Problem { .. }));
}
