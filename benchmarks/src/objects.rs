//! Parquet from a server that speaks S3.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes};
use flowc_objects::{Access, Bucket, Client, Object, Service};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::Bench;
use super::measure::{by_turns, measure, wall};
use super::project::{Project, rows_of_three};
use super::report::{Finding, Section, ms, row};

const ROWS: u64 = 16_000_000;
/// A small part of these are read, too: starting programs is most of that.
const SMALL: u64 = 4;
const ROUNDS: usize = 5;
/// Bytes of a range that the peer asks for.
const RANGE: u64 = 8 << 20;
/// Bytes at the end of the object in which the peer looks for the footer.
const TAIL: u64 = 1 << 20;

/// A first run that reads Parquet of a bucket, against `object_store` alone.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let warm = with_fast_code(bench)?;
    let [small, large] = [rows / SMALL, rows].map(|rows| measured(bench, &warm, rows));
    let (small, large) = (small?, large?);
    let line = |name: &str, times: &Times, seconds: f64| {
        row([
            name.to_owned(),
            times.megabytes(),
            ms(seconds),
            format!("{:.0} MB/s", times.bytes as f64 / seconds / 1e6),
        ])
    };
    let lines = |times: &Times| {
        let Times { flowc, one, all, .. } = times;
        [
            line("flowc", times, *flowc),
            line("object_store and parquet, one thread", times, *one),
            line("object_store and parquet, a thread per core", times, *all),
        ]
    };
    Ok(Section {
        title: "Reading Parquet of a bucket".to_owned(),
        text: format!(
            "{rows} rows of three columns, and a quarter as many, from a server in the benchmark's process that speaks S3 and sends what the page cache has. \
             flowc runs in a store without results: it finds the object, fetches and decodes it, hashes the columns, and a stage drops all rows, whose \
             code was compiled before. The peer fetches row groups by `object_store`, in ranges of 8 MiB, four at a time, and decodes them by `parquet`; \
             it hashes and keeps nothing."
        ),
        head: row(["who reads", "Parquet", "wall time", "rate"]),
        rows: [lines(&small), lines(&large)].concat(),
        findings: vec![
            Finding::at_least("at least 0.9x of object_store alone, in one thread", large.one / large.flowc, 0.9, "x"),
            Finding::at_least(
                "at least 0.9x of object_store alone, in a thread per core",
                large.all / large.flowc,
                0.9,
                "x",
            ),
            Finding::at_least(
                "a quarter of the rows: at least 0.9x of it in one thread",
                small.one / small.flowc,
                0.9,
                "x",
            ),
        ],
    })
}

/// What reading an object took, in seconds.
struct Times {
    bytes: u64,
    flowc: f64,
    /// The peer, in one thread.
    one: f64,
    /// The peer, in a thread per core.
    all: f64,
}

impl Times {
    fn megabytes(&self) -> String {
        format!("{} MB", self.bytes / 1_000_000)
    }
}

/// A project whose store has the code of the stage as it is compiled once it has worked for some time: with its results for other rows.
fn with_fast_code(bench: &Bench<'_>) -> Result<Project> {
    let warm = Project::new(bench, "warm")?;
    warm.write("rows.csv", format!("n\n{}", (7..4_000_000).map(|n| format!("{n}\n")).collect::<String>()))?;
    let stage = |n: u32| {
        format!(
            "stage \"none-{n}\" {{ in \"rows\"; std \"filter@1\"; config {{ where {{ column \"n\"; op \"<\"; value -{n} }} }} }}\n"
        )
    };
    let sink = |n: u32| format!("sink \"out-{n}\" {{ in \"none-{n}\"; file \"out/{n}.csv\" }}\n");
    let text: String = (1..=24).map(|n| stage(n) + &sink(n)).collect();
    warm.write("flow.kdl", format!("source \"rows\" {{ files \"rows.csv\" }}\n{text}"))?;
    warm.run()?;
    Ok(warm)
}

/// Reads so many rows of a bucket.
fn measured(bench: &Bench<'_>, warm: &Project, rows: u64) -> Result<Times> {
    let project = Project::new(bench, "read")?;
    let file = parquet_file(bench, rows)?;
    let bytes = std::fs::metadata(&file)?.len();
    let url = serve(file)?;
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"s3://bench/rows.parquet\" }\n\
         stage \"none\" { in \"rows\"; std \"filter@1\"; config { where { column \"n\"; op \"<\"; value 0 } } }\n\
         sink \"out\" { in \"none\"; file \"out/none.csv\" }\n",
    )?;
    let reach = |mut command: Command| {
        command.env("AWS_ENDPOINT_URL", &url).env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        command.env("AWS_REGION", "us-east-1").env("NO_PROXY", "127.0.0.1");
        command
    };
    let alone = |threads: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "flowc-benchmarks".into()));
        command.args(["read-object", &url, &threads.to_string()]);
        reach(command)
    };
    let cores = thread::available_parallelism()?.get();
    let [flowc, one, all] = by_turns(
        ROUNDS,
        [
            &mut || {
                project.take_store_of(warm)?;
                measure(&mut reach(project.command_for(&["run", "--quiet"])))
            },
            &mut || measure(&mut alone(1)),
            &mut || measure(&mut alone(cores)),
        ],
    )?;
    Ok(Times { bytes, flowc: wall(&flowc), one: wall(&one), all: wall(&all) })
}

