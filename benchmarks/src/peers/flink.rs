//! Apache Flink's SQL, in a Java process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::super::Bench;
use xtask::maven::{self, Artifact};
use xtask::process;

/// The version that is fetched.
pub(in super::super) const VERSION: &str = "2.3.0";
const HADOOP: &str = "3.4.1";
/// Runs statements: the mode, their file.
const PROGRAM: &str = include_str!("Statements.java");
/// What is missing where Java is.
const JAVA: &str = "Flink needs a JDK 17 or later and Maven (Debian: `apt-get install default-jdk-headless maven`)";
/// Packages of Java that Flink reaches into, as its own scripts say.
const OPENED: [&str; 8] =
    ["java.lang", "java.lang.invoke", "java.net", "java.io", "java.nio", "java.util", "java.time", "sun.nio.ch"];

/// Flink's classes, and a compiled program that runs statements with them.
pub(in super::super) struct Flink {
    library: PathBuf,
    program: PathBuf,
}

impl Flink {
    /// Fetches what is missing, and compiles the program.
    pub(in super::super) fn prepare(bench: &Bench<'_>) -> Result<Self> {
        let flink = |name: &'static str| -> Artifact { ("org.apache.flink", name, VERSION) };
        let hadoop = |name: &'static str| -> Artifact { ("org.apache.hadoop", name, HADOOP) };
        let artifacts = [
            flink("flink-table-api-java-bridge"),
            flink("flink-table-planner-loader"),
            flink("flink-table-runtime"),
            flink("flink-clients"),
            flink("flink-connector-files"),
            flink("flink-parquet"),
            // Flink's reader of Parquet is made of Hadoop's.
            hadoop("hadoop-client-api"),
            hadoop("hadoop-client-runtime"),
            ("org.slf4j", "slf4j-nop", "1.7.36"),
        ];
        let library = maven::library(bench.workspace, &format!("flink-{VERSION}"), &artifacts).context(JAVA)?;
        let program = bench.folder.join("flink");
        std::fs::create_dir_all(&program)?;
        let source = program.join("Statements.java");
        std::fs::write(&source, PROGRAM)?;
        let flink = Self { library, program };
        let mut compiler = Command::new("javac");
        compiler.args(["-cp", &flink.classes(), "-d"]).arg(&flink.program).arg(source);
        process::run(&mut compiler).context(JAVA)?;
        Ok(flink)
    }

    /// Runs the statements of a file: `batch` or `streaming`.
    pub(in super::super) fn run(&self, mode: &str, statements: &Path) -> Command {
        let mut command = Command::new("java");
        // Of its collectors, this one takes the least processor time here.
        command.args(["-Xmx2g", "-XX:+UseSerialGC"]);
        command.args(OPENED.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")));
        command.args(["-cp", &self.classes(), "Statements", mode]).arg(statements);
        command
    }

    fn classes(&self) -> String {
        format!("{}:{}/*", self.program.display(), self.library.display())
    }
}
