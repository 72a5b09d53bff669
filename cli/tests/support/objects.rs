//! A server that speaks S3, as a test sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::project::Project;

/// The bucket of each server.
pub(crate) const BUCKET: &str = "sales";

/// A server in memory, with an empty bucket. It ends with this value.
pub(crate) struct ObjectServer {
    child: Child,
    /// Its URL.
    pub(crate) url: String,
}

/// Writes objects, from wherever it is.
pub(crate) struct ObjectWriter {
    url: String,
}

impl ObjectServer {
    /// Starts it, in an environment that `uv` makes the first time.
    pub(crate) fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
        let mut command = Command::new(std::env::var_os("FLOWC_UV").unwrap_or("uv".into()));
        command.args(["run", "--quiet", "--locked", "--project"]).arg(&folder);
        command.arg("python").arg(folder.join("server.py"));
        command.env("UV_PROJECT_ENVIRONMENT", Path::new(env!("CARGO_TARGET_TMPDIR")).join("objects"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let server = Self { child, url: url.trim().to_owned() };
        server.request("PUT", "", &[]);
        server
    }

    /// Writes an object.
    pub(crate) fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.writer().put(key, bytes);
    }

    /// What writes objects to it, for another thread.
    pub(crate) fn writer(&self) -> ObjectWriter {
        ObjectWriter { url: self.url.clone() }
    }

    /// Removes an object.
    pub(crate) fn delete(&self, key: &str) {
        self.request("DELETE", key, &[]);
    }

    /// What an object holds.
    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.request("GET", key, &[])
    }

    /// The keys that start so, without manifests.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.request("GET", &format!("?list-type=2&prefix={prefix}"), &[]);
        let keys = elements(&String::from_utf8(listed).unwrap(), "Key");
        keys.into_iter().filter(|key| !key.ends_with(".flowc-sink.json")).collect()
    }

    /// The keys of uploads that were neither completed nor aborted.
    pub(crate) fn uploads(&self) -> Vec<String> {
        elements(&String::from_utf8(self.request("GET", "?uploads=", &[])).unwrap(), "Key")
    }

    fn request(&self, method: &str, key: &str, body: &[u8]) -> Vec<u8> {
        self.writer().request(method, key, body)
    }
}

impl ObjectWriter {
    /// Writes an object.
    pub(crate) fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.request("PUT", key, bytes.as_ref());
    }

    fn request(&self, method: &str, key: &str, body: &[u8]) -> Vec<u8> {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!(
            "{method} /{BUCKET}/{key} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20261101/us-east-1/s3/aws4_request\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {key}: {head}");
        answer.split_off(end + 4)
    }
}

/// A project whose programs reach a service with credentials of the environment.
pub(crate) fn project(url: &str) -> Project {
    let mut project = Project::new();
    project.set("AWS_ENDPOINT_URL", url.to_owned());
    project.set("AWS_ACCESS_KEY_ID", "test".to_owned());
    project.set("AWS_SECRET_ACCESS_KEY", "hidden-secret".to_owned());
    project.set("AWS_REGION", "us-east-1".to_owned());
    project.set("NO_PROXY", "127.0.0.1".to_owned());
    project
}

/// Rows of so many bytes that an object has several parts.
pub(crate) fn many_rows(project: &Project) {
    let rows: String = (0..1_000_000_u64).map(|n| format!("{n},{}\n", n * 7919 % 1_000_003)).collect();
    project.write("in/rows.csv", &format!("n,m\n{rows}"));
    assert!(rows.len() > 12 << 20);
}

/// A pipeline from files to a sink.
pub(crate) fn pipeline(project: &Project, sink: &str) {
    let text = format!("source \"rows\" {{ files \"in/*.csv\" }}\nsink \"out\" {{ in \"rows\"; {sink} }}\n");
    project.write("flow.kdl", &text);
}

/// The texts of the elements of this name.
fn elements(text: &str, name: &str) -> Vec<String> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&start).skip(1).map(|rest| rest.split(&end).next().unwrap().to_owned()).collect()
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
