//! Components on other hosts: the results are the same, and a worker that is gone is told or replaced.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use support::components::{pipeline, rows};
use support::hosts::Hosts;
use support::processes::{kill, wait_until};
use support::project::Project;
use support::results::{outputs, units};

/// The hosts that workers and runs are on.
const WORKERS: usize = 0;
const RUNS: usize = 1;

/// A worker on its host. Dropping it ends it as an administrator would.
struct Worker {
    process: Child,
    address: String,
    file: PathBuf,
}

impl Worker {
    fn start(hosts: &Hosts, project: &Project, name: &str) -> Self {
        let file = project.root().join(name);
        let listen = format!("{}:0", hosts.address(WORKERS));
        let command =
            project.flowc(&["worker", "--listen", &listen, "--credentials", file.to_str().unwrap(), "--json"]);
        let mut process = hosts.on(WORKERS, &command).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let address = said["address"].as_str().unwrap().to_owned();
        assert!(address.starts_with(hosts.address(WORKERS)) && !address.ends_with(":0"), "{said}");
        Self { process, address, file }
    }

    /// Bytes that its host has sent.
    fn sent(hosts: &Hosts) -> u64 {
        let mut count = Command::new("cat");
        count.arg("/sys/class/net/cable/statistics/tx_bytes");
        let count = hosts.on(WORKERS, &count).output().unwrap();
        String::from_utf8_lossy(&count.stdout).trim().parse().unwrap()
    }

    fn number(&self) -> i32 {
        self.process.id().try_into().unwrap()
    }

    /// Whether it works on an invocation: each has a thread.
    fn is_at_work(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.number())).into_iter().flatten().flatten();
        let names = threads.map(|thread| std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default());
        names.into_iter().any(|name| name.starts_with("flowc-invocatio"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = Command::new("kill").arg(self.number().to_string()).stderr(Stdio::null()).status();
        let _ = self.process.wait();
    }
}

