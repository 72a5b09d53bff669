//! Chains of stages, and those who ask for what is none.

use std::sync::{Arc, Mutex};

use flowc_planner::plan::{Limits, OutputColumn, Rows, Serialization};
use flowc_runner::conformance::{Keeper, Kept};
use flowc_runner::{Batch, ChainRunner, EdgeObserver, Invocation, StageError, StageFault};

use crate::support::{MEGABYTE, Server, invocation, numbers};

const PASSED: OutputColumn = OutputColumn::Passed { column: 0 };

/// What is said of a stage before the last: rows, and lines of its log.
type Heard = (Vec<u64>, Vec<String>);

struct Hears(Arc<Mutex<Heard>>);

impl EdgeObserver for Hears {
    fn gave(&mut self, rows: u64) {
        self.0.lock().unwrap().0.push(rows);
    }

    fn log(&mut self, _: &str, message: &str) {
        self.0.lock().unwrap().1.push(message.to_owned());
    }
}

/// Stages that pick rows or keep them for later.
fn stages(names: &[&str]) -> Vec<Invocation> {
    names.iter().map(|name| invocation(name, 1, &[(Rows::Subset { input: 0 }, PASSED)])).collect()
}

/// What comes out of a chain, and what is said of its stages but the last.
fn run(server: &Server, stages: &[Invocation], batches: Vec<Batch>) -> Result<(Kept, Vec<Heard>), StageError> {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let said: Vec<Arc<Mutex<Heard>>> = stages[1..].iter().map(|_| Arc::default()).collect();
    let between = said.iter().map(|said| Box::new(Hears(said.clone())) as _).collect();
    let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
    let mut instance = server.open_chain(stages, between, Box::new(keeper))?;
    batches.into_iter().try_for_each(|batch| instance.push(0, batch))?;
    instance.end_of_input(0)?;
    instance.finish()?;
    let said = said.iter().map(|said| said.lock().unwrap().clone()).collect();
    Ok((std::mem::take(&mut *kept.lock().unwrap()), said))
}

#[test]
fn what_one_stage_gives_goes_to_the_next() {
    let server = Server::start();
    for serialization in Serialization::ALL {
        let mut stages = stages(&["pick", "keep", "pick"]);
        stages.iter_mut().for_each(|stage| stage.limits.serialization = serialization);
        let (kept, said) = run(&server, &stages, vec![numbers(0..8), numbers(8..16)]).unwrap();
        assert_eq!(kept.ids(), [11, 15, 3, 7], "{serialization:?}");
        let picks = vec!["picks".to_owned(); 2];
        assert_eq!(said, [(vec![8], picks.clone()), (vec![8], vec![])], "{serialization:?}");
        // The last one's words are the outlet's to hear.
        assert_eq!((kept.lines.len(), kept.closed), (picks.len(), true));
    }
}

#[test]
fn each_stage_has_limits_and_secrets_of_its_own() {
    let server = Server::start();
    let mut stages = stages(&["pick", "pick"]);
    for (stage, bytes) in stages.iter_mut().zip([1 << 20, 2 << 20]) {
        stage.limits = Limits { memory: Some(bytes), timeout_ms: Some(bytes), ..Limits::default() };
        stage.secrets = [("TOKEN".to_owned(), bytes.to_string())].into_iter().collect();
    }
    run(&server, &stages, vec![numbers(0..4)]).unwrap();
    let opened = server.fakes.opened.lock().unwrap();
    let seen = |stage: &Invocation| {
        let secrets: Vec<_> = stage.secrets.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (stage.limits.clone(), secrets)
    };
    let due: Vec<_> = stages.iter().rev().map(seen).collect();
    assert_eq!(opened.iter().map(seen).collect::<Vec<_>>(), due, "the last one is opened first");
}

#[test]
fn rows_are_let_go_when_no_stage_has_them() {
    let server = Server::start();
    let batches = || (0..100).map(|_| numbers(0..MEGABYTE as i64)).collect();
    // What is kept counts as memory, of which there are 64 megabytes.
    let (kept, _) = run(&server, &stages(&["pick", "pick"]), batches()).unwrap();
    assert_eq!(kept.batches.iter().map(|(_, batch)| batch.rows()).sum::<usize>(), 25 * MEGABYTE);
    let error = run(&server, &stages(&["pick", "keep"]), batches()).unwrap_err();
    assert!(matches!(error.fault, StageFault::Memory { .. }), "{error:?}");
}

#[test]
fn who_is_not_there_is_named() {
    let server = Server::start();
    let error = run(&server, &stages(&["pick", "none", "pick"]), vec![numbers(0..4)]).unwrap_err();
    assert_eq!((error.stage.as_str(), error.fault.to_string().as_str()), ("none", "no such stage (name another)"));
}
