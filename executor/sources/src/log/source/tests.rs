//! Topics in memory, as sources.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use flowc_planner::plan::{BadRows, Format, Location, RecordColumn, RecordField};
use tempfile::TempDir;

use super::*;
use crate::log::testing::{Memory, topic};
use crate::testing::{Table, segments, spec};

/// A topic as a source, with a folder for its blocks.
struct Reader {
    cluster: Arc<Memory>,
    folder: TempDir,
    topic: KafkaTopic,
    bad_rows: BadRows,
    schema: SchemaRef,
}

impl Reader {
    fn new(cluster: Memory) -> Self {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let (cluster, folder) = (Arc::new(cluster), tempfile::tempdir().unwrap());
        Self { cluster, folder, topic: topic(), bad_rows: BadRows::Fail, schema }
    }

    fn with_columns(mut self, fields: &[(RecordField, &str)]) -> Self {
        let column = |(field, name): &(RecordField, &str)| RecordColumn { field: *field, name: (*name).to_owned() };
        self.topic.columns = fields.iter().map(column).collect();
        let own = self.schema.fields().iter().map(|field| field.as_ref().clone());
        self.schema = Arc::new(Schema::new(own.chain(self.topic.record_fields()).collect::<Vec<_>>()));
        self
    }

    fn source(&self) -> KafkaSource {
        let location = Location::Kafka(Box::new(self.topic.clone()));
        let spec = SourceSpec { location, bad_rows: self.bad_rows, ..spec(Format::JsonLines) };
        KafkaSource::new(spec, self.topic.clone(), Path::new("/")).with_cluster(self.cluster.clone())
    }

    fn poll(&self, known: &Polled) -> Result<Polled, String> {
        self.source().poll(known).map_err(|error| error.to_string())
    }

    fn open(&self, part: &SourcePart) -> Result<OpenFile, SourceError> {
        let within = |name: &str| self.folder.path().join(name);
        let (spool, blocks, schemas) = (self.folder.path().to_owned(), within("blocks"), within("schemas"));
        self.source().open(part, &self.schema, &Folders { spool, blocks, schemas })
    }

    fn rows(&self, polled: &Polled) -> Result<Vec<String>, SourceError> {
        let tables = polled.parts.iter().map(|part| Table::read(&self.open(part)?));
        Ok(tables.collect::<Result<Vec<_>, _>>()?.into_iter().flat_map(|table| table.rows).collect())
    }

    fn kept(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("blocks")).map_or(0, Iterator::count)
    }
}

