//! The examples in `docs/language.md` and `docs/windows.md`: each is a pipeline that runs, but for those marked `no-run`.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use support::project::Project;

const FILES: [(&str, &str); 11] = [
    ("data/people.csv", "name,age,city\nAda,36,Rome\nBob,12,Oslo\n"),
    ("data/damaged.csv", "name,age\nAda,36\nBob,twelve\n"),
    ("data/cities.jsonl", "{\"name\":\"Rome\",\"country\":\"Italy\"}\n"),
    ("data/events-1.jsonl", "{\"id\":1}\n"),
    ("data/old/2020/a.jsonl.gz", ""),
    ("data/readings.txt", "# by hand\nday;degrees\nmon;3.5\ntue;-\n"),
    ("data/a.log", "one line\n"),
    ("data/views-1.csv", "at,page\n2024-03-01T12:00:00,a\n"),
    ("data/part-1.csv", "id\n1\n"),
    ("data/part-2.csv", "id\n2\n"),
    ("data/part-3.csv", "id\n3\n"),
];

#[test]
fn examples_run() {
    let text = [include_str!("../../docs/language.md"), include_str!("../../docs/windows.md")].concat();
    let project = Project::new();
    FILES.iter().for_each(|(name, text)| project.write(name, text));
    assert!(project.program("sh").args(["-c", GZIP]).status().unwrap().success());
    let examples: Vec<&str> = text.split("```kdl\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > 10);
    for (i, example) in examples.iter().enumerate() {
        let name = format!("example-{i}.kdl");
        project.write(&name, example);
        let told = project.shell(&format!("echo a name | flowc run -q {name}"));
        assert!(told.starts_with("exit 0\n"), "{example}\n{told}");
    }
}

/// A compressed file, made where it is needed.
const GZIP: &str = "echo '{\"id\":0}' | gzip -c > data/old/2020/a.jsonl.gz";
