//! Files and folders as users see them: what appears, what stays, what is refused.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use common::*;
use flowc_planner::plan::{Compression, Format, SinkSpec, Target};
use flowc_sinks::{Dataset, Intact, MANIFEST, Remembered, SinkError, SinkSegment, Sinks, Syncs};

#[test]
fn equal_rows_give_equal_bytes_in_every_format_however_they_are_cut() {
    let all = numbers(0..20_000);
    let cut: Vec<_> = (0..20).map(|i| all.slice(i * 1000, 1000)).collect();
    let formats = [
        ("x.csv", csv()),
        ("x.csv.gz", csv()),
        ("x.jsonl.zst", Format::JsonLines),
        ("x.parquet", Format::Parquet),
        ("x.arrow", Format::Arrow),
    ];
    for (name, format) in formats {
        let dir = tempfile::tempdir().unwrap();
        let spec = file(name, format);
        let bytes = |batches: &[RecordBatch]| {
            write(&spec, dir.path(), &[("a", batches)], None).unwrap();
            fs::read(dir.path().join(name)).unwrap()
        };
        assert_eq!(bytes(std::slice::from_ref(&all)), bytes(&cut), "{name}");
    }
}

#[test]
fn nothing_is_seen_before_the_commit_and_a_dropped_run_leaves_the_old_content() {
    let dir = tempfile::tempdir().unwrap();
    let spec = file("deep/x.csv", csv());
    write(&spec, dir.path(), &[("a", &[numbers(0..2)])], None).unwrap();
    let before = fs::read(dir.path().join("deep/x.csv")).unwrap();
    let batch = numbers(5..9);
    let transaction = open(&spec, dir.path(), batch.schema(), &segments(&[("b", 1)]), None).unwrap();
    let mut writer = transaction.writer(0).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::read(dir.path().join("deep/x.csv")).unwrap(), before);
    drop(transaction);
    assert_eq!(names(&dir.path().join("deep")), ["x.csv"]);
}

#[test]
fn leftovers_go_wherever_the_target_lies_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let (base, there) = (dir.path().join("base"), dir.path().join("there"));
    [&base, &there].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    fs::write(there.join("x.csv"), "old").unwrap();
    std::os::unix::fs::symlink(there.join("x.csv"), base.join("linked.csv")).unwrap();
    let specs = [file("linked.csv", csv()), folder("out", csv()), spec(Target::Stdout, csv())];
    let stage = |folder: &Path, files: &[&str]| {
        fs::create_dir(folder).unwrap();
        files.iter().for_each(|file| fs::write(folder.join(file), "half").unwrap());
    };
    stage(&there.join(".x.csv.flowc-a1b2c3"), &["lock", "0"]);
    stage(&there.join(".flowc-a1b2c3"), &["lock", "0", "1"]);
    stage(&base.join(".flowc-d4e5f6"), &["mine"]);
    stage(&base.join(".out.flowc-a1b2c3"), &["lock", "0", "1"]);
    stage(&base.join(".out.flowc-d4e5f6"), &[]);
    stage(&base.join(".out.flowc-notes"), &["mine"]);
    stage(&base.join(".other.flowc-a1b2c3"), &["lock", "0"]);
    let sinks = Sinks::new(&base);
    specs.iter().for_each(|spec| sinks.sink(spec).recover().unwrap());
    assert_eq!(names(&there), ["x.csv"]);
    assert_eq!(names(&base), [".flowc-d4e5f6", ".other.flowc-a1b2c3", ".out.flowc-notes", "linked.csv"]);
    assert_eq!(names(&base.join(".other.flowc-a1b2c3")), ["0", "lock"]);
}

#[test]
fn a_living_run_keeps_its_staging_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, batch) = (folder("out", csv()), numbers(0..2));
    let transaction = open(&spec, dir.path(), batch.schema(), &segments(&[("a", 1)]), None).unwrap();
    let mut writer = transaction.writer(0).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    sink(&spec, dir.path()).recover().unwrap();
    let mut syncs = Syncs::default();
    transaction.prepare(&mut syncs).unwrap();
    syncs.run().unwrap();
    transaction.finalize().unwrap();
    assert_eq!(names(dir.path()), ["out"]);
    assert_eq!(names(&dir.path().join("out")), [MANIFEST, "a.csv"]);
}

