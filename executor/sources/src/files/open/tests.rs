//! Files that are opened: compressed, damaged, changed under the reader.

use std::fs::File;
use std::io::Write;

use flowc_planner::plan::BadRows;

use super::*;
use crate::testing::{Folder, Table, csv, gzip, schema, segments, spec, with_bad_rows};

fn lines() -> SchemaRef {
    schema(&[("line", DataType::Utf8, false)])
}

#[test]
fn compressed_files_of_several_members_read_as_one() {
    let folder = Folder::new();
    let gz = folder.write("a.txt.gz", [gzip(b"one\ntw"), gzip(b"o\n")].concat());
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let zst = folder.write("a.txt.ZST", [frame(b"one\ntw"), frame(b"o\n")].concat());
    for file in [gz, zst] {
        let open = folder.open(&file, &spec(Format::Lines), &lines()).unwrap();
        assert_eq!(Table::read(&open).unwrap().rows, ["one", "two"]);
        assert_eq!(open.stamp().size, std::fs::metadata(&file.path).unwrap().len());
    }
}

#[test]
fn a_cut_or_foreign_compressed_file_is_damaged() {
    let folder = Folder::new();
    let (gz, zst) = (gzip(&[b'x'; 9999]), zstd::encode_all(&[b'x'; 9999][..], 1).unwrap());
    for (name, bytes) in [("a.gz", &gz[..gz.len() - 9]), ("b.gz", b"no gzip"), ("a.zst", &zst[..zst.len() - 1])] {
        let file = folder.write(name, bytes);
        let result = folder.open(&file, &spec(Format::Lines), &lines());
        assert!(matches!(result, Err(SourceError::Damaged { .. })), "{name}");
    }
}

#[test]
fn a_file_that_changes_under_the_reader_is_noticed() {
    let folder = Folder::new();
    let change = |name: &str, act: &dyn Fn(&SourceFile)| {
        let file = folder.write(name, "a\nb\n");
        let open = folder.open(&file, &spec(Format::Lines), &lines()).unwrap();
        open.verify_unchanged().unwrap();
        act(&file);
        open.verify_unchanged().unwrap_err().to_string()
    };
    let grown = change("grown", &|file| {
        File::options().append(true).open(&file.path).unwrap().write_all(b"c\n").unwrap();
    });
    let short = change("short", &|file| File::options().write(true).open(&file.path).unwrap().set_len(1).unwrap());
    let gone = change("gone", &|file| std::fs::remove_file(&file.path).unwrap());
    let other = change("other", &|file| {
        let new = folder.write("new", "a\nb\n");
        std::fs::rename(new.path, &file.path).unwrap();
    });
    assert!(grown.contains("written to") && short.contains("shorter"), "{grown} {short}");
    assert!(gone.contains("deleted") && other.contains("replaced"), "{gone} {other}");
}

#[test]
fn a_segment_read_again_must_have_the_same_bytes() {
    let folder = Folder::new();
    let file = folder.write("a", "one\ntwo\n");
    let open = folder.open(&file, &spec(Format::Lines), &lines()).unwrap();
    let segment = segments(&open).remove(0);
    assert_eq!(open.read(&segment, None, &[0]).unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    std::fs::write(&file.path, "one\nTWO\n").unwrap();
    assert!(matches!(open.read(&segment, None, &[0]), Err(SourceError::Changed { .. })));
    std::fs::write(&file.path, "one").unwrap();
    assert!(matches!(open.read(&segment, None, &[0]), Err(SourceError::Changed { .. })));
}

#[test]
fn rows_do_not_depend_on_the_columns_that_are_read() {
    let folder = Folder::new();
    let file = folder.write("a", "n,t\n1,a\nx,b\n3,c\n");
    let columns = schema(&[("n", DataType::Int64, true), ("t", DataType::Utf8, true)]);
    for projection in [&[][..], &[0], &[1], &[1, 0]] {
        let open = folder.open(&file, &with_bad_rows(csv(), BadRows::Skip), &columns).unwrap();
        let segment = segments(&open).remove(0);
        let mut reader = open.read(&segment, None, projection).unwrap();
        let batch = reader.next().unwrap().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, projection.len()));
        assert_eq!(reader.rejected(), 1);
    }
}

#[test]
fn every_format_takes_an_empty_projection_and_an_empty_file() {
    let folder = Folder::new();
    let columns = schema(&[("n", DataType::Int64, true)]);
    for (format, text, empty) in [(csv(), "n\n1\n", "n\n"), (Format::JsonLines, "{\"n\":1}\n", "")] {
        let file = folder.write("full", text);
        let open = folder.open(&file, &spec(format.clone()), &columns).unwrap();
        let batches: Vec<_> = open.read(&segments(&open)[0], None, &[]).unwrap().collect();
        assert_eq!(batches.into_iter().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);
        let file = folder.write("empty", empty);
        let open = folder.open(&file, &spec(format), &columns).unwrap();
        assert_eq!(segments(&open).len(), 1);
        assert_eq!(Table::read(&open).unwrap().rows.len(), 0);
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let folder = Folder::new();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = std::thread::spawn({
        let path = path.clone();
        move || std::fs::write(path, "one\ntwo\n").unwrap()
    });
    let file = SourceFile { path, name: "pipe".to_owned() };
    let open = folder.open(&file, &spec(Format::Lines), &lines()).unwrap();
    writer.join().unwrap();
    assert_eq!(Table::read(&open).unwrap().rows, ["one", "two"]);
}

#[test]
fn formats_with_fixed_columns_refuse_others_and_tables_are_no_source() {
    let folder = Folder::new();
    let file = folder.write("a", "x");
    let wrong = schema(&[("line", DataType::Int64, false)]);
    for format in [Format::Lines, Format::Bytes, Format::Table] {
        assert!(folder.open(&file, &spec(format), &wrong).is_err());
    }
}
