//! Batches that lie in stored files: the stage maps them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_ipc::writer::FileWriter;
use flowc_flight::OpenFiles;
use flowc_planner::plan::{OutputColumn, Rows};
use flowc_runner::conformance::{Keeper, Kept, ids};
use flowc_runner::{Batch, Runner, StoredFile};

use crate::support::{Server, invocation};

const ROWS: i64 = 10_000;

/// Opens any file, and counts.
#[derive(Debug, Default)]
struct Opened(AtomicU64);

impl OpenFiles for Opened {
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        self.0.fetch_add(1, Ordering::SeqCst);
        File::open(path).map(OwnedFd::from)
    }
}

fn numbers(batch: usize) -> ArrayRef {
    let first = batch as i64 * ROWS;
    Arc::new(Int64Array::from_iter_values(first..first + ROWS))
}

/// A file with so many batches of numbers, in each of its columns; their names are no concern.
fn file(path: &Path, columns: usize, batches: usize) {
    let batch = |number| RecordBatch::try_from_iter((0..columns).map(|column| (format!("c{column}"), numbers(number))));
    let mut writer = FileWriter::try_new(File::create(path).unwrap(), &batch(0).unwrap().schema()).unwrap();
    (0..batches).for_each(|number| writer.write(&batch(number).unwrap()).unwrap());
    writer.finish().unwrap();
}

/// What the stage `pick` gives of its other input for these batches of a file, and how many files were opened.
fn read_by_the_stage(width: usize, batches: &[usize]) -> (Vec<i64>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    file(&path, width, 40);
    let stored = Arc::new(StoredFile { path, columns: vec![Some(0)], width });
    let opened = Arc::new(Opened::default());
    let server = Server::mapping(opened.clone());
    let picked = (Rows::Subset { input: 1 }, OutputColumn::Passed { column: 0 });
    let invocation = invocation("pick", 2, &[picked, (Rows::New, OutputColumn::Written)]);
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeper = Keeper { kept: kept.clone(), fail_at: usize::MAX };
    let mut instance = server.open(&invocation, Box::new(keeper)).unwrap();
    for &number in batches {
        let batch = Batch::new(ROWS as usize, vec![Some(numbers(number))]);
        instance.push(0, batch.stored(stored.clone(), number)).unwrap();
    }
    instance.end_of_input(0).unwrap();
    instance.end_of_input(1).unwrap();
    instance.finish().unwrap();
    let values =
        kept.lock().unwrap().batches.iter().filter(|(port, _)| *port == 1).flat_map(|(_, batch)| ids(batch)).collect();
    (values, opened.0.load(Ordering::SeqCst))
}

/// What the stage reads is what the batches hold, and this many files were opened for it.
fn check(width: usize, batches: &[usize], files: u64) {
    let (read, opened) = read_by_the_stage(width, batches);
    let due: Vec<i64> =
        batches.iter().flat_map(|&number| numbers(number).as_primitive::<Int64Type>().values().to_vec()).collect();
    let differs = read.iter().zip(&due).position(|(read, due)| read != due);
    assert_eq!((read.len(), differs, opened), (due.len(), None, files));
}

#[test]
fn a_stage_reads_batches_of_a_file_that_it_maps() {
    let all: Vec<usize> = (0..40).collect();
    check(1, &all, 1);
}

#[test]
fn batches_that_do_not_follow_each_other_are_told_apart() {
    let some = [3, 4, 5, 9, 0, 0, 39, 38];
    check(1, &some, 1);
}

#[test]
fn a_file_with_more_than_the_stage_reads_is_not_handed_over() {
    check(2, &[0, 1, 2], 0);
}