#[test]
fn a_swap_keeps_foreign_files_and_the_inodes_of_unchanged_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, out) = (folder("out", Format::Parquet), dir.path().join("out"));
    let (a, b) = ([numbers(0..2)], [numbers(2..4)]);
    let first = write(&spec, dir.path(), &[("in/a.csv", &a), ("in/b.csv", &b)], None).unwrap();
    fs::create_dir_all(out.join("own/empty")).unwrap();
    fs::write(out.join("own/notes.txt"), "mine").unwrap();
    let inode = fs::metadata(out.join("a.parquet")).unwrap().ino();
    let segments = &[("in/a.csv", &a[..]), ("in/c.csv", &b[..]), ("in/d.csv", &a[..])];
    let second = write(&spec, dir.path(), segments, Some(&first)).unwrap();
    assert_eq!(names(&out), [MANIFEST, "a.parquet", "c.parquet", "d.parquet", "own"]);
    assert_eq!(fs::read(out.join("own/notes.txt")).unwrap(), b"mine");
    assert!(out.join("own/empty").is_dir());
    assert_eq!(fs::metadata(out.join("a.parquet")).unwrap().ino(), inode);
    assert_eq!(sink(&spec, dir.path()).is_intact(&second), Intact::Yes);
    assert_eq!(names(dir.path()), ["out"]);
}

#[test]
fn one_changed_file_leaves_the_folder_itself_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, out) = (folder("out", csv()), dir.path().join("out"));
    let (a, b, c) = ([numbers(0..2)], [numbers(2..4)], [numbers(4..6)]);
    let first = write(&spec, dir.path(), &[("a", &a), ("b", &b)], None).unwrap();
    let inode = fs::metadata(&out).unwrap().ino();
    let second = write(&spec, dir.path(), &[("a", &a), ("b", &c)], Some(&first)).unwrap();
    let third = write(&spec, dir.path(), &[("a", &a), ("b", &c), ("d", &b)], Some(&second)).unwrap();
    assert_eq!(fs::metadata(&out).unwrap().ino(), inode);
    assert_eq!(names(&out), [MANIFEST, "a.csv", "b.csv", "d.csv"]);
    assert_eq!(sink(&spec, dir.path()).is_intact(&third), Intact::Yes);
    assert_eq!(fs::read_to_string(out.join("b.csv")).unwrap(), "n,t\n4,row 4\n5,row 5\n");
}

#[test]
fn the_manifest_is_written_only_where_it_lists_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, manifest) = (folder("out", csv()), dir.path().join("out").join(MANIFEST));
    let (a, b, c) = ([numbers(0..2)], [numbers(2..4)], [numbers(4..6)]);
    let inode = || fs::metadata(&manifest).unwrap().ino();
    let first = write(&spec, dir.path(), &[("a", &a), ("b", &b)], None).unwrap();
    let written = inode();
    let second = write(&spec, dir.path(), &[("a", &a), ("b", &c)], Some(&first)).unwrap();
    assert_eq!((inode(), second.manifest), (written, first.manifest));
    // Memory is lost: what the manifest says of `b` is no longer so, and `b` is written anew.
    let lost = write(&spec, dir.path(), &[("a", &a), ("b", &b)], None).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("out/b.csv")).unwrap(), "n,t\n2,row 2\n3,row 3\n");
    let third = write(&spec, dir.path(), &[("a", &a), ("b", &c), ("d", &b)], Some(&lost)).unwrap();
    // Who changes the manifest decides about what is the sink's.
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"b.csv\"", "\"x.csv\"")).unwrap();
    let refused = write(&spec, dir.path(), &[("a", &a), ("b", &a), ("d", &b)], Some(&third));
    assert!(matches!(refused, Err(SinkError::Foreign { path }) if path.ends_with("b.csv")));
}

#[test]
fn a_folder_whose_manifest_was_removed_is_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, out) = (folder("out", csv()), dir.path().join("out"));
    let (a, b) = ([numbers(0..2)], [numbers(2..4)]);
    let first = write(&spec, dir.path(), &[("a", &a), ("b", &b)], None).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    fs::remove_file(out.join(MANIFEST)).unwrap();
    let second = write(&spec, dir.path(), &[("a", &b), ("b", &a)], Some(&first)).unwrap();
    assert_eq!(names(dir.path()), ["out"], "no staging folder is left");
    assert_eq!(names(&out), [MANIFEST, "a.csv", "b.csv", "notes.txt"]);
    assert_eq!(fs::read_to_string(out.join("a.csv")).unwrap(), "n,t\n2,row 2\n3,row 3\n");
    assert_eq!(sink(&spec, dir.path()).is_intact(&second), Intact::Yes);
    fs::remove_dir_all(&out).unwrap();
    write(&spec, dir.path(), &[("a", &b), ("b", &a)], Some(&second)).unwrap();
    assert_eq!(names(&out), [MANIFEST, "a.csv", "b.csv"]);
}

