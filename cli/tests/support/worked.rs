//! The worked pipelines, run in projects of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::project::Project;

/// The folder of a pipeline with what its topics hold.
pub(crate) const TOPICS: &str = "topics";

/// The folder of a pipeline with what its database holds.
pub(crate) const DATABASE: &str = "database";

/// The folders of the worked pipelines, but for those that read topics or databases.
pub(crate) fn folders() -> Vec<PathBuf> {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
    let paths = fs::read_dir(house).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        path.join("flow.kdl").is_file() && ![TOPICS, DATABASE].iter().any(|folder| path.join(folder).is_dir())
    };
    let mut folders: Vec<_> = paths.filter(is_one).collect();
    folders.sort();
    assert!(folders.len() >= 3);
    folders
}

/// A copy of a pipeline in a project of its own.
pub(crate) struct Run<'a> {
    pipeline: &'a Path,
    pub(crate) project: Project,
    arguments: Vec<String>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(pipeline: &'a Path) -> Self {
        let project = Project::new();
        for (name, bytes) in files(pipeline) {
            if !name.starts_with("out/") && name != "flow.lock" {
                let path = project.folder().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
        let arguments = fs::read_to_string(pipeline.join("test.args")).unwrap_or_default();
        let arguments = arguments.lines().map(str::to_owned).collect();
        Self { pipeline, project, arguments }
    }

    pub(crate) fn name(&self) -> String {
        self.pipeline.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// Gives it more arguments in every run.
    pub(crate) fn with(mut self, arguments: &[String]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }

    fn has_kernels(&self) -> bool {
        let text = fs::read_to_string(self.pipeline.join("flow.kdl")).unwrap();
        text.contains("wgsl \"") || text.contains("std \"top-k@1\"")
    }

    /// Standard output of flowc with the test's arguments.
    fn flowc(&self, arguments: &[&str]) -> String {
        let mut flowc = match self.has_kernels() {
            true => self.project.flowc_with_vulkan(arguments),
            false => self.project.flowc(arguments),
        };
        let output = flowc.args(&self.arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: flowc {arguments:?}: {errors}", self.name());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it; gives the last event.
    pub(crate) fn run(&self, arguments: &[&str]) -> Value {
        let events = self.flowc(&[&["run", "--json"], arguments].concat());
        let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "run-finished", "{}", self.name());
        last
    }

    /// The files that were written, with their bytes; hidden ones are flowc's own.
    pub(crate) fn written(&self) -> BTreeMap<String, Vec<u8>> {
        let all = files(&self.project.folder().join("out"));
        all.into_iter().filter(|(name, _)| !name.split('/').any(|part| part.starts_with('.'))).collect()
    }

    /// Holds the rows of each sink or stream with a file in `expected` against it.
    pub(crate) fn check_rows(&self) {
        let names: Vec<String> = files(&self.pipeline.join("expected")).into_keys().collect();
        for name in names.iter().filter_map(|name| name.strip_suffix(".csv")) {
            let rows = self.flowc(&["show", name, "--csv", "--rows", "1000000"]);
            self.check(&format!("{name}.csv"), &rows);
        }
    }

    pub(crate) fn check_files(&self) {
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