/// flowc on the other host, with these workers.
fn run(hosts: &Hosts, project: &Project, workers: &[&Worker]) -> Command {
    let mut command = project.flowc(&["run", "--json"]);
    for worker in workers {
        command.arg("--worker").arg(&worker.file);
    }
    let mut command = hosts.on(RUNS, &command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run that went well says last.
fn finished(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// What a run that went well wrote.
fn written(output: &Output) -> serde_json::Value {
    finished(output)["outputs"].clone()
}

/// How many rows each stage gave.
fn rows_of_stages(output: &Output) -> Vec<(String, u64)> {
    let stages = finished(output)["stages"].as_array().unwrap().clone();
    let rows =
        |stage: &serde_json::Value| (stage["name"].as_str().unwrap().to_owned(), stage["rows_out"].as_u64().unwrap());
    stages.iter().map(rows).collect()
}

#[test]
fn on_another_host_the_results_are_the_same() {
    let hosts = Hosts::new();
    let (local, remote) = (pipeline("isolate #false"), pipeline("isolate #false"));
    let due = outputs(&local);
    assert_eq!(due.as_array().unwrap().len(), 3);
    let workers = [Worker::start(&hosts, &remote, "one.json"), Worker::start(&hosts, &remote, "two.json")];
    let output = run(&hosts, &remote, &[&workers[0], &workers[1]]).output().unwrap();
    assert_eq!(written(&output), due);
    // Placing is no part of the plan, nor of keys: here, everything is there already.
    let status = remote.flowc(&["run", "--locked"]).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stderr).contains("6 stages: 5 cached, 1 passthrough"), "{status:?}");

    let files = workers.each_ref().map(|worker| worker.file.clone());
    for mut worker in workers {
        let number = worker.number().to_string();
        assert!(Command::new("kill").arg(number).status().unwrap().success());
        assert!(worker.process.wait().unwrap().success());
    }
    assert!(files.iter().all(|file| !file.exists()));
}

#[test]
fn neighbours_of_all_kinds_give_the_same_together() {
    let hosts = Hosts::new();
    let [local, remote] = [(); 2].map(|()| {
        let project = pipeline("isolate #false");
        // Without a sink in between: a stage with a table, one that only passes columns on, and one that combines.
        let text = std::fs::read_to_string(project.folder().join("flow.kdl")).unwrap();
        project.write("flow.kdl", &text.replace("sink \"named\" { in \"named\"; file \"named.csv\" }", ""));
        project
    });
    assert_eq!(units(&remote), 2);
    let worker = Worker::start(&hosts, &remote, "one.json");
    let output = run(&hosts, &remote, &[&worker]).output().unwrap();
    assert_eq!(written(&output), outputs(&local));
    assert_eq!(rows_of_stages(&output), rows_of_stages(&local.flowc(&["run", "--json"]).output().unwrap()));
}

/// Many words, few of them different, with what keeps the stage that finds them from the one that counts them.
fn words(isolate: &str) -> Project {
    let project = Project::new();
    project.write("words.txt", &"some words that are counted\n".repeat(100_000));
    let text = format!(
        "source \"lines\" {{ files \"words.txt\" }}
         stage \"words\" {{ in \"lines\"; std \"tokenize@1\"; {isolate}; config {{ column \"line\" }} }}
         stage \"counted\" {{ in \"words\"; std \"count@1\"; config {{ by \"word\" }} }}
         sink \"counted\" {{ in \"counted\"; file \"counted.csv\" }}"
    );
    project.write("flow.kdl", &text);
    project
}

#[test]
fn batches_do_not_come_back_between_neighbours() {
    let hosts = Hosts::new();
    let due = outputs(&words("isolate #false"));
    let [together, apart] = ["isolate #false", "isolate #true"].map(|isolate| {
        let project = words(isolate);
        let worker = Worker::start(&hosts, &project, "one.json");
        let before = Worker::sent(&hosts);
        assert_eq!(written(&run(&hosts, &project, &[&worker]).output().unwrap()), due);
        Worker::sent(&hosts) - before
    });
    assert!(together * 10 < apart, "{together} bytes came back, {apart} of stages that are kept apart");
}

#[test]
fn what_batches_are_made_of_changes_no_result() {
    let hosts = Hosts::new();
    let due = outputs(&pipeline("isolate #false"));
    for serialization in ["parquet", "json"] {
        let project = pipeline(&format!("isolate #false; serialization \"{serialization}\""));
        let worker = Worker::start(&hosts, &project, "one.json");
        assert_eq!(written(&run(&hosts, &project, &[&worker]).output().unwrap()), due, "{serialization}");
        // Without a worker it says something that can't be.
        project.write("cities.csv", "name,country\nRome,Italy\n");
        let output = project.flowc(&["run"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("runs in flowc's process, where batches are not serialised"), "{said}");
    }
}

#[test]
fn a_worker_that_is_killed_is_replaced_by_another() {
    let hosts = Hosts::new();
    let project = rows("isolate #false");
    let workers = [Worker::start(&hosts, &project, "one.json"), Worker::start(&hosts, &project, "two.json")];
    let running = run(&hosts, &project, &[&workers[0], &workers[1]]).spawn().unwrap();
    wait_until("a worker is at work", || workers[0].is_at_work());
    kill(workers[0].number());
    let output = running.wait_with_output().unwrap();
    assert_eq!(written(&output), outputs(&rows("isolate #false")));
    let log = project.flowc(&["log", "made"]).output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout);
    let due = format!("the worker at {} can't be reached", workers[0].address);
    assert!(log.contains(&due) && log.contains("trying again"), "{log}");
}

#[test]
fn a_worker_that_is_gone_is_named() {
    let hosts = Hosts::new();
    let project = rows("isolate #false");
    let worker = Worker::start(&hosts, &project, "one.json");
    let running = run(&hosts, &project, &[&worker]).spawn().unwrap();
    wait_until("the worker is at work", || worker.is_at_work());
    kill(worker.number());
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let due = format!("the worker at {} can't be reached", worker.address);
    assert!(said.contains(&due) && said.contains("one.json"), "{said}");

    // Without the file nothing begins.
    std::fs::remove_file(&worker.file).unwrap();
    let output = run(&hosts, &project, &[&worker]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the credentials of a worker can't be read"), "{said}");
}