/// A run that is killed once its files are in place, before it is remembered what the sink holds.
#[test]
fn what_a_killed_run_put_in_place_is_the_sinks_without_a_manifest_too() {
    let (a, b, c) = ([numbers(0..2)], [numbers(2..4)], [numbers(4..6)]);
    let earlier: [&[(&str, &[RecordBatch])]; 2] = [&[], &[("a", &a), ("b", &b)]];
    let changes: [&[(&str, &[RecordBatch])]; 4] = [
        &[("a", &a), ("b", &c)],
        &[("a", &a), ("b", &b), ("d", &c)],
        &[("a", &c), ("b", &a), ("d", &b)],
        &[("a", &b), ("d", &a)],
    ];
    for (before, change) in earlier.iter().flat_map(|before| changes.iter().map(move |change| (*before, *change))) {
        let dir = tempfile::tempdir().unwrap();
        let (spec, out) = (folder("out", csv()), dir.path().join("out"));
        let first = (!before.is_empty()).then(|| write(&spec, dir.path(), before, None).unwrap());
        let finalized = first.as_ref();
        let killed = prepare(&spec, dir.path(), change, Remembered { finalized, announced: None }).unwrap();
        let announced = killed.announced().unwrap();
        killed.finalize().unwrap();
        fs::remove_file(out.join(MANIFEST)).unwrap();
        // The next run is killed, too, before anything appears; what it announces has the files of the one before.
        let again = prepare(
            &spec,
            dir.path(),
            &[("a", &c), ("b", &c)],
            Remembered { finalized, announced: announced.as_ref() },
        );
        let announced = again.unwrap().announced().unwrap();
        fs::write(out.join("notes.txt"), "mine").unwrap();
        let earlier = Remembered { finalized, announced: announced.as_ref() };
        prepare(&spec, dir.path(), &[("a", &b), ("b", &a)], earlier).unwrap().finalize().unwrap();
        assert_eq!(names(&out), [MANIFEST, "a.csv", "b.csv", "notes.txt"], "{before:?} {change:?}");
        assert_eq!(fs::read_to_string(out.join("a.csv")).unwrap(), "n,t\n2,row 2\n3,row 3\n");
        // What was announced says which bytes are the sink's: others under the same name are not.
        fs::remove_file(out.join(MANIFEST)).unwrap();
        fs::write(out.join("a.csv"), "mine").unwrap();
        let refused = prepare(&spec, dir.path(), &[("a", &a), ("b", &a)], earlier);
        assert!(matches!(refused.err(), Some(SinkError::Foreign { path }) if path == out.join("a.csv")));
        assert_eq!(fs::read_to_string(out.join("a.csv")).unwrap(), "mine");
    }
}

#[test]
fn a_foreign_file_with_a_needed_name_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/a.csv"), "mine").unwrap();
    let refused = write(&folder("out", csv()), dir.path(), &[("a", &[numbers(0..2)])], None);
    assert!(matches!(refused, Err(SinkError::Foreign { .. })), "{refused:?}");
    assert_eq!(fs::read(dir.path().join("out/a.csv")).unwrap(), b"mine");
}

#[test]
fn altered_and_deleted_files_are_seen_and_restored_and_touched_ones_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (spec, out) = (folder("out", csv()), dir.path().join("out"));
    let (a, b) = ([numbers(0..2)], [numbers(2..4)]);
    let rows: &[(&str, &[RecordBatch])] = &[("a", &a), ("b", &b)];
    let state = write(&spec, dir.path(), rows, None).unwrap();
    let text = fs::read_to_string(out.join("a.csv")).unwrap();
    fs::write(out.join("a.csv"), text.replace('0', "7")).unwrap();
    assert_eq!(sink(&spec, dir.path()).is_intact(&state), Intact::Altered(out.join("a.csv")));
    fs::remove_file(out.join("b.csv")).unwrap();
    let restored = write(&spec, dir.path(), rows, Some(&state)).unwrap();
    assert_eq!(sink(&spec, dir.path()).is_intact(&restored), Intact::Yes);
    assert_eq!(fs::read_to_string(out.join("a.csv")).unwrap(), text);
    fs::remove_file(out.join("b.csv")).unwrap();
    assert_eq!(sink(&spec, dir.path()).is_intact(&restored), Intact::Missing(out.join("b.csv")));
    fs::File::open(out.join("a.csv")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let transaction = open(&spec, dir.path(), a[0].schema(), &segments_of(rows), Some(&restored)).unwrap();
    assert_eq!(transaction.jobs().iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["b.csv"]);
}

