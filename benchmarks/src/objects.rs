//! Parquet from a server that speaks S3.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flowc_objects::{Access, Bucket, Client, Service};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Bench;
use super::measure::{by_turns, measure, wall};
use super::project::{Project, rows_of_three};
use super::report::{Finding, Section, ms, row};

const ROWS: u64 = 4_000_000;
const ROUNDS: usize = 5;
/// Bytes of a range that the peer asks for.
const RANGE: u64 = 8 << 20;

/// A first run that reads Parquet of a bucket, against `object_store` alone.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
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
    let warm = Project::new(bench, "warm")?;
    warm.write("in/a.csv", "n\n1\n")?;
    warm.write(
        "flow.kdl",
        "source \"rows\" { files \"in/a.csv\" }\n\
         stage \"none\" { in \"rows\"; std \"filter@1\"; config { where { column \"n\"; op \"<\"; value 0 } } }\n\
         sink \"out\" { in \"none\"; file \"out/none.csv\" }\n",
    )?;
    warm.run()?;
    let reach = |mut command: Command| {
        command.env("AWS_ENDPOINT_URL", &url).env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        command.env("AWS_REGION", "us-east-1").env("NO_PROXY", "127.0.0.1");
        command
    };
    let alone = || {
        let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "flowc-benchmarks".into()));
        command.args(["read-object", &url, &bytes.to_string()]);
        reach(command)
    };
    let [flowc, peer] = by_turns(
        ROUNDS,
        [
            &mut || {
                project.take_store_of(&warm)?;
                measure(&mut reach(project.command_for(&["run", "--quiet"])))
            },
            &mut || measure(&mut alone()),
        ],
    )?;
    let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
    let line = |name: &str, seconds: f64| row([name.to_owned(), ms(seconds), format!("{:.0} MB/s", rate(seconds))]);
    let ratio = wall(&peer) / wall(&flowc);
    Ok(Section {
        title: "Reading Parquet of a bucket".to_owned(),
        text: format!(
            "{rows} rows of three columns, {} MB of Parquet, from a server in the benchmark's process that speaks S3 and sends what the page \
             cache has. flowc runs in a store without results: it finds the object, fetches and decodes it, hashes the columns, and a \
             stage drops all rows. The peer fetches all of the object by `object_store`, in ranges of 8 MiB, four at a time, and decodes it by \
             `parquet`, in one thread; it hashes and keeps nothing.",
            bytes / 1_000_000
        ),
        head: row(["who reads", "wall time", "rate"]),
        rows: vec![line("flowc", wall(&flowc)), line("object_store and parquet", wall(&peer))],
        findings: vec![Finding::at_least("at least 0.9x of object_store alone", ratio, 0.9, "x")],
    })
}

/// The peer, in a process of its own.
pub(crate) fn read_alone(url: &str, size: &str) -> Result<()> {
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
    let size: u64 = size.parse().context("the size")?;
    let ranges: Vec<Range<u64>> = (0..size).step_by(RANGE as usize).map(|at| at..(at + RANGE).min(size)).collect();
    let mut content = vec![0; usize::try_from(size)?];
    client.read(&object, &ranges, &mut |start, bytes| {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let place = content.get_mut(start..start + bytes.len()).ok_or(io::ErrorKind::InvalidData)?;
        place.copy_from_slice(&bytes);
        Ok(())
    })??;
    let mut rows = 0;
    for batch in ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content))?.with_batch_size(8192).build()? {
        rows += batch?.num_rows();
    }
    println!("{rows}");
    Ok(())
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
