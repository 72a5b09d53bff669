//! Objects of a bucket in memory as a source.

use arrow_schema::DataType;
use flowc_planner::plan::{BadRows, Format, Location, ObjectScheme};

use super::*;
use crate::objects::testing::Memory;
use crate::testing::{Folder, Table, csv, gzip, schema, with_bad_rows};

fn source(bucket: &Arc<Memory>, format: Format, keys: &[&str]) -> ObjectSource {
    let address =
        |key: &&str| ObjectAddress { scheme: ObjectScheme::S3, bucket: "b".to_owned(), key: (*key).to_owned() };
    let patterns = keys.iter().map(address).collect();
    let objects = Objects { patterns, region: None, endpoint: None, anonymous: false };
    let location = Location::Objects(Box::new(objects.clone()));
    let spec = SourceSpec { location, ..with_bad_rows(format, BadRows::Fail) };
    ObjectSource::new(spec, objects).with_bucket("s3://b", bucket.clone())
}

fn folders(folder: &Folder) -> Folders {
    let within = |name: &str| folder.path().join(name);
    Folders { spool: folder.path().to_owned(), blocks: within("blocks"), schemas: within("schemas") }
}

#[test]
fn an_object_that_several_patterns_match_is_a_part_once() {
    let bucket = Arc::new(Memory::new(["a.txt", "x/b.txt", "c.csv"].map(|key| (key, "text\n"))));
    let polled = source(&bucket, Format::Lines, &["x/*.txt", "**/*.txt", "a.txt"]).poll(&Polled::default()).unwrap();
    let names: Vec<&str> = polled.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["s3://b/x/b.txt", "s3://b/a.txt"]);
    assert_eq!(polled.folders, None);
    let none = source(&bucket, Format::Lines, &["y/*.txt"]).poll(&Polled::default()).unwrap_err().to_string();
    assert!(none.contains("no object matches `s3://b/y/*.txt`"), "{none}");
}

#[test]
fn a_stamp_stands_while_the_object_does() {
    let bucket = Arc::new(Memory::new([("a.txt", "one\n")]));
    let source = source(&bucket, Format::Lines, &["*.txt"]);
    let stamp = || source.poll(&Polled::default()).unwrap().parts[0].stamp.unwrap();
    let first = stamp();
    assert!(first == stamp() && first.is_immutable());
    bucket.put("a.txt", "two\n");
    assert_ne!(first, stamp());
}

#[test]
fn an_object_of_another_service_has_another_stamp() {
    let stamp = |place| {
        let bucket = Arc::new(Memory::new([("a.txt", "one\n")]).at(place));
        source(&bucket, Format::Lines, &["*.txt"]).poll(&Polled::default()).unwrap().parts[0].stamp
    };
    assert_eq!(stamp("http://a"), stamp("http://a"));
    assert_ne!(stamp("http://a"), stamp("http://b"));
}

#[test]
fn an_object_without_a_tag_is_read_in_each_run() {
    let bucket = Arc::new(Memory::new([("a.txt", "one\n")]).without_tags());
    let polled = source(&bucket, Format::Lines, &["*.txt"]).poll(&Polled::default()).unwrap();
    assert_eq!(polled.parts[0].stamp, None);
}

#[test]
fn rows_are_those_of_the_object_that_was_listed() {
    let (folder, bucket) = (Folder::new(), Arc::new(Memory::new([("a.txt", "one\ntwo\n")])));
    let source = source(&bucket, Format::Lines, &["*.txt"]);
    let part = source.poll(&Polled::default()).unwrap().parts.remove(0);
    let open = || source.open(&part, &schema(&[("line", DataType::Utf8, false)]), &folders(&folder));
    assert_eq!(Table::read(&open().unwrap()).unwrap().rows, ["one", "two"]);
    bucket.put("a.txt", "three\n");
    let changed = open().err().unwrap();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
}

#[test]
fn an_object_that_changes_under_a_decoder_is_said_to_have_changed() {
    let (folder, bucket) = (Folder::new(), Arc::new(Memory::new([("a.parquet", "PAR1")])));
    let source = source(&bucket, Format::Parquet, &["*.parquet"]);
    let part = source.poll(&Polled::default()).unwrap().parts.remove(0);
    let (file, _) = source.remote(&part, folder.path()).unwrap();
    bucket.put("a.parquet", "PAR2");
    let error = source.open(&part, &schema(&[]), &folders(&folder)).err().unwrap();
    assert!(matches!(error, SourceError::Changed { .. }), "{error}");
    assert_eq!(file.length(), 4);
}

#[test]
fn compressed_objects_are_unpacked_and_columns_inferred() {
    let packed = gzip(b"n,t\n1,a\n");
    let bucket = Arc::new(Memory::new([("day=1/a.csv.gz", &packed[..]), ("day=2/a.csv.gz", &packed[..])]));
    let mut source = source(&bucket, csv(), &["*/a.csv.gz"]);
    source.spec.partitions = Some(true);
    let parts = source.poll(&Polled::default()).unwrap().parts;
    let columns = source.infer_schema(&parts).unwrap();
    let described: Vec<String> =
        columns.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert_eq!(described, ["n Int64", "t Utf8", "day Int64"]);
    let folder = Folder::new();
    let open = source.open(&parts[1], &columns, &folders(&folder)).unwrap();
    assert_eq!(Table::read(&open).unwrap().rows, ["1|a|2"]);
    assert!(open.is_spooled() && open.stamp() == parts[1].stamp.unwrap());
}
