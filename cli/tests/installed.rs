//! An installation brings the machine code of the standard stages: the first run compiles nothing.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::{Path, PathBuf};

use support::project::Project;

/// flowc, installed in a folder, and a project.
struct Installation<'a> {
    project: &'a Project,
    prefix: PathBuf,
}

impl<'a> Installation<'a> {
    fn new(project: &'a Project, prefix: PathBuf) -> Self {
        let programs = prefix.join("bin");
        std::fs::create_dir_all(&programs).unwrap();
        for built in [env!("CARGO_BIN_EXE_flowc"), env!("CARGO_BIN_EXE_flowc-engine")].map(Path::new) {
            let program = programs.join(built.file_name().unwrap());
            let _ = std::fs::remove_file(&program);
            std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).unwrap();
        }
        Self { project, prefix }
    }

    /// What it prints.
    fn flowc(&self, arguments: &[&str]) -> String {
        let output = self.project.program(self.prefix.join("bin/flowc")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many components a run over an empty store compiles.
    fn compiled(&self, store: &str) -> usize {
        let events = self.flowc(&["run", "--json", "--store", store]);
        assert!(events.lines().last().unwrap().contains("\"event\":\"run-finished\""), "{events}");
        events.matches("\"event\":\"compile-started\"").count()
    }

    /// How many files of machine code a store holds.
    fn kept(&self, store: &str) -> u64 {
        let info: serde_json::Value =
            serde_json::from_str(&self.flowc(&["store", "info", "--json", "--store", store])).unwrap();
        info["compiled"]["files"].as_u64().unwrap()
    }
}

#[test]
fn the_first_run_of_an_installation_compiles_nothing() {
    let project = Project::new();
    // It stays: to compile all stages takes long.
    let installation = Installation::new(&project, Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed"));
    installation.flowc(&["init"]);
    let folder = installation.flowc(&["precompile"]);
    assert!(folder.ends_with("installed/lib/flowc\n"), "{folder}");
    assert_eq!((installation.compiled("after"), installation.kept("after")), (0, 0));
    // The same program elsewhere has none.
    let moved = Installation::new(&project, project.root().join("moved"));
    assert!(moved.compiled("before") > 0 && moved.kept("before") > 0);
    let results = |store: &str| installation.flowc(&["show", "counts", "--json", "--store", store]);
    assert_eq!(results("before"), results("after"));
}
