//! Order, failures, parts, ranks and tokens of jobs that are numbers.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A number, and a rank.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Numbered(usize, u8);

impl Job for Numbered {
    type Rank = u8;

    fn rank(&self) -> u8 {
        self.1
    }
}

fn limits(processors: usize, keep_going: bool) -> Limits {
    Limits { tokens: Tokens { processors }, stack: 1 << 20, keep_going }
}

/// Jobs by number, each after some of lower numbers.
fn scheduled(after: &[Vec<usize>], limits: Limits) -> (Scheduler<Numbered>, Vec<JobId>) {
    let scheduler = Scheduler::new(limits);
    let mut ids: Vec<JobId> = Vec::new();
    for (number, after) in after.iter().enumerate() {
        let after: Vec<JobId> = after.iter().map(|&before| ids[before]).collect();
        ids.push(scheduler.add(Numbered(number, 0), &after));
    }
    (scheduler, ids)
}

fn failing(fail: usize) -> impl Fn(&Worker<'_, Numbered>, &Numbered) -> Result<(), Error> {
    move |_, job| if job.0 == fail { Err(Error::Request("no".to_owned())) } else { Ok(()) }
}

fn done(scheduler: &Scheduler<Numbered>, ids: &[JobId]) -> Vec<bool> {
    ids.iter().map(|&id| scheduler.is_done(id)).collect()
}

