//! `flowc serve`, while a test asks it.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::project::Project;

/// A server of a project. Dropping it ends it as Ctrl-C does.
pub(crate) struct Server {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it said when it began.
    pub(crate) said: Value,
}

impl Server {
    /// Starts a server on a free port, and waits until it listens.
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Self {
        let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut command = project.flowc(&[&["serve", "--json"], listen, arguments].concat());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it does not serve").unwrap();
        Self { process, lines, said: serde_json::from_str(&first).unwrap() }
    }

    /// Where it listens.
    pub(crate) fn uri(&self) -> &str {
        self.said["uri"].as_str().unwrap()
    }

    /// Ends it, and gives what it told of queries.
    pub(crate) fn end(mut self) -> Vec<Value> {
        self.interrupt();
        assert!(self.process.wait().unwrap().success());
        self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }

    fn interrupt(&self) {
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).stderr(Stdio::null()).status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.interrupt();
        let _ = self.process.wait();
    }
}