/// The peer, in a process of its own: fetches the object's row groups and decodes them, as many at once as `threads` says.
pub(crate) fn read_alone(url: &str, threads: &str) -> Result<()> {
    let access = Access {
        service: Service::S3,
        bucket: "bench".to_owned(),
        region: None,
        endpoint: Some(url.to_owned()),
        anonymous: false,
        patience: std::time::Duration::from_secs(10),
    };
    let client = Client::open(&access)?;
    let object = client.find("rows.parquet")?;
    let tail = fetched(&client, &object, object.size.saturating_sub(TAIL)..object.size)?;
    let metadata = ArrowReaderMetadata::load(&tail, ArrowReaderOptions::new())?;
    let (next, rows) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || -> Result<()> {
        while let Some((number, group)) =
            metadata.metadata().row_groups().iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
        {
            let ranges = group.columns().iter().map(|column| column.byte_range());
            let range = ranges
                .map(|(start, length)| start..start + length)
                .reduce(|one, other| one.start.min(other.start)..one.end.max(other.end));
            let part = fetched(&client, &object, range.unwrap_or_default())?;
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(part, metadata.clone());
            for batch in reader.with_row_groups(vec![number]).with_batch_size(8192).build()? {
                rows.fetch_add(batch?.num_rows(), Ordering::Relaxed);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let all: Vec<_> =
            (0..threads.parse::<usize>().context("the number of threads")?).map(|_| scope.spawn(work)).collect();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    println!("{}", rows.into_inner());
    Ok(())
}

/// A part of an object, fetched in ranges, four at a time.
fn fetched(client: &Client, object: &Object, range: Range<u64>) -> Result<Part> {
    let ranges = range.clone().step_by(RANGE as usize).map(|at| at..(at + RANGE).min(range.end));
    let mut content = vec![0; usize::try_from(range.end - range.start)?];
    client.read(object, &ranges.collect::<Vec<_>>(), &mut |start, bytes| {
        let start = usize::try_from(start - range.start).unwrap_or(usize::MAX);
        let place = content.get_mut(start..start + bytes.len()).ok_or(io::ErrorKind::InvalidData)?;
        place.copy_from_slice(&bytes);
        Ok(())
    })??;
    Ok(Part { start: range.start, end: object.size, content: content.into() })
}

/// Bytes of a file from a place on.
struct Part {
    start: u64,
    /// Bytes of the file.
    end: u64,
    content: Bytes,
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.end
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let within = usize::try_from(start.saturating_sub(self.start)).unwrap_or(usize::MAX);
        Ok(self.content.slice(within.min(self.content.len())..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let within = usize::try_from(start.saturating_sub(self.start)).unwrap_or(usize::MAX);
        match within.checked_add(length).filter(|end| *end <= self.content.len()) {
            Some(end) => Ok(self.content.slice(within..end)),
            None => Err(ParquetError::EOF("these bytes were not fetched".to_owned())),
        }
    }
}

/// A file of Parquet, written by flowc.
fn parquet_file(bench: &Bench<'_>, rows: u64) -> Result<PathBuf> {
    let project = Project::new(bench, "made")?;
    project.write("rows.csv", rows_of_three(rows))?;
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"rows.csv\" }\nsink \"out\" { in \"rows\"; file \"rows.parquet\" }\n",
    )?;
    project.run()?;
    Ok(project.folder().join("rows.parquet"))
}

/// Serves one object, whatever it is called. Gives the URL; the server ends with the process.
fn serve(file: PathBuf) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let file = Arc::new(file);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let file = file.clone();
            thread::spawn(move || answer_all(stream, &file));
        }
    });
    Ok(url)
}

/// Answers the requests of a connection.
fn answer_all(mut stream: TcpStream, file: &Path) -> Result<()> {
    let open = File::open(file)?;
    let size = open.metadata()?.len();
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    loop {
        let Some(first) = lines.next().transpose()? else { return Ok(()) };
        let mut range = None;
        for line in lines.by_ref() {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some((start, end)) = line.strip_prefix("range: bytes=").and_then(|range| range.split_once('-')) {
                range = Some((start.parse::<u64>()?, end.parse::<u64>()? + 1));
            }
        }
        let common = "ETag: \"one\"\r\nLast-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n";
        let (start, end) = range.unwrap_or((0, size));
        if start > end || end > size {
            bail!("a range that is none");
        }
        let status = match range {
            Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}", end - 1),
            None => "200 OK".to_owned(),
        };
        write!(stream, "HTTP/1.1 {status}\r\n{common}Content-Length: {}\r\n\r\n", end - start)?;
        if first.starts_with("GET") {
            let mut bytes = vec![0; usize::try_from(end - start)?];
            open.read_exact_at(&mut bytes, start)?;
            stream.write_all(&bytes)?;
        }
    }
}
