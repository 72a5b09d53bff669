//! What a stage runs. This is the planner's list of kinds of stages; `read/code.rs` says how the text names them.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// What a stage runs, as the text names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A standard stage: `name@version`.
    Std(String),
    /// A component file, relative to the pipeline's folder unless absolute.
    Wasm(String),
    /// A Rust crate that is built to a component, relative to the pipeline's folder unless absolute.
    Rust(String),
    /// A stage of a Python project.
    Python {
        /// The project's folder, relative to the pipeline's unless absolute.
        dir: String,
        /// Which of its stages: `module:name`, `module`, or nothing where there is but one, in the module `stage`. Or a
        /// file of the project that serves the stage protocol by itself: `server.py`.
        entry: String,
    },
    /// A stage of a program in an image that is made from a folder.
    Container {
        /// The folder, relative to the pipeline's unless absolute. It holds a `Containerfile`.
        dir: String,
        /// Which of the program's stages; nothing where there is but one.
        entry: String,
    },
    /// A stage of a program in an image that exists.
    Image {
        /// What engines know it by: `name:tag`, `name@sha256:…`, `sha256:…`.
        reference: String,
        /// Which of the program's stages; nothing where there is but one.
        entry: String,
    },
    /// A query over the stage's inputs.
    Sql {
        /// The statement.
        statement: String,
        /// The names of its tables, which are those of the input ports.
        tables: Vec<String>,
        /// Whether it is one of several statements of a stage, each of which reads some of these tables.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_output: bool,
    },
    /// A kernel in WGSL.
    Wgsl {
        /// The file, relative to the pipeline's folder unless absolute.
        path: String,
        /// How the names of the kernel and the columns of the input go together.
        columns: KernelColumns,
    },
    /// What picks the rows that came too late for the windows of a stage: a part of flowc. No text names it.
    LateRows,
    /// What adds [`Marks`](crate::plan::Marks) to the rows of a source: a part of flowc. No text names it.
    Marks,
}

/// What the text says of a kernel's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelColumns {
    /// Columns of the input by the kernel's names for them, where these differ.
    pub bind: BTreeMap<String, String>,
    /// Types of written columns that WGSL has no name for.
    pub gives: BTreeMap<String, DataType>,
    /// Columns of the input that are not passed on.
    pub drops: Vec<String>,
    /// The column of the input whose equal values make a group, where the kernel counts by groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

impl std::fmt::Display for KernelColumns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bind.iter().try_for_each(|(name, column)| write!(f, " bind {name}=\"{column}\""))?;
        self.gives.iter().try_for_each(|(name, data_type)| write!(f, " gives {name}={data_type}"))?;
        self.drops.iter().try_for_each(|column| write!(f, " drops \"{column}\""))?;
        self.groups.iter().try_for_each(|column| write!(f, " groups \"{column}\""))
    }
}

/// The standard stages that are kernels; all others are components.
pub const STANDARD_KERNELS: [&str; 3] = ["top-k@1", "histogram@1", "group-count@1"];

impl Code {
    /// The runner that executes it. Two adjacent stages collapse when these are equal, or both run in flowc's process, and
    /// nothing forbids it.
    pub fn runner(&self) -> &'static str {
        match self {
            code if code.is_kernel() => "gpu",
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => "wasm",
            Code::Python { .. } => "python",
            Code::Container { .. } | Code::Image { .. } => "container",
            Code::Sql { .. } => "sql",
            Code::LateRows | Code::Marks => "flowc",
            Code::Wgsl { .. } => "gpu",
        }
    }

    /// What the program that it is a stage of is found by, if that is not flowc itself.
    pub fn program(&self) -> Option<&str> {
        match self {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) | Code::Wgsl { .. } | Code::LateRows | Code::Marks => None,
            Code::Python { dir, .. } | Code::Container { dir, .. } => Some(dir),
            Code::Image { reference, .. } => Some(reference),
            Code::Sql { .. } => Some("flowc-sql"),
        }
    }

    /// Whether its program is in an image, so that it runs in a container in any case.
    pub fn is_contained(&self) -> bool {
        matches!(self, Code::Container { .. } | Code::Image { .. })
    }

    /// Whether flowc itself picks late rows.
    pub fn picks_late_rows(&self) -> bool {
        matches!(self, Code::LateRows)
    }

    /// Whether flowc itself says of rows how they are in their source.
    pub fn adds_marks(&self) -> bool {
        matches!(self, Code::Marks)
    }

    /// Whether it runs in flowc's process, unless it is isolated.
    pub fn is_in_process(&self) -> bool {
        self.is_component() || self.is_kernel()
    }

    /// Whether it runs on a device.
    pub fn is_kernel(&self) -> bool {
        match self {
            Code::Std(name) => STANDARD_KERNELS.contains(&name.as_str()),
            other => matches!(other, Code::Wgsl { .. }),
        }
    }

    /// Whether it is a wasm component, however that comes about.
    pub fn is_component(&self) -> bool {
        matches!(self, Code::Std(_) | Code::Wasm(_) | Code::Rust(_)) && !self.is_kernel()
    }
}

/// One of a program's stages, as it follows the program.
struct Entry<'a>(&'a str);

impl std::fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " {}", self.0) }
    }
}

/// Characters of a statement that are shown.
const SHOWN: usize = 60;

/// A statement as its beginning. What is cut off is named by a digest, so that different statements look different.
struct OneLine<'a>(&'a str);

impl std::fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.0.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(SHOWN) {
            None if line == self.0 => f.write_str(&line),
            cut => {
                let shown = &line[..cut.map_or(line.len(), |(at, _)| at)];
                write!(f, "{}… ({})", shown.trim_end(), &blake3::hash(self.0.as_bytes()).to_hex()[..8])
            }
        }
    }
}

/// Whether the entry of a Python stage is a program that serves the stage protocol by itself, and not a stage's name.
pub fn is_server(entry: &str) -> bool {
    entry.ends_with(".py")
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Code::Std(name) => write!(f, "std {name}"),
            Code::Wasm(path) => write!(f, "wasm {path}"),
            Code::Rust(path) => write!(f, "rust {path}"),
            Code::Python { dir, entry } => write!(f, "python {dir}{}", Entry(entry)),
            Code::Container { dir, entry } => write!(f, "container {dir}{}", Entry(entry)),
            Code::Image { reference, entry } => write!(f, "image {reference}{}", Entry(entry)),
            Code::Sql { statement, .. } => write!(f, "sql {}", OneLine(statement)),
            Code::LateRows => f.write_str("late rows"),
            Code::Marks => f.write_str("times before rows"),
            Code::Wgsl { path, columns } => write!(f, "wgsl {path}{columns}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_statements_look_different() {
        let sql = |statement: &str| {
            let (statement, tables) = (statement.to_owned(), Vec::new());
            Code::Sql { statement, tables, is_output: false }
        };
        let shown = |statement: &str| sql(statement).to_string();
        assert_eq!(shown("SELECT a FROM t"), "sql SELECT a FROM t");
        assert_ne!(shown("SELECT 'a b'"), shown("SELECT 'a\nb'"));
        let long = |last: &str| shown(&format!("SELECT {}, {last} FROM t", "column, ".repeat(20)));
        assert!(long("a").chars().count() < 90, "{}", long("a"));
        assert_ne!(long("a"), long("b"));
    }
}
