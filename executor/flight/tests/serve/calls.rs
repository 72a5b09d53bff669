//! Questions, and invocations with all kinds of streams.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use flowc_flight::PATIENCE;
use flowc_planner::catalogue::{Problem, Question};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Class, Code, OutputColumn, Rows, Serialization};
use flowc_runner::conformance::{Keeper, Kept, ids, run};
use flowc_runner::{InputIdentity, Invocation, Runner, StageFault};

use crate::support::{MEGABYTE, Server, invocation, numbers, schema, wait_until};

const PASSED: OutputColumn = OutputColumn::Passed { column: 0 };
const WRITTEN: OutputColumn = OutputColumn::Written;

#[test]
fn a_stage_says_what_it_is_and_does() {
    let server = Server::start();
    let signature = server.connection.signature("flood", StageDigest::new([7; 32]), [].into(), PATIENCE).unwrap();
    assert_eq!((signature.doc.as_str(), &signature.inputs[..]), ("Does as `flood` does.", &["in".to_owned()][..]));
    assert_eq!(signature.config_schema, serde_json::json!({"type": "object"}));
    assert_eq!((signature.chains, &signature.serializations[..]), (true, &Serialization::ALL[..]));
    let problem = server.connection.signature("none", StageDigest::new([7; 32]), [].into(), PATIENCE).unwrap_err();
    let problem = Problem::from(problem);
    assert_eq!((problem.message.as_str(), problem.help.as_deref()), ("no such stage", Some("name another")));

    let ask = |config| {
        let (code, digest) = (Code::Std(String::new()), StageDigest::new([7; 32]));
        server.connection.describe("flood", &Question { code, digest, config, inputs: vec![schema()] }, PATIENCE)
    };
    let description = ask(serde_json::json!({})).unwrap();
    assert_eq!((description.inputs[0].class, &description.inputs[0].reads[..]), (Class::Combining, &[0][..]));
    assert_eq!(description.outputs[0].rows, Rows::Subset { input: 0 });
    assert_eq!(description.outputs[0].columns, [PASSED, WRITTEN]);
    assert_eq!((description.outputs[0].schema.clone(), description.partial), (schema(), Some(schema())));
    let blamed = Problem::from(ask(serde_json::json!({"blame": "/a"})).unwrap_err());
    assert_eq!(blamed.config_path.as_deref(), Some("/a"));
}

#[test]
fn a_stage_is_given_its_secrets_and_no_others() {
    let server = Server::start();
    let plain = invocation("keep", 1, &[(Rows::Subset { input: 0 }, PASSED)]);
    let given = [("TOKEN".to_owned(), "a \"word\"\n".to_owned()), ("KEY".to_owned(), "b".to_owned())];
    let secret = Invocation { secrets: given.clone().into_iter().collect(), ..plain.clone() };
    for (invocation, due) in [(secret, &given[..]), (plain, &[])] {
        run(&server, &invocation, [numbers(0..1)]).0.unwrap();
        let secrets = server.fakes.opened.lock().unwrap().pop().unwrap().secrets;
        let mut due: Vec<_> = due.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        due.sort_unstable();
        assert_eq!(secrets.iter().collect::<Vec<_>>(), due);
    }
}

#[test]
fn inputs_come_one_after_the_other_and_outputs_at_once() {
    Serialization::ALL.into_iter().for_each(inputs_and_outputs);
}

/// The same whatever batches are made of.
fn inputs_and_outputs(serialization: Serialization) {
    let server = Server::start();
    let mut invocation = invocation("pick", 2, &[(Rows::Subset { input: 1 }, PASSED), (Rows::New, WRITTEN)]);
    invocation.limits.serialization = serialization;
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
    let mut instance = server.open(&invocation, Box::new(keeper)).unwrap();
    [0..3, 3..3, 3..5].into_iter().for_each(|rows| instance.push(0, numbers(rows)).unwrap());
    instance.end_of_input(0).unwrap();
    [10..14, 14..14, 14..16].into_iter().for_each(|rows| instance.push(1, numbers(rows)).unwrap());
    instance.end_of_input(1).unwrap();
    instance.finish().unwrap();
    let kept = kept.lock().unwrap();
    let of = |port| kept.batches.iter().filter(|(at, _)| *at == port).flat_map(|(_, batch)| ids(batch)).collect();
    let (rows, table): (Vec<i64>, Vec<i64>) = (of(0), of(1));
    assert_eq!((rows, table), (vec![11, 13, 15], vec![0, 1, 2, 3, 4]));
    assert!(kept.closed);
}

