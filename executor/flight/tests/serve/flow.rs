//! What is on its way is bounded, whoever is slow. All by counts: each side waits for the other as far as it must come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use flowc_planner::plan::{OutputColumn, Rows};
use flowc_runner::conformance::Keeper;
use flowc_runner::{Batch, Outlet, Runner, StageError};

use crate::support::{FLOOD, Fakes, MEGABYTE, Server, below, invocation, numbers, wait_until};

/// Batches of a megabyte that a credit of 8 MiB allows.
const CREDIT: u64 = 8;
/// Batches of a megabyte that a region of shared memory holds.
const REGION: u64 = 32;
/// What may be under way beside it: in the queues of both sides, in the connection, and in hand.
const QUEUES: u64 = 16;

/// Takes a batch only when the stage is ahead by all that it may be, and looks how far that is.
struct Stalled {
    fakes: Arc<Fakes>,
    taken: u64,
    farthest: Arc<AtomicU64>,
}

impl Outlet for Stalled {
    fn emit(&mut self, _: usize, _: Batch) -> Result<(), StageError> {
        let due = FLOOD.min(self.taken + CREDIT / 2);
        wait_until("the stage runs ahead", || self.fakes.done.load(Ordering::SeqCst) >= due);
        self.farthest.fetch_max(self.fakes.done.load(Ordering::SeqCst) - self.taken, Ordering::SeqCst);
        self.taken += 1;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        if self.taken == FLOOD { Ok(()) } else { Err(below()) }
    }

    fn log(&mut self, _: &str, _: &str) {}
}

#[test]
fn a_stalled_consumer_stalls_the_stage() {
    assert!(runs_ahead_by(&Server::start()) <= CREDIT + QUEUES);
}

#[test]
fn a_stalled_consumer_stalls_a_stage_that_shares_its_memory() {
    let farthest = runs_ahead_by(&Server::sharing());
    assert!(farthest <= REGION + CREDIT + QUEUES, "the stage was ahead by {farthest} megabytes");
}

/// The most megabytes that a stage is ahead of who takes them.
fn runs_ahead_by(server: &Server) -> u64 {
    let farthest = Arc::new(AtomicU64::new(0));
    let stalled = Stalled { fakes: server.fakes.clone(), taken: 0, farthest: farthest.clone() };
    let invocation = invocation("flood", 1, &[(Rows::New, OutputColumn::Written)]);
    let mut instance = server.open(&invocation, Box::new(stalled)).unwrap();
    instance.push(0, numbers(0..1)).unwrap();
    instance.end_of_input(0).unwrap();
    instance.finish().unwrap();
    farthest.load(Ordering::SeqCst)
}

#[test]
fn a_stalled_stage_stalls_what_feeds_it() {
    [Server::start(), Server::sharing()].iter().for_each(feed_a_stalled_stage);
}

fn feed_a_stalled_stage(server: &Server) {
    const BATCHES: u64 = 60;
    let (permit, permits) = channel();
    *server.fakes.permits.lock().unwrap() = Some(permits);
    let invocation = invocation("gate", 1, &[(Rows::New, OutputColumn::Written)]);
    let kept = Arc::default();
    let mut instance = server.open(&invocation, Box::new(Keeper { kept, fail_at: usize::MAX })).unwrap();
    let pushed = Arc::new(AtomicU64::new(0));
    let count = pushed.clone();
    let feed = std::thread::spawn(move || {
        for _ in 0..BATCHES {
            instance.push(0, numbers(0..MEGABYTE as i64)).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
        instance.end_of_input(0).unwrap();
        instance.finish().unwrap();
    });
    for permitted in 0..BATCHES {
        wait_until("all that may be is pushed", || pushed.load(Ordering::SeqCst) >= BATCHES.min(permitted + CREDIT));
        let ahead = pushed.load(Ordering::SeqCst) - permitted;
        assert!(ahead <= CREDIT, "{ahead} megabytes were sent, the credit is {CREDIT}");
        permit.send(()).unwrap();
        wait_until("it is taken", || server.fakes.done.load(Ordering::SeqCst) > permitted);
    }
    feed.join().unwrap();
}
