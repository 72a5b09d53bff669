//! The examples in the standard stages' READMEs. A block with a file's name after its kind is that file, a block of KDL
//! is a pipeline, and the block of text after it is what the pipeline prints.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::{Path, PathBuf};

use support::project::Project;

/// The head of a block, what comes after the three ticks, and its lines.
type Block<'a> = (&'a str, &'a str);

fn blocks(text: &str) -> Vec<Block<'_>> {
    let inside = text.split("```").skip(1).step_by(2);
    inside.map(|block| block.split_once('\n').unwrap()).collect()
}

fn readmes() -> Vec<PathBuf> {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib-stages");
    let folders = std::fs::read_dir(house).unwrap().map(|entry| entry.unwrap().path());
    let mut readmes: Vec<_> = folders.map(|folder| folder.join("README.md")).filter(|path| path.is_file()).collect();
    readmes.sort();
    readmes
}

#[test]
fn every_example_prints_what_is_stated() {
    let readmes = readmes();
    assert!(readmes.len() >= 6, "{readmes:?}");
    for readme in readmes {
        let text = std::fs::read_to_string(&readme).unwrap();
        let (project, mut checked) = (Project::new(), 0);
        let blocks = blocks(&text);
        for (head, file) in &blocks {
            if let Some((_, name)) = head.split_once(' ') {
                project.write(name, file);
            }
        }
        for pair in blocks.windows(2).filter(|pair| pair[0].0 == "kdl") {
            let (("kdl", pipeline), ("text", stated)) = (pair[0], pair[1]) else {
                panic!("{}: what is printed must come after a pipeline", readme.display());
            };
            project.write("flow.kdl", pipeline);
            let output = project.flowc(&["run", "-q"]).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {told}", readme.display());
            assert_eq!(String::from_utf8(output.stdout).unwrap(), stated, "{}", readme.display());
            checked += 1;
        }
        assert!(checked > 0, "{} has no example", readme.display());
    }
}
