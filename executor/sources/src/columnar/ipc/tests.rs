//! What is no Arrow IPC, or more than one file of it.

use arrow_array::{ArrayRef, Int64Array};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use flowc_planner::plan::Format;

use super::*;
use crate::infer_schema;
use crate::testing::{Folder, Table, spec};

fn numbers(rows: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

fn stream(rows: i64) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &numbers(0).schema()).unwrap();
    writer.write(&numbers(rows)).unwrap();
    writer.into_inner().unwrap()
}

fn file(rows: i64) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &numbers(0).schema()).unwrap();
    (0..rows).for_each(|_| writer.write(&numbers(1)).unwrap());
    writer.into_inner().unwrap()
}

fn read(bytes: &[u8]) -> Result<Table, SourceError> {
    let (folder, spec) = (Folder::new(), spec(Format::Arrow));
    let input = folder.write("input", bytes);
    let schema = infer_schema(std::slice::from_ref(&input), &spec)?;
    Table::read(&folder.open(&input, &spec, &schema)?)
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn what_follows_the_end_is_never_left_out() {
    assert_eq!(read(&stream(3)).unwrap().rows.len(), 3);
    let rest = stream(2).len();
    let several = refusal(&[stream(3), stream(2)].concat());
    assert!(several.contains(&format!("{rest} bytes follow the end of the stream; a file holds one")), "{several}");
    assert!(refusal(&[stream(3), vec![0]].concat()).contains("1 bytes follow the end of the stream"));
    // The mark of a stream's end may be left out.
    let open = &stream(3)[..stream(3).len() - 8];
    assert_eq!(read(open).unwrap().rows.len(), 3);
    let several = refusal(&[open, &stream(2)].concat());
    assert!(several.contains(&format!("another stream follows at byte {}", open.len())), "{several}");
}

#[test]
fn several_files_one_after_the_other_are_not_one() {
    for (first, last) in [(3, 3), (1, 5), (5, 1), (0, 0), (2, 0), (0, 2)] {
        assert_eq!(read(&file(first)).unwrap().rows.len(), first as usize);
        let several = refusal(&[file(first), file(last)].concat());
        assert!(several.contains("not valid Arrow IPC"), "{first} {last}: {several}");
        if first >= last {
            assert!(several.contains("belong to none of its batches"), "{first} {last}: {several}");
        }
    }
    assert!(read(&[file(3), vec![0; 8]].concat()).is_err());
}

#[test]
fn forms_that_are_not_read_are_named() {
    assert!(refusal(b"FEA1\0\0\0\0").contains("it is in Feather's first version, which flowc cannot read; write it"));
    let gzip = crate::testing::gzip(&stream(3));
    assert!(refusal(&gzip).contains("it is compressed with gzip; name it with the ending .gz"));
}

#[test]
fn big_endian_numbers_are_not_taken_for_little_endian() {
    assert!(check_endianness(Endianness::Little).is_ok());
    assert!(check_endianness(Endianness::Big).unwrap_err().to_string().contains("its numbers are big-endian"));
}
