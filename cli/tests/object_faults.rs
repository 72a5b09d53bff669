//! Services of object stores that are busy, cut answers off, lose them or refuse: what sinks and sources make of it.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use support::http_gate::{HttpGate, Verdict};
use support::objects::{ObjectServer, many_rows, pipeline, project};
use support::project::Project;

/// Runs, and succeeds. Gives what was said, on one line: messages are wrapped where the terminal ends.
fn run(project: &Project) -> String {
    let said = project.shell("flowc run");
    assert!(said.starts_with("exit 0"), "{said}");
    said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// What the objects of a folder hold.
fn contents(server: &ObjectServer) -> Vec<String> {
    server.keys("out/").iter().map(|key| String::from_utf8(server.get(key)).unwrap()).collect()
}

#[test]
fn a_service_that_is_too_busy_is_asked_again() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    server.put("in/a.csv", "n\n1\n");
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"s3://sales/in/*.csv\" }\n\
         sink \"out\" { in \"rows\"; directory \"s3://sales/out\"; format \"csv\" }\n",
    );
    let count = AtomicUsize::new(0);
    let slow = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    gate.set(move |asked| match count.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => Verdict::Answer("503 Slow Down", slow.to_owned()),
        1 if asked.method == "PUT" => Verdict::Cut,
        _ => Verdict::Pass,
    });
    run(&project);
    assert_eq!(contents(&server), ["n\n1\n"]);
}

#[test]
fn an_answer_that_is_lost_is_no_failure() {
    for sink in ["file \"s3://sales/out/rows.csv\"", "directory \"s3://sales/out\"; format \"csv\""] {
        let server = ObjectServer::new();
        let gate = HttpGate::new(&server.url);
        let project = project(&gate.url);
        project.write("in/rows.csv", "n\n1\n");
        pipeline(&project, sink);
        // Every write is done, and the answer is lost the first time: the request that is made again finds it changed.
        let done = Mutex::new(Vec::<String>::new());
        gate.set(move |asked| {
            let is_new = asked.method == "PUT" && {
                let mut done = done.lock().unwrap();
                let count = done.iter().filter(|target| **target == asked.target).count();
                done.push(asked.target.clone());
                count % 2 == 0
            };
            if is_new { Verdict::PassAndCut } else { Verdict::Pass }
        });
        run(&project);
        let keys = server.keys("out/");
        assert_eq!((keys.len(), server.get(&keys[0])), (1, b"n\n1\n".to_vec()));
        run(&project);
        assert_eq!(server.keys("out/"), keys);
    }
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_an_upload_is_made_again() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    many_rows(&project);
    pipeline(&project, "file \"s3://sales/out.csv\"");
    let first = AtomicBool::new(true);
    gate.set(move |asked| match asked.target.contains("partNumber=2") && first.swap(false, Ordering::SeqCst) {
        true => Verdict::Cut,
        false => Verdict::Pass,
    });
    run(&project);
    assert_eq!(server.get("out.csv"), std::fs::read(project.folder().join("in/rows.csv")).unwrap());
    assert_eq!(server.uploads(), [""; 0]);
}

#[test]
fn what_is_cut_in_the_middle_and_changes_nothing_is_asked_for_again() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    for name in ["a", "b"] {
        server.put(&format!("in/{name}.csv"), format!("n\n{}", "1\n".repeat(1000)));
    }
    project.write(
        "flow.kdl",
        "source \"rows\" { files \"s3://sales/in/*.csv\" }\n\
         sink \"out\" { in \"rows\"; directory \"s3://sales/out\"; format \"csv\" }\n",
    );
    // Each answer is whole the second time.
    let known = Mutex::new(BTreeSet::new());
    gate.set(move |asked| match asked.method == "GET" && known.lock().unwrap().insert(asked.target.clone()) {
        true => Verdict::CutInTheMiddle,
        false => Verdict::Pass,
    });
    run(&project);
    assert_eq!(contents(&server), vec![format!("n\n{}", "1\n".repeat(1000)); 2]);
    let seen = gate.seen();
    let listings = |of: &str| seen.iter().filter(|asked| asked.contains("list-type=2") && asked.contains(of)).count();
    assert!(listings("prefix=in") >= 2 && listings("prefix=out") >= 2, "{seen:?}");
}

#[test]
fn what_cannot_be_deleted_is_told_and_deleted_by_the_next_run() {
    let server = ObjectServer::new();
    let gate = HttpGate::new(&server.url);
    let project = project(&gate.url);
    let write = |row: &str| {
        ["a", "b"].iter().for_each(|name| project.write(&format!("in/{name}.csv"), &format!("n\n{row}\n")));
    };
    write("1");
    pipeline(&project, "directory \"s3://sales/out\"; format \"csv\"");
    run(&project);
    write("2");
    let denied = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>";
    gate.set(move |asked| match asked.target.ends_with("?delete") {
        true => Verdict::Answer("403 Forbidden", denied.to_owned()),
        false => Verdict::Pass,
    });
    let due =
        "warning: sink `out`: 2 objects of earlier runs could not be deleted in s3://sales/out: permission denied";
    let said = run(&project);
    assert!(said.contains(due) && said.contains("the next run tries again"), "{said}");
    assert_eq!(contents(&server).len(), 4);
    // Nothing is to be written, and it is tried again.
    let said = run(&project);
    assert!(said.contains(due) && !said.contains("wrote out"), "{said}");
    // A run that writes has more to delete.
    write("3");
    let said = run(&project);
    assert!(said.contains("4 objects of earlier runs could not be deleted"), "{said}");
    gate.open();
    let said = run(&project);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(contents(&server), ["n\n3\n"; 2]);
    gate.seen();
    run(&project);
    assert_eq!(gate.seen(), ["GET /sales?list-type=2&prefix=out%2F"]);
}
