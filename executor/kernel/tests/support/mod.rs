//! Kernels in text files: the text of a kernel begins with what it is matched to.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod machine;
pub(crate) mod program;

use arrow_schema::{DataType, Field, Schema};
use flowc_kernel::{Bound, Build, Diagnostic, Kernel, Source};
use flowc_planner::plan::KernelColumns;

/// A kernel with its columns.
pub(crate) struct Case {
    pub(crate) source: Source,
    pub(crate) schema: Schema,
    pub(crate) settings: KernelColumns,
}

impl Case {
    /// Reads the comments that a text begins with: `// columns: a Int32, b Float32?`, `// bind: x = Unit Price`,
    /// `// gives: due Date32`, `// drops: raw`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let given = |key: &str| {
            let lines =
                text.lines().filter_map(move |line| line.strip_prefix("// ")?.strip_prefix(key)?.strip_prefix(':'));
            lines.flat_map(|line| line.split(", ")).map(|one| one.trim().to_owned()).collect::<Vec<_>>()
        };
        let pair = |text: &str, by: char| {
            text.split_once(by).map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned())).unwrap()
        };
        let fields: Vec<Field> = given("columns").iter().map(|column| field(&pair(column, ' '))).collect();
        let settings = KernelColumns {
            bind: given("bind").iter().map(|one| pair(one, '=')).collect(),
            gives: given("gives")
                .iter()
                .map(|one| pair(one, ' '))
                .map(|(name, of)| (name, of.parse().unwrap()))
                .collect(),
            drops: given("drops"),
            groups: given("groups").into_iter().next(),
        };
        Self { source: Source::new(path, text), schema: Schema::new(fields), settings }
    }

    /// The kernel, and what it makes of its columns.
    pub(crate) fn bound(&self) -> Result<(Kernel, Bound), Vec<Diagnostic>> {
        let kernel = Kernel::parse(self.source.clone())?;
        let bound = kernel.bind(&[&self.schema, &self.schema], &self.settings)?;
        Ok((kernel, bound))
    }

    pub(crate) fn build(&self, budget: u32) -> Build {
        let (kernel, bound) = self.bound().unwrap_or_else(|problems| panic!("{}", told(&problems)));
        kernel.build(&bound, budget)
    }
}

/// A column: `Float32`, `Int32?` where it may hold nulls, `3 Float32` for a list of three.
fn field((name, of): &(String, String)) -> Field {
    let (of, nullable) = of.strip_suffix('?').map_or((of.as_str(), false), |of| (of, true));
    let parsed = match of.split_once(' ').and_then(|(count, item)| Some((count.parse().ok()?, item))) {
        Some((count, item)) => {
            DataType::FixedSizeList(Field::new_list_field(item.parse().unwrap(), true).into(), count)
        }
        None => of.parse().unwrap(),
    };
    Field::new(name, parsed, nullable)
}

/// Problems as people read them.
pub(crate) fn told(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect::<Vec<_>>().join("\n")
}