fn numbers(range: Range<i64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn names(polled: &Polled) -> Vec<&str> {
    polled.parts.iter().map(|part| part.name.as_str()).collect()
}

#[test]
fn parts_are_blocks_and_their_rows_are_the_records() {
    let reader = Reader::new(Memory::new(&[6, 0]));
    let polled = reader.poll(&Polled::default()).unwrap();
    assert_eq!(names(&polled), ["bids-0-0", "bids-0-4", "bids-1-0"]);
    assert_eq!(polled.folders, None);
    assert_eq!(reader.rows(&polled).unwrap(), numbers(0..6));
}

#[test]
fn what_was_read_is_not_read_again_and_an_extended_range_reads_what_is_new() {
    let reader = Reader::new(Memory::new(&[6]));
    let first = reader.poll(&Polled::default()).unwrap();
    reader.rows(&first).unwrap();
    assert_eq!(reader.cluster.take_read(), [(0, 0..4), (0, 4..6)]);
    reader.rows(&first).unwrap();
    assert_eq!(reader.cluster.take_read(), []);
    reader.cluster.change(|state| state.partitions[0].1.extend((6..9).map(|n| Some(format!("{{\"n\":{n}}}")))));
    let second = reader.poll(&first).unwrap();
    assert_eq!(names(&second), ["bids-0-0", "bids-0-4", "bids-0-8"]);
    assert_eq!(second.parts[0], first.parts[0]);
    assert_eq!(reader.rows(&second).unwrap(), numbers(0..9));
    assert_eq!(reader.cluster.take_read(), [(0, 6..8), (0, 8..9)]);
    // The shorter block has gone; whoever still wants it takes it from the longer one.
    assert_eq!(reader.kept(), 3);
    assert_eq!(reader.rows(&first).unwrap(), numbers(0..6));
    assert_eq!(reader.cluster.take_read(), []);
}

#[test]
fn a_closed_range_that_is_known_asks_nobody() {
    let mut reader = Reader::new(Memory::new(&[6]));
    reader.topic.until.offsets.insert(0, 5);
    let first = reader.poll(&Polled::default()).unwrap();
    assert_eq!(first.folders, Some(Vec::new()));
    reader.rows(&first).unwrap();
    reader.cluster.change(|state| state.questions = 0);
    assert_eq!(reader.poll(&first).unwrap(), first);
    assert_eq!(reader.rows(&first).unwrap(), numbers(0..5));
    assert_eq!(lock(&reader.cluster.state).questions, 0);
}

#[test]
fn what_was_read_stays_when_the_topic_forgets() {
    let reader = Reader::new(Memory::new(&[6]));
    let first = reader.poll(&Polled::default()).unwrap();
    reader.rows(&first).unwrap();
    reader.cluster.change(|state| state.partitions[0].0 = 5);
    let second = reader.poll(&first).unwrap();
    assert_eq!(second.parts, first.parts);
    assert_eq!(reader.rows(&second).unwrap(), numbers(0..6));
    std::fs::remove_dir_all(reader.folder.path().join("blocks")).unwrap();
    let error = reader.rows(&second).unwrap_err().to_string();
    assert!(error.contains("does not have the offsets from 0 any more: retention removed those before 5"), "{error}");
}

#[test]
fn a_topic_that_is_another_one_is_refused_until_the_text_names_it() {
    let mut reader = Reader::new(Memory::new(&[6]));
    let first = reader.poll(&Polled::default()).unwrap();
    reader.cluster.change(|state| state.id = "new".to_owned());
    let error = reader.poll(&first).unwrap_err();
    assert!(error.contains("say `topic-id \"new\"` in `kafka`"), "{error}");
    reader.topic.topic_id = Some("new".to_owned());
    assert_ne!(reader.poll(&Polled::default()).unwrap().parts, first.parts);
    reader.cluster.change(|state| state.id = "newer".to_owned());
    let error = reader.poll(&Polled::default()).unwrap_err();
    assert!(error.contains("its id is newer, and `topic-id` asks for new"), "{error}");
}

#[test]
fn a_broker_that_dies_leaves_nothing_half_written() {
    let reader = Reader::new(Memory::new(&[6]));
    let polled = reader.poll(&Polled::default()).unwrap();
    reader.cluster.change(|state| state.dies_at = Some(5));
    let error = reader.rows(&polled).unwrap_err().to_string();
    assert!(error.contains("no broker answers any more, at offset 5"), "{error}");
    assert_eq!(reader.kept(), 1);
    reader.cluster.take_read();
    reader.cluster.change(|state| state.dies_at = None);
    assert_eq!(reader.rows(&polled).unwrap(), numbers(0..6));
    assert_eq!(reader.cluster.take_read(), [(0, 4..6)]);
}

#[test]
fn a_block_that_is_damaged_is_read_again() {
    let reader = Reader::new(Memory::new(&[3]));
    let polled = reader.poll(&Polled::default()).unwrap();
    reader.rows(&polled).unwrap();
    let kept = reader.folder.path().join("blocks").join(reader.source().kept(&polled.parts[0]).unwrap());
    std::fs::write(&kept, "damaged").unwrap();
    assert_eq!(reader.rows(&polled).unwrap(), numbers(0..3));
}

#[test]
fn a_mirrored_topic_has_the_same_segments_unless_a_column_holds_where_records_are() {
    let raw = |reader: &Reader| -> Vec<_> {
        let polled = reader.poll(&Polled::default()).unwrap();
        polled.parts.iter().flat_map(|part| segments(&reader.open(part).unwrap())).map(|segment| segment.raw).collect()
    };
    let cluster = || Memory::new(&[6]);
    let mirror = || {
        let mirror = Memory::new(&[6]);
        mirror.change(|state| (state.cluster, state.id) = ("mirror".to_owned(), "other".to_owned()));
        mirror
    };
    assert_eq!(raw(&Reader::new(cluster())), raw(&Reader::new(mirror())));
    // One record lacks in each, and the same ones remain: only their offsets differ.
    let gap = |at: usize| {
        let gap = Memory::new(&[2]);
        gap.change(|state| state.partitions[0].1 = vec![Some("{\"n\":7}".to_owned()); 2]);
        gap.change(|state| state.partitions[0].1[at] = None);
        gap
    };
    assert_eq!(raw(&Reader::new(gap(0))), raw(&Reader::new(gap(1))));
    let offset = [(RecordField::Offset, "offset")];
    assert_ne!(raw(&Reader::new(gap(0)).with_columns(&offset)), raw(&Reader::new(gap(1)).with_columns(&offset)));
}

#[test]
fn parts_of_records_are_columns() {
    let fields = [
        (RecordField::Offset, "offset"),
        (RecordField::Partition, "partition"),
        (RecordField::KeyText, "key"),
        (RecordField::Timestamp, "at"),
        (RecordField::Headers, "headers"),
    ];
    let reader = Reader::new(Memory::new(&[0, 2])).with_columns(&fields);
    let polled = reader.poll(&Polled::default()).unwrap();
    let expected = ["0|0|1|k|1970-01-01T00:00:01Z|[]", "1|1|1|k|1970-01-01T00:00:01.001Z|[]"];
    assert_eq!(reader.rows(&polled).unwrap(), expected);
    let open = reader.open(&polled.parts[1]).unwrap();
    let batch = open.read(&segments(&open)[0], None, &[2, 0]).unwrap().next().unwrap().unwrap();
    assert_eq!(crate::testing::text(&batch), ["1|0", "1|1"]);
}

#[test]
fn bad_records_are_told_with_their_place() {
    let bad = || {
        let cluster = Memory::new(&[3]);
        cluster.change(|state| {
            state.partitions[0].1[1] = Some("{\"n\":\"x\"}".to_owned());
            state.partitions[0].1[2] = Some(String::new());
        });
        cluster
    };
    let reader = Reader::new(bad());
    let polled = reader.poll(&Polled::default()).unwrap();
    let error = reader.rows(&polled).unwrap_err().to_string();
    assert!(
        error.starts_with("topic `bids`, partition 0, offset 1, column `n`: \"x\" is not a value of type Int64"),
        "{error}"
    );
    let mut reader = Reader::new(bad());
    reader.bad_rows = BadRows::Stream;
    let table = Table::read(&reader.open(&polled.parts[0]).unwrap()).unwrap();
    assert_eq!((table.rows, table.rejected), (vec!["0".to_owned()], 2));
    let first = "bids|0|1|1970-01-01T00:00:01.001Z|column `n`: \"x\" is not a value of type Int64|6b|";
    assert!(table.rejects[0].starts_with(first), "{:?}", table.rejects);
    assert!(table.rejects[1].contains("the record has no value (it is a tombstone)"), "{:?}", table.rejects);
    reader.bad_rows = BadRows::Skip;
    assert_eq!(Table::read(&reader.open(&polled.parts[0]).unwrap()).unwrap().rejected, 2);
}

#[test]
fn a_key_that_is_no_text_is_a_bad_record_and_its_neighbours_are_none() {
    let cluster = Memory::new(&[3]);
    cluster.change(|state| state.keys = vec![b"a".to_vec(), b"\xff".to_vec(), b"c".to_vec()]);
    let mut reader = Reader::new(cluster).with_columns(&[(RecordField::KeyText, "key")]);
    reader.bad_rows = BadRows::Stream;
    let polled = reader.poll(&Polled::default()).unwrap();
    let table = Table::read(&reader.open(&polled.parts[0]).unwrap()).unwrap();
    assert_eq!(table.rows, ["0|a", "2|c"]);
    assert!(table.rejects[0].contains("column `key`: the key is not UTF-8"), "{:?}", table.rejects);
}

#[test]
fn a_tombstone_is_a_row_of_nulls_where_nulls_are_allowed() {
    let cluster = Memory::new(&[2]);
    cluster.change(|state| state.partitions[0].1[0] = Some(String::new()));
    let mut reader = Reader::new(cluster);
    reader.schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let polled = reader.poll(&Polled::default()).unwrap();
    assert_eq!(reader.rows(&polled).unwrap(), ["~", "1"]);
}

#[test]
fn a_topic_whose_records_do_not_have_the_event_time_is_refused() {
    let mut reader = Reader::new(Memory::new(&[3]));
    let plain = hash(&reader);
    let settings = |compacted, append_time| TopicSettings { compacted: Some(compacted), append_time };
    reader.cluster.change(|state| state.settings = settings(true, Some(false)));
    assert!(reader.poll(&Polled::default()).is_ok());
    reader.topic.event_time = Some(TopicTime::Column);
    assert!(reader.poll(&Polled::default()).unwrap_err().contains("it is compacted (cleanup.policy=compact)"));
    reader.cluster.change(|state| state.settings = settings(false, Some(false)));
    assert!(reader.poll(&Polled::default()).is_ok());
    reader.topic.event_time = Some(TopicTime::LogAppend);
    assert!(reader.poll(&Polled::default()).unwrap_err().contains("(message.timestamp.type=CreateTime)"));
    reader.cluster.change(|state| state.settings = settings(false, None));
    assert!(reader.poll(&Polled::default()).unwrap_err().contains("does not tell this user"));
    reader.cluster.change(|state| state.settings = settings(false, Some(true)));
    assert!(reader.poll(&Polled::default()).is_ok());
    // What was found without an event time is not taken for an answer.
    assert_ne!(hash(&reader), plain);
}

fn hash(reader: &Reader) -> [u8; 32] {
    let mut hasher = KeyHasher::new("test");
    reader.source().hash_into(&mut hasher);
    hasher.finish()
}
