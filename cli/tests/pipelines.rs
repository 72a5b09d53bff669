//! The worked pipelines, run as their READMEs say: what is expected, from the cache, and the same with any number of
//! threads. See `pipelines/README.md`.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::project::Project;

#[test]
fn pipelines_give_what_is_expected() {
    for folder in folders() {
        let run = Run::new(&folder);
        run.run(&[]);
        run.check_rows();
        run.check_files();
    }
}

#[test]
fn a_second_run_has_nothing_to_do() {
    for folder in folders() {
        let run = Run::new(&folder);
        run.run(&[]);
        for stage in run.run(&[])["stages"].as_array().unwrap() {
            assert!(stage["status"] == "cached" || stage["status"] == "passthrough", "{}: {stage}", run.name());
            assert_eq!(stage["segments_ran"], 0, "{}: {stage}", run.name());
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    for folder in folders() {
        let (one, many) = (Run::new(&folder), Run::new(&folder));
        let (first, second) = (one.run(&["--jobs", "1"]), many.run(&["--jobs", "7"]));
        assert_eq!(first["outputs"], second["outputs"], "{}", one.name());
        assert!(one.written() == many.written(), "{}: the files differ", one.name());
    }
}

#[test]
fn another_model_runs_the_scoring_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/scoring");
    let run = Run::new(&folder);
    let first = run.run(&[]);
    let path = run.project.folder().join("model/churn.onnx");
    let model = fs::read(&path).unwrap();
    // A description of the model in its own format: other bytes, and the same scores.
    fs::write(&path, [&model[..], b"\x32\x03new"].concat()).unwrap();
    let second = run.run(&[]);
    assert_eq!(statuses(&second), [("known", "cached"), ("scored", "ran")]);
    assert_eq!(first["outputs"], second["outputs"]);
    fs::write(&path, model).unwrap();
    assert_eq!(statuses(&run.run(&[])), [("known", "cached"), ("scored", "cached")]);
}

#[test]
fn a_changed_column_runs_those_who_read_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/features");
    let run = Run::new(&folder);
    run.run(&[]);
    let path = run.project.folder().join("data/spring.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("kettle,", "mug,", 1)).unwrap();
    // The filter hands the new products on, and those who only pass them on do nothing.
    let due = [("told", "ran"), ("shape", "cached"), ("tone", "cached"), ("products", "ran")];
    assert_eq!(statuses(&run.run(&[])), due);
    assert!(fs::read_to_string(run.project.folder().join("out/features.csv")).unwrap().contains("mug"));
}

/// What became of each stage.
fn statuses(run: &Value) -> Vec<(&str, &str)> {
    let stages = run["stages"].as_array().unwrap().iter();
    stages.map(|stage| (stage["name"].as_str().unwrap(), stage["status"].as_str().unwrap())).collect()
}

/// The folders of the worked pipelines.
fn folders() -> Vec<PathBuf> {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
    let paths = fs::read_dir(house).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = paths.filter(|path| path.join("flow.kdl").is_file()).collect();
    folders.sort();
    assert!(folders.len() >= 3);
    folders
}

/// A copy of a pipeline in a project of its own.
struct Run<'a> {
    pipeline: &'a Path,
    project: Project,
}

impl<'a> Run<'a> {
    fn new(pipeline: &'a Path) -> Self {
        let project = Project::new();
        for (name, bytes) in files(pipeline) {
            if !name.starts_with("out/") && name != "flow.lock" {
                let path = project.folder().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
        Self { pipeline, project }
    }

    fn name(&self) -> String {
        self.pipeline.file_name().unwrap().to_string_lossy().into_owned()
    }

    fn has_kernels(&self) -> bool {
        let text = fs::read_to_string(self.pipeline.join("flow.kdl")).unwrap();
        text.contains("wgsl \"") || text.contains("std \"top-k@1\"")
    }

    /// Standard output of flowc with the test's arguments.
    fn flowc(&self, arguments: &[&str]) -> String {
        let own = fs::read_to_string(self.pipeline.join("test.args")).unwrap_or_default();
        let mut flowc = match self.has_kernels() {
            true => self.project.flowc_with_vulkan(arguments),
            false => self.project.flowc(arguments),
        };
        let output = flowc.args(own.lines()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: flowc {arguments:?}: {errors}", self.name());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it; gives the last event.
    fn run(&self, arguments: &[&str]) -> Value {
        let events = self.flowc(&[&["run", "--json"], arguments].concat());
        let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "run-finished", "{}", self.name());
        last
    }

    /// The files that were written, with their bytes; hidden ones are flowc's own.
    fn written(&self) -> BTreeMap<String, Vec<u8>> {
        let all = files(&self.project.folder().join("out"));
        all.into_iter().filter(|(name, _)| !name.split('/').any(|part| part.starts_with('.'))).collect()
    }

    /// Holds the rows of each sink or stream with a file in `expected` against it.
    fn check_rows(&self) {
        let names: Vec<String> = files(&self.pipeline.join("expected")).into_keys().collect();
        for name in names.iter().filter_map(|name| name.strip_suffix(".csv")) {
            let rows = self.flowc(&["show", name, "--csv", "--rows", "1000000"]);
            self.check(&format!("{name}.csv"), &rows);
        }
    }

    fn check_files(&self) {
        let names: String = self.written().keys().map(|name| format!("{name}\n")).collect();
        self.check("files.txt", &names);
    }

    fn check(&self, name: &str, found: &str) {
        let path = self.pipeline.join("expected").join(name);
        if std::env::var_os("FLOWC_BLESS").is_some() {
            fs::write(&path, found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "{} is not as expected; FLOWC_BLESS=1 rewrites it", path.display());
    }
}

/// All files below a folder by their `/`-separated names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}
