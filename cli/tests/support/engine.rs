//! A container engine, as a test sees it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// What the engine answers to a request.
pub(crate) fn engine(request: &str) -> String {
    let host = std::env::var("DOCKER_HOST").expect("DOCKER_HOST names the engine: run `cargo xtask test`");
    let mut stream = UnixStream::connect(host.strip_prefix("unix://").unwrap()).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Containers that flowc with this number started, whether they run or not.
pub(crate) fn containers_of(number: u32) -> usize {
    let all = engine("GET /containers/json?all=1");
    let (_, body) = all.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body.trim()).unwrap();
    let owner = format!("/{number}/");
    let is_owned = |container: &&serde_json::Value| {
        container["Labels"]["flowc.owner"].as_str().is_some_and(|label| label.contains(&owner))
    };
    body.as_array().unwrap().iter().filter(is_owned).count()
}
