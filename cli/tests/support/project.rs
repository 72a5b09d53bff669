//! A temporary project with a home and a store of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regex::Regex;

/// Removed with all that is in it when dropped.
pub(crate) struct Project {
    root: tempfile::TempDir,
    /// Variables that its programs see.
    variables: Vec<(&'static str, String)>,
}

impl Project {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["project", "home"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, variables: Vec::new() }
    }

    /// Has its programs see a variable.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.variables.push((name, value));
    }

    /// The project's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The folder that holds all, the home too.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Writes a file, in folders that are made.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A program in the project, with flowc on its path and none of the tester's settings.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let binaries = Path::new(env!("CARGO_BIN_EXE_flowc")).parent().unwrap();
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.current_dir(self.folder()).env("PATH", path);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["FLOWC_", "OTEL_", "XDG_", "NO_COLOR"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        // For Python stages: the tool, what it downloaded before, and a project whose packages are pinned.
        command.envs(std::env::vars_os().filter(|(name, _)| name == "FLOWC_UV"));
        // For kernels: a program that runs others with a Vulkan driver for the CPU.
        command.envs(std::env::var_os("FLOWC_VULKAN").map(|program| ("VULKAN", program)));
        command.env("VK_DRIVER_FILES", "/nowhere");
        command.env("UV_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv"));
        command.env("PYTHON_PROJECT", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python"));
        let home = self.root.path().join("home");
        command.env("HOME", &home).env("FLOWC_JOBS", "2");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// flowc in the project, with a Vulkan driver for the CPU.
    pub(crate) fn flowc_with_vulkan(&self, arguments: &[&str]) -> Command {
        let vulkan = std::env::var_os("FLOWC_VULKAN");
        let mut command = self.program(vulkan.expect("FLOWC_VULKAN names a program: run `cargo xtask test`"));
        command.arg(env!("CARGO_BIN_EXE_flowc")).args(arguments);
        command
    }

    /// flowc in the project. It hears of interrupts, also where the tests run in the background of a shell, which ignores them.
    pub(crate) fn flowc(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("/usr/bin/env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_flowc")]).args(arguments);
        command
    }

    /// What a shell command gives: exit code, standard output and standard error, with what varies replaced.
    ///
    /// Files that were written within one tick of the file system's clock are read again by the next command; a user is
    /// not that fast, so the shell waits.
    pub(crate) fn shell(&self, line: &str) -> String {
        std::thread::sleep(Duration::from_millis(50));
        let output = self.program("sh").args(["-c", line]).output().unwrap();
        let mut text = format!("exit {}\n", output.status.code().unwrap_or(-1));
        for (name, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let printed = self.filtered(&String::from_utf8_lossy(&bytes));
            if !printed.is_empty() {
                text.push_str(&format!("--- {name}\n{printed}"));
                text.push_str(if printed.ends_with('\n') { "" } else { "[no line end]\n" });
            }
        }
        text
    }

    /// Text with places, digests and times replaced.
    pub(crate) fn filtered(&self, text: &str) -> String {
        let rules = [
            (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
            (r"\b[0-9a-f]{12}\b", "[DIGEST]"),
            (r#""run":"[0-9a-f]{32}""#, "\"run\":\"[RUN]\""),
            (r#""time":[0-9.]+"#, "\"time\":[TIME]"),
            (r#""seconds":[0-9.e-]+"#, "\"seconds\":[TIME]"),
            (r"vulkan 10005:0 .*", "[DEVICE]"),
            (r"llvmpipe \(LLVM [^)]*\)", "[ADAPTER]"),
            (r" +\d+\.\d{3}\n", " [TIME]\n"),
            (r"\b\d+\.\d+ s\b", "[TIME]"),
            (r"(?m)^\d+ of \d+ steps done\n", ""),
            (r" +\d+(\.\d+)? (KiB|MiB|GiB|B)\b", " [SIZE]"),
        ];
        let text = text.replace(self.root.path().to_str().unwrap(), "[ROOT]");
        let replace = |text: String, (pattern, word): &(&str, &str)| {
            Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
        };
        rules.iter().fold(text, replace)
    }
}
