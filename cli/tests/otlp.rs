//! Spans reach a collector over OTLP when the standard variables are set, and only then.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

/// A collector: takes each request's path and body, answers with `status`.
fn collector(status: &'static str) -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if let Some(request) = answer(stream, status) {
                let _ = sender.send(request);
            }
        }
    });
    (address, receiver)
}

fn answer(mut stream: TcpStream, status: &str) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let length = lines.filter_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned)).last();
    let mut body = vec![0; length?.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()?;
    Some((path, body))
}

fn init(endpoint: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_flowc"))
        .args(["init", "new"])
        .current_dir(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .output()
        .expect("flowc runs");
    assert!(output.status.success());
    (folder, String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn spans_reach_the_collector() {
    let (endpoint, requests) = collector("200 OK");
    let (_folder, stderr) = init(&endpoint);
    let (path, body) = requests.recv().expect("a request");
    assert_eq!(path, "/v1/traces");
    let holds = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("flowc") && holds("command") && holds("init"), "the span and its field");
    assert_eq!(stderr, "");
}

#[test]
fn a_collector_that_refuses_is_a_warning_and_no_failure() {
    let (endpoint, _requests) = collector("400 Bad Request");
    let (_folder, stderr) = init(&endpoint);
    assert!(stderr.contains("warning: spans could not be sent: the collector answered 400"), "{stderr}");
}

#[test]
fn a_collector_that_is_not_there_is_a_warning_and_no_failure() {
    let (_folder, stderr) = init("http://127.0.0.1:9");
    assert!(stderr.contains("warning: spans could not be sent"), "{stderr}");
}
