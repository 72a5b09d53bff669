//! Records decoded into columns: flat JSON, and Avro.

use std::fmt::Write as _;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{BinaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use flowc_planner::plan::{BadRows, Compression, Format, Location, SourceSpec};
use flowc_records::{AvroDecoder, AvroEncoder, schema_of_columns};
use flowc_sources::{AtHand, Folders, Polled, RawSegment, Source, source};
use serde::Deserialize;

use super::Bench;
use super::measure::{median, thread_seconds};
use super::report::{Finding, Section, row};

const RECORDS: usize = 1_000_000;
const ROUNDS: usize = 7;
/// Records of a batch.
const BATCH: usize = 8192;

/// A record as a plain consumer has it.
#[derive(Deserialize)]
struct Bid {
    auction: i64,
    bidder: i64,
    price: f64,
    channel: String,
    url: String,
    at: i64,
    won: bool,
}

/// Decodes a record as a plain consumer does.
pub(super) fn into_struct(record: &[u8]) -> Result<()> {
    let Bid { auction, bidder, price, channel, url, at, won } = serde_json::from_slice(record)?;
    black_box((auction, bidder, price, &channel, &url, at, won));
    Ok(())
}

/// One thread each, against `serde_json` into structs.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let text = bids(0..RECORDS);
    let file = bench.folder.join("bids.jsonl");
    std::fs::write(&file, &text)?;
    let json = JsonFile::open(&file, &bench.folder)?;
    let avro = Avro::new(&json)?;
    let (mut flowc, mut structs, mut of_avro) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        flowc.push(seconds(|| json.decode())?);
        structs.push(seconds(|| into_structs(&text))?);
        of_avro.push(seconds(|| avro.decode())?);
    }
    let rate = |times: Vec<f64>| RECORDS as f64 / 1e6 / median(times);
    let [flowc, structs, of_avro] = [flowc, structs, of_avro].map(rate);
    let line = |name: &str, rate: f64| row([name.to_owned(), format!("{rate:.2}")]);
    Ok(Section {
        title: "Records decoded".to_owned(),
        text: format!(
            "{RECORDS} flat records of {} bytes are decoded by one thread, into columns by flowc and into structs by `serde_json`, from memory \
             each. Neither keeps what it has decoded. Reading the file and digesting its bytes, which happens once, are no part of it.",
            text.len() / RECORDS
        ),
        head: row(["decoder", "M records a core-second"]),
        rows: vec![
            line("flowc, JSON into columns", flowc),
            line("serde_json, into structs", structs),
            line("flowc, Avro into columns", of_avro),
        ],
        findings: vec![
            Finding::at_least("JSON: at least 1 M records a core-second", flowc, 1.0, " M"),
            Finding::at_least("JSON: of serde_json's rate", flowc / structs, 2.0, "x"),
            Finding::at_least("Avro: at least 1.5 M records a core-second", of_avro, 1.5, " M"),
        ],
    })
}

/// Seconds of processor time of this thread.
fn seconds(work: impl FnOnce() -> Result<usize>) -> Result<f64> {
    let start = thread_seconds()?;
    black_box(work()?);
    Ok(thread_seconds()? - start)
}

/// Lines of JSON of about 150 bytes: the records of these numbers.
pub(super) fn bids(numbers: Range<usize>) -> String {
    let mut text = String::with_capacity(numbers.len() * 160);
    for n in numbers {
        let mixed = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let (auction, bidder, cents) = (mixed % 100_000, mixed % 7919, mixed % 1_000_000);
        let (at, won) = (1_700_000_000_000 + n, n % 3 == 0);
        let _ = writeln!(
            text,
            "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{}.{:02},\"channel\":\"channel-{}\",\
             \"url\":\"https://www.example.com/item.htm?query={mixed}\",\"at\":{at},\"won\":{won}}}",
            cents / 100,
            cents % 100,
            n % 50,
        );
    }
    text
}

fn columns() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("auction", DataType::Int64),
        field("bidder", DataType::Int64),
        field("price", DataType::Float64),
        field("channel", DataType::Utf8),
        field("url", DataType::Utf8),
        field("at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        field("won", DataType::Boolean),
    ]))
}

fn into_structs(text: &str) -> Result<usize> {
    let mut count = 0;
    for line in text.lines() {
        into_struct(line.as_bytes())?;
        count += 1;
    }
    Ok(count)
}

/// A file of records, as a source reads it.
struct JsonFile {
    file: flowc_sources::OpenFile,
    /// Found once, with their bytes: reading, cutting and digesting are no part of decoding.
    segments: Vec<(RawSegment, Option<AtHand>)>,
}

impl JsonFile {
    fn open(path: &Path, folder: &Path) -> Result<Self> {
        let spec = SourceSpec {
            location: Location::Files(vec![path.display().to_string()]),
            format: Format::JsonLines,
            compression: Compression::None,
            bad_rows: BadRows::Fail,
            declared: None,
            partitions: None,
        };
        let source: Box<dyn Source> = source(&spec, folder);
        let polled = source.poll(&Polled::default())?;
        let part = polled.parts.first().context("the file is not found")?;
        let within = |name: &str| folder.join(name);
        let folders = Folders { spool: folder.to_owned(), blocks: within("blocks"), schemas: within("schemas") };
        let file = source.open(part, &columns(), &folders)?;
        let segments = file.segments().collect::<Result<Vec<_>, _>>()?;
        Ok(Self { file, segments })
    }

    /// Hands on its batches, one after the other.
    fn for_each(&self, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let all: Vec<usize> = (0..columns().fields().len()).collect();
        for (segment, at_hand) in &self.segments {
            for batch in self.file.read(segment, at_hand.clone(), &all)? {
                take(batch?)?;
            }
        }
        Ok(())
    }

    fn decode(&self) -> Result<usize> {
        let mut count = 0;
        self.for_each(|batch| {
            count += black_box(batch).num_rows();
            Ok(())
        })?;
        Ok(count)
    }
}

/// The same rows as records of Avro.
struct Avro {
    schema: String,
    records: Vec<BinaryArray>,
}

impl Avro {
    fn new(json: &JsonFile) -> Result<Self> {
        let schema = schema_of_columns(&columns(), "bid")?;
        let mut encoder = AvroEncoder::new(&schema, None, &columns())?;
        let mut all: Vec<Vec<u8>> = Vec::with_capacity(RECORDS);
        json.for_each(|batch| Ok(encoder.encode(&batch, &mut |record| all.push(record.to_vec()))?))?;
        let records = all.chunks(BATCH).map(|chunk| BinaryArray::from_iter_values(chunk.iter())).collect();
        Ok(Self { schema, records })
    }

    fn decode(&self) -> Result<usize> {
        let all: Vec<usize> = (0..columns().fields().len()).collect();
        let mut decoder = AvroDecoder::new(&self.schema, None, &all)?;
        let mut count = 0;
        for values in &self.records {
            count += black_box(decoder.decode(values)?).num_rows();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_decoders_see_all_records() {
        let text = bids(0..100);
        assert_eq!(into_structs(&text).unwrap(), 100);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bids.jsonl");
        std::fs::write(&file, &text).unwrap();
        let json = JsonFile::open(&file, folder.path()).unwrap();
        assert_eq!(json.decode().unwrap(), 100);
        assert_eq!(Avro::new(&json).unwrap().decode().unwrap(), 100);
    }
}
