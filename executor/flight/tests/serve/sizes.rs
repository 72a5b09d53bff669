//! No message is larger than it may be, in either direction.

use std::sync::{Arc, Mutex};

use flowc_planner::plan::{Limits, OutputColumn, Rows};
use flowc_runner::conformance::{Keeper, Kept};
use flowc_runner::{Invocation, PIECE_BYTES, Runner, StageError, StageFault, row_bytes};

use crate::support::{MEGABYTE, Server, invocation, numbers};

const PASSED: (Rows, OutputColumn) = (Rows::Subset { input: 0 }, OutputColumn::Passed { column: 0 });

fn limited(invocation: Invocation, memory: u64) -> Invocation {
    Invocation { limits: Limits { memory: Some(memory), ..Limits::default() }, ..invocation }
}

/// What becomes of one batch of so many megabytes.
fn run(server: &Server, invocation: &Invocation, megabytes: usize) -> (Result<(), StageError>, Arc<Mutex<Kept>>) {
    let kept = Arc::<Mutex<Kept>>::default();
    let run = || {
        let mut instance = server.open(invocation, Box::new(Keeper { kept: kept.clone(), fail_at: usize::MAX }))?;
        instance.push(0, numbers(0..(megabytes * MEGABYTE) as i64))?;
        instance.end_of_input(0)?;
        instance.finish()
    };
    (run(), kept)
}

#[test]
fn a_message_that_the_stage_may_not_hold_is_refused_before_it_is_taken() {
    let server = Server::start();
    let large = invocation("large", 1, &[(Rows::New, OutputColumn::Written)]);
    let (outcome, kept) = run(&server, &limited(large.clone(), 1 << 20), 1);
    let StageError { fault, .. } = outcome.unwrap_err();
    let StageFault::Contract(said) = fault else { panic!("{fault:?}") };
    let due =
        "it sent a message larger than 8MiB, which is all that its `memory` allows; have it give fewer rows at a time";
    assert!(said.starts_with(due), "{said}");
    assert!(kept.lock().unwrap().batches.is_empty());
    let (outcome, kept) = run(&server, &limited(large, 64 << 20), 1);
    outcome.unwrap();
    assert_eq!(kept.lock().unwrap().batches.len(), 1);
}

#[test]
fn large_batches_come_in_pieces_both_ways() {
    for server in [Server::start(), Server::sharing()] {
        let (outcome, kept) = run(&server, &limited(invocation("keep", 1, &[PASSED]), 1 << 30), 130);
        outcome.unwrap();
        let kept = kept.lock().unwrap();
        let bytes = |(_, batch): &(usize, flowc_runner::Batch)| row_bytes(batch.column(0).unwrap());
        assert!(kept.batches.iter().all(|batch| bytes(batch) <= PIECE_BYTES));
        // The stage emits what it was given, and the last piece first.
        assert_eq!(kept.batches.len(), 4);
        assert_eq!(kept.batches.iter().map(|(_, batch)| batch.rows()).sum::<usize>(), 130 * MEGABYTE);
        assert_eq!(kept.batches[3].1.column(0), numbers(0..kept.batches[3].1.rows() as i64).column(0));
    }
}

#[test]
fn what_a_stage_makes_comes_in_pieces() {
    let server = Server::start();
    let (outcome, kept) =
        run(&server, &limited(invocation("larger", 1, &[(Rows::New, OutputColumn::Written)]), 1 << 30), 1);
    outcome.unwrap();
    let rows: Vec<usize> = kept.lock().unwrap().batches.iter().map(|(_, batch)| batch.rows()).collect();
    assert_eq!(rows, [50 * MEGABYTE; 2]);
}