#[test]
fn the_manifest_alone_is_enough_to_keep_files_but_not_those_of_another_form() {
    let dir = tempfile::tempdir().unwrap();
    let rows: &[(&str, &[RecordBatch])] = &[("a", &[numbers(0..2)])];
    let spec = folder("out", csv());
    write(&spec, dir.path(), rows, None).unwrap();
    let jobs = |spec| open(spec, dir.path(), rows[0].1[0].schema(), &segments_of(rows), None).unwrap().jobs().len();
    assert_eq!(jobs(&spec), 0);
    assert_eq!(jobs(&SinkSpec { compression: Compression::Gzip, ..spec.clone() }), 1);
}

#[test]
fn partitions_have_folders_with_encoded_names_and_leave_their_column_out() {
    let dir = tempfile::tempdir().unwrap();
    let keys = StringArray::from(vec![Some("a/../b"), None, Some("__null__")]);
    let batch = RecordBatch::try_from_iter([
        ("k", std::sync::Arc::new(keys) as _),
        ("n", std::sync::Arc::new(Int64Array::from(vec![1, 2, 3])) as _),
    ])
    .unwrap();
    let mut spec = folder("out", csv());
    spec.partition_by = vec!["k".to_owned()];
    let rows: &[(&str, &[RecordBatch])] = &[("in/a.csv", std::slice::from_ref(&batch))];
    let state = write(&spec, dir.path(), rows, None).unwrap();
    let out = dir.path().join("out");
    assert_eq!(names(&out), [MANIFEST, "k=__HIVE_DEFAULT_PARTITION__", "k=__null__", "k=a%2F..%2Fb"]);
    assert_eq!(fs::read_to_string(out.join("k=__HIVE_DEFAULT_PARTITION__/a.csv")).unwrap(), "n\n2\n");
    let again = open(&spec, dir.path(), batch.schema(), &segments_of(rows), Some(&state)).unwrap();
    assert!(again.jobs().is_empty());
    drop(again);
    let fewer = [batch.slice(0, 1)];
    write(&spec, dir.path(), &[("in/a.csv", &fewer)], Some(&state)).unwrap();
    assert_eq!(names(&out), [MANIFEST, "k=a%2F..%2Fb"]);
}

#[test]
fn names_follow_the_source_files_and_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [numbers(0..1)];
    let named = ["x/a.csv.gz", "y/a.csv", "b.c.csv", "b.c.csv"].map(|name| (name, &rows[..]));
    let state = write(&folder("out", Format::JsonLines), dir.path(), &named, None).unwrap();
    let names: Vec<_> = state.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(names[2..], ["b.c-0001.jsonl", "b.c-0002.jsonl"]);
    assert!(names[..2].iter().all(|name| name.starts_with("a-") && name.len() == "a-01234567.jsonl".len()));
}

#[test]
fn a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("x.csv")).unwrap();
    fs::write(dir.path().join("out"), "").unwrap();
    let rows: &[(&str, &[RecordBatch])] = &[("a", &[numbers(0..1)])];
    let refused = write(&file("x.csv", csv()), dir.path(), rows, None);
    assert!(matches!(refused, Err(SinkError::IsDirectory { .. })), "{refused:?}");
    for spec in [folder("out", csv()), file("out/x.csv", csv())] {
        let refused = write(&spec, dir.path(), rows, None);
        assert!(matches!(refused, Err(SinkError::NotADirectory { .. } | SinkError::Io { .. })), "{refused:?}");
    }
}

#[test]
fn a_source_files_name_counts_in_folders_alone() {
    let schema = numbers(0..1).schema();
    let (a, b) = (segments(&[("a", 1)]), segments(&[("b", 1)]));
    let result = |spec: &SinkSpec, segments: &[SinkSegment]| {
        sink(spec, Path::new("")).result(&Dataset { schema: schema.clone(), segments })
    };
    let (one, many) = (file("x.csv", csv()), folder("x", csv()));
    assert_eq!(result(&one, &a), result(&one, &b));
    assert_ne!(result(&many, &a), result(&many, &b));
}