#[test]
fn every_job_runs_after_those_before_it() {
    let after: Vec<Vec<usize>> = (0..200).map(|n: usize| if n < 10 { vec![] } else { vec![n / 2, n - 10] }).collect();
    let ran: Vec<AtomicUsize> = after.iter().map(|_| AtomicUsize::new(0)).collect();
    let (scheduler, ids) = scheduled(&after, limits(3, false));
    let failures = scheduler.run(&|_, job| {
        assert!(after[job.0].iter().all(|&before| ran[before].load(Ordering::SeqCst) == 1));
        ran[job.0].fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    assert!(failures.is_empty() && done(&scheduler, &ids).iter().all(|done| *done));
}

#[test]
fn what_depends_on_a_failure_is_skipped_and_the_rest_runs_when_asked() {
    let (scheduler, ids) = scheduled(&[vec![], vec![], vec![0], vec![2], vec![1]], limits(3, true));
    let failures = scheduler.run(&failing(0));
    assert!(failures.len() == 1 && failures[0].0 == ids[0]);
    assert_eq!(done(&scheduler, &ids), [false, true, false, false, true]);
    let late = scheduler.add(Numbered(5, 0), &[ids[2]]);
    assert!(scheduler.is_settled(late) && !scheduler.is_done(late), "what it would wait for is lost");
}

#[test]
fn a_failure_stops_the_rest_otherwise() {
    let chain: Vec<Vec<usize>> = (0..50usize).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
    let (scheduler, ids) = scheduled(&chain, limits(3, false));
    assert_eq!(scheduler.run(&failing(3)).len(), 1);
    assert_eq!(done(&scheduler, &ids), (0..50).map(|n| n < 3).collect::<Vec<_>>());
    let late = scheduler.add(Numbered(50, 0), &[]);
    assert!(scheduler.is_settled(late) && !scheduler.is_done(late));
}

#[test]
fn jobs_that_a_job_adds_are_run_and_who_waits_for_it_waits_for_its_parts() {
    for processors in [1, 3] {
        let (scheduler, _) = scheduled(&[vec![], vec![0]], limits(processors, false));
        let seen = Mutex::new(Vec::new());
        let failures = scheduler.run(&|worker, job| {
            // A part may run as soon as it is added.
            seen.lock().unwrap().push(job.0);
            match job.0 {
                0 => {
                    let first = worker.add_part(Numbered(10, 5), &[]);
                    worker.add_part(Numbered(11, 5), &[first]);
                }
                11 => drop(worker.add_part(Numbered(12, 5), &[])),
                _ => {}
            }
            Ok(())
        });
        assert!(failures.is_empty());
        assert_eq!(seen.into_inner().unwrap(), [0, 10, 11, 12, 1]);
    }
}

#[test]
fn there_is_a_thread_for_each_job_that_can_run() {
    // Jobs that wait for each other end only if all of them run at once, whoever adds them and in whatever state threads are then.
    for round in 0..50 {
        let scheduler = Scheduler::new(limits(3, false));
        let meeting = std::sync::Barrier::new(3);
        let first = scheduler.add(Numbered(0, 0), &[]);
        for _ in 0..3 {
            scheduler.add(Numbered(1, 1), &[first]);
        }
        let failures = scheduler.run(&|worker, job| {
            match job.0 {
                0 => {
                    for _ in 0..round % 7 {
                        worker.add_part(Numbered(2, 0), &[]);
                    }
                }
                1 => drop(meeting.wait()),
                _ => {}
            }
            Ok(())
        });
        assert!(failures.is_empty());
    }
}

#[test]
fn a_job_is_lost_with_a_part() {
    let (scheduler, ids) = scheduled(&[vec![], vec![0], vec![]], limits(2, true));
    let failures = scheduler.run(&|worker, job| {
        if job.0 == 0 {
            worker.add_part(Numbered(7, 0), &[]);
        }
        failing(7)(worker, job)
    });
    assert_eq!(failures.len(), 1);
    assert_eq!(done(&scheduler, &ids), [false, false, true]);
}

#[test]
fn lower_ranks_come_first() {
    let scheduler = Scheduler::new(limits(1, false));
    for (number, rank) in [(0, 2), (1, 1), (2, 0), (3, 1)] {
        scheduler.add(Numbered(number, rank), &[]);
    }
    let seen = Mutex::new(Vec::new());
    scheduler.run(&|_, job| {
        seen.lock().unwrap().push(job.0);
        Ok(())
    });
    assert_eq!(seen.into_inner().unwrap(), [2, 1, 3, 0]);
}

/// A job that needs so many processors.
struct Needing(usize);

impl Job for Needing {
    type Rank = ();

    fn rank(&self) {}

    fn needs(&self) -> Tokens {
        Tokens { processors: self.0 }
    }
}

#[test]
fn jobs_never_hold_more_tokens_than_there_are() {
    let scheduler = Scheduler::new(limits(3, false));
    for number in 0..60 {
        scheduler.add(Needing(number % 4), &[]);
    }
    let (held, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scheduler.run(&|_, job| {
        assert!(held.fetch_add(job.0, Ordering::SeqCst) + job.0 <= 3);
        std::thread::yield_now();
        held.fetch_sub(job.0, Ordering::SeqCst);
        ran.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    assert_eq!(ran.into_inner(), 60);
}

#[test]
fn a_job_that_needs_no_processor_runs_beside_one_that_holds_it() {
    let scheduler = Scheduler::new(limits(1, false));
    let (sender, receiver) = std::sync::mpsc::channel();
    let (sender, receiver) = (Mutex::new(sender), Mutex::new(receiver));
    for needs in [1, 0] {
        scheduler.add(Needing(needs), &[]);
    }
    scheduler.run(&|_, job| {
        match job.0 {
            0 => sender.lock().unwrap().send(()).unwrap(),
            _ => receiver.lock().unwrap().recv().unwrap(),
        }
        Ok(())
    });
}

#[test]
fn a_job_that_adds_faster_than_others_work_does_some_of_it_itself() {
    const PARTS: usize = 100;
    let (scheduler, _) = scheduled(&[vec![]], limits(2, false));
    let (waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scheduler.run(&|worker, job| {
        if job.1 == 1 {
            waiting.fetch_sub(1, Ordering::SeqCst);
            return Ok(());
        }
        for number in 0..PARTS {
            most.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            worker.add_part(Numbered(number, 1), &[]);
            worker.relieve(2);
        }
        Ok(())
    });
    assert_eq!(waiting.into_inner(), 0);
    // Those that may wait, the one just added, and those that threads have taken and not counted yet.
    assert!(most.into_inner() <= 2 + 1 + 2);
}

#[test]
fn what_will_not_run_any_more_is_settled() {
    let after = [vec![], vec![0], vec![1], vec![]];
    for keep_going in [false, true] {
        let (scheduler, ids) = scheduled(&after, limits(1, keep_going));
        let seen = Mutex::new(Vec::new());
        let settled = || ids.iter().map(|&id| scheduler.is_settled(id)).collect::<Vec<_>>();
        scheduler.run(&|worker, job| {
            seen.lock().unwrap().push(settled());
            failing(0)(worker, job)
        });
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen[0], [false; 4]);
        assert_eq!(seen.get(1), keep_going.then_some(&vec![true, true, true, false]));
        assert_eq!(settled(), [true; 4]);
    }
}

#[test]
fn a_system_without_threads_is_told() {
    let too_much = Limits { stack: usize::MAX / 2, ..limits(2, false) };
    let (scheduler, _) = scheduled(&[vec![], vec![0]], too_much);
    let failures = scheduler.run(&|_, _| Ok(()));
    let [(_, error @ Error::System { .. })] = &failures[..] else { panic!("{failures:?}") };
    assert!(error.to_string().starts_with("cannot start a thread: "), "{error}");
}