/// The rows of an invocation of `hold`, and whether it held its first input.
fn held(server: &Server, first: &Invocation, rows: std::ops::Range<i64>) -> (Vec<i64>, bool) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
    let mut instance = server.open(first, Box::new(keeper)).unwrap();
    let is_held = instance.holds(0);
    if !is_held {
        instance.push(0, numbers(rows)).unwrap();
    }
    instance.end_of_input(0).unwrap();
    instance.push(1, numbers(10..12)).unwrap();
    instance.end_of_input(1).unwrap();
    instance.finish().unwrap();
    let ids = kept.lock().unwrap().ids();
    (ids, is_held)
}

#[test]
fn an_input_that_the_stage_holds_does_not_come_again() {
    let server = Server::start();
    let plain = invocation("hold", 2, &[(Rows::New, WRITTEN)]);
    let known = |digit: u8| {
        let mut inputs = plain.inputs.to_vec();
        inputs[0].identity = Some(InputIdentity::new([digit; 32]));
        Invocation { inputs: inputs.into(), ..plain.clone() }
    };
    assert_eq!(held(&server, &known(1), 0..3), (vec![0, 1, 2, 10, 11], false));
    assert_eq!(held(&server, &known(1), 0..3), (vec![0, 1, 2, 10, 11], true));
    assert_eq!(held(&server, &known(2), 5..6), (vec![5, 10, 11], false), "other rows have another identity");
    assert_eq!(held(&server, &plain, 7..8), (vec![7, 10, 11], false), "rows without identity always come");
    assert_eq!(held(&server, &known(1), 0..3), (vec![0, 1, 2, 10, 11], true));
    // Rows that an output passes on are needed on this side too, and the main input comes in any case.
    let passing =
        Invocation { outputs: invocation("hold", 2, &[(Rows::Same { input: 0 }, WRITTEN)]).outputs, ..known(1) };
    let kept = Arc::new(Mutex::new(Kept::default()));
    assert!(!server.open(&passing, Box::new(Keeper { kept, fail_at: usize::MAX })).unwrap().holds(0));
}

#[test]
fn rows_are_let_go_when_the_stage_has() {
    let server = Server::start();
    let batches = || (0..100).map(|_| numbers(0..MEGABYTE as i64));
    // What is kept counts as memory, of which there are 64 megabytes.
    let picked = [(Rows::Subset { input: 0 }, PASSED)];
    let mut pick = invocation("pick", 2, &[(Rows::Subset { input: 1 }, PASSED), (Rows::New, WRITTEN)]);
    pick.main_input = Some(1);
    let kept = Arc::new(Mutex::new(Kept::default()));
    let mut instance = server.open(&pick, Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX })).unwrap();
    instance.end_of_input(0).unwrap();
    batches().for_each(|batch| instance.push(1, batch).unwrap());
    instance.end_of_input(1).unwrap();
    instance.finish().unwrap();
    assert_eq!(kept.lock().unwrap().batches.iter().map(|(_, batch)| batch.rows()).sum::<usize>(), 50 * MEGABYTE);

    let (outcome, _) = run(&server, &invocation("keep", 1, &picked), batches());
    assert!(matches!(outcome.unwrap_err().fault, StageFault::Memory { .. }));
    let (outcome, kept) = run(&server, &invocation("keep", 1, &picked), [numbers(0..2), numbers(2..4)]);
    outcome.unwrap();
    assert_eq!(kept.ids(), [2, 3, 0, 1]);
}

#[test]
fn an_invocation_that_is_dropped_ends_and_others_go_on() {
    let server = Server::start();
    let flood = invocation("flood", 1, &[(Rows::New, WRITTEN)]);
    for _ in 0..3 {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let mut instance = server.open(&flood, Box::new(Keeper { kept, fail_at: usize::MAX })).unwrap();
        instance.push(0, numbers(0..1)).unwrap();
        drop(instance);
    }
    wait_until("all are over", || server.fakes.open.load(Ordering::SeqCst) == 0);
    // One whose other streams nobody asks for is over as well.
    let pick = invocation("pick", 2, &[(Rows::Subset { input: 1 }, PASSED), (Rows::New, WRITTEN)]);
    let kept = Arc::new(Mutex::new(Kept::default()));
    drop(server.open(&pick, Box::new(Keeper { kept, fail_at: usize::MAX })).unwrap());
    wait_until("it is over", || server.fakes.open.load(Ordering::SeqCst) == 0);
    let (outcome, _) = run(&server, &invocation("keep", 1, &[(Rows::Subset { input: 0 }, PASSED)]), []);
    outcome.unwrap();
}

#[test]
fn a_stage_that_is_not_there_is_a_problem() {
    let server = Server::start();
    let (outcome, _) = run(&server, &invocation("none", 1, &[(Rows::New, WRITTEN)]), []);
    assert!(matches!(outcome.unwrap_err().fault, StageFault::Problem { .. }));
}
