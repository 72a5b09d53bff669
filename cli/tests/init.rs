//! `flowc init --stage`, from the binary alone in an empty folder: what it writes runs, passes its test, and can be
//! edited.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::project::Project;

/// A project with a place for builds that stays, and the tester's Rust toolchain.
struct Workshop(Project);

impl Workshop {
    fn new() -> Self {
        Self(Project::new())
    }

    fn program(&self, program: &str) -> Command {
        let home = std::env::home_dir().unwrap();
        let own = |name: &str, folder: &str| std::env::var_os(name).map_or_else(|| home.join(folder), PathBuf::from);
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("init");
        let mut command = self.0.program(program);
        command.env("RUSTUP_HOME", own("RUSTUP_HOME", ".rustup")).env("CARGO_HOME", own("CARGO_HOME", ".cargo"));
        command.env("FLOWC_STORE", kept.join("store")).env("CARGO_TARGET_DIR", kept.join("target"));
        command.env_remove("VIRTUAL_ENV");
        command
    }

    /// Does it, and gives what it printed.
    fn succeeds(&self, program: &str, arguments: &[&str], folder: &str) -> String {
        let mut command = self.program(program);
        let output = command.args(arguments).current_dir(self.0.folder().join(folder)).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {told}{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    }

    fn flowc(&self, arguments: &[&str]) -> String {
        self.succeeds(env!("CARGO_BIN_EXE_flowc"), arguments, "")
    }

    /// Fails at it, and gives all that it printed.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.program(env!("CARGO_BIN_EXE_flowc")).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?} goes well");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.folder().join(name)).unwrap()
    }

    /// Writes one text in the place of another, which is there.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no `{from}`");
        self.0.write(name, &text.replace(from, to));
    }

    /// The lines of the texts that `flowc init` writes, in the letters that the stage gives.
    fn expected(&self, letters: impl Fn(&str) -> String) -> Vec<String> {
        let texts = self.read("text/hill.txt") + &self.read("text/sea.txt");
        texts.lines().map(letters).collect()
    }

    fn rows(&self, sink: &str) -> Vec<String> {
        let lines = self.read(sink);
        lines.lines().skip(1).map(|line| line.trim_matches('"').to_owned()).collect()
    }
}

fn works_at_once(language: &str, code: &str, edit: (&str, &str), test: (&str, &[&str])) -> Workshop {
    let workshop = Workshop::new();
    workshop.flowc(&["init", "--stage", language, "stages/shout"]);
    workshop.flowc(&["run", "-q"]);
    assert_eq!(workshop.rows("out/shout.csv"), workshop.expected(str::to_uppercase));
    workshop.succeeds(test.0, test.1, "stages/shout");
    // What the test leaves in the folder is no code, and so no reason to run.
    let told = workshop.flowc(&["run", "--json"]);
    assert!(told.lines().last().unwrap().contains("\"status\":\"cached\""), "{told}");

    workshop.edit(&format!("stages/shout/{code}"), edit.0, edit.1);
    workshop.flowc(&["run", "-q"]);
    assert_eq!(workshop.rows("out/shout.csv"), workshop.expected(str::to_lowercase));

    // A second stage: its lines are printed, and work as they are.
    let printed = workshop.flowc(&["init", "--stage", language, "again"]);
    let lines = &printed[printed.find("stage \"again\"").unwrap()..printed.find("next:").unwrap()];
    let pipeline = workshop.read("flow.kdl");
    workshop.0.write("flow.kdl", &format!("{pipeline}\n{lines}"));
    workshop.flowc(&["run", "-q"]);
    assert_eq!(workshop.rows("out/again.csv"), workshop.expected(str::to_uppercase));

    // The SDK can be brought anew, and nothing else is touched.
    std::fs::remove_dir_all(workshop.0.folder().join("again/flowc-sdk")).unwrap();
    workshop.edit(&format!("again/{code}"), edit.0, edit.1);
    workshop.flowc(&["init", "--stage", language, "again"]);
    workshop.flowc(&["run", "-q"]);
    assert_eq!(workshop.rows("out/again.csv"), workshop.expected(str::to_lowercase));
    workshop
}

#[test]
fn a_stage_in_rust_works_at_once() {
    let test: [&str; 3] = ["test", "--locked", "--quiet"];
    let workshop = works_at_once("rust", "src/lib.rs", ("to_uppercase", "to_lowercase"), ("cargo", &test));

    // Mistakes are told once, with what to do.
    workshop.edit("again/src/lib.rs", "str::to_lowercase", "str::to_lower_case");
    let told = workshop.fails(&["run"]);
    assert_eq!(told.matches("to_lower_case").count(), 2, "the title, and the line of code: {told}");
    assert_eq!(told.matches("building rust again").count(), 1, "it is tried once: {told}");
    workshop.edit("again/src/lib.rs", "str::to_lower_case", "str::to_lowercase");
    workshop.edit("again/Cargo.toml", "0.1.0", "0.2.0");
    let told = workshop.fails(&["run"]);
    assert!(told.contains("run `cargo update --workspace` there") && !told.contains("--locked"), "{told}");
    workshop.succeeds("cargo", &["update", "--workspace", "--offline", "--quiet"], "again");

    // Another type than is declared does not get out of the stage.
    workshop.edit("again/src/lib.rs", "DataType::Utf8", "DataType::LargeUtf8");
    let told = workshop.fails(&["run"]);
    assert!(told.contains("column `line`: declared as LargeUtf8, but given as Utf8"), "{told}");
}

#[test]
fn a_stage_in_python_works_at_once() {
    let uv = std::env::var("FLOWC_UV").unwrap_or_else(|_| "uv".to_owned());
    let test = ["run", "--locked", "--quiet", "pytest", "-q"];
    works_at_once("python", "stage.py", ("utf8_upper", "utf8_lower"), (&uv, &test));
}
