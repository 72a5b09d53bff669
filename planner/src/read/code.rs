//! The node of a stage that says what it runs: `std "count@1"`, `python "my-stage" entry="module:name"`.

use super::form::{self, Children, Form, Takes};
use crate::diagnostic::{Problems, StageProblem, either};
use crate::plan::{Code, KernelColumns, is_server};
use crate::statement::{FILE, SQL};
use crate::syntax::{Arg, Node};

/// A node that names code.
struct Kind {
    node: &'static str,
    /// The node with a value.
    example: &'static str,
    value: Value,
    /// Reads which of its stages is meant, where code may have several.
    entry: Option<fn(&Node, &mut Problems) -> Option<String>>,
    /// The code, by the node's value and the entry.
    code: fn(String, String) -> Code,
}

/// What the value of such a node is.
enum Value {
    Name,
    /// What to do is said where it is the address of something elsewhere.
    Path(&'static str),
    /// It may be in a file of its own.
    Statement,
}

/// What to do about code that is elsewhere.
const FETCH: &str = "copy the code to this machine first, and name its path";
/// What to do about an image with a scheme.
const REFER: &str = "name the image as Docker and Podman do, without a scheme: `registry.example/name:tag`";

/// All of them.
const KINDS: [Kind; 8] = [
    Kind { node: "std", example: "std \"count@1\"", value: Value::Name, entry: None, code: |name, _| Code::Std(name) },
    Kind {
        node: "wasm",
        example: "wasm \"stage.wasm\"",
        value: Value::Path(FETCH),
        entry: None,
        code: |path, _| Code::Wasm(path),
    },
    Kind {
        node: "rust",
        example: "rust \"my-stage\"",
        value: Value::Path(FETCH),
        entry: None,
        code: |dir, _| Code::Rust(dir),
    },
    Kind {
        node: "python",
        example: "python \"my-stage\"",
        value: Value::Path(FETCH),
        entry: Some(python_entry),
        code: |dir, entry| Code::Python { dir, entry },
    },
    Kind {
        node: "container",
        example: "container \"my-stage\"",
        value: Value::Path(FETCH),
        entry: Some(any_entry),
        code: |dir, entry| Code::Container { dir, entry },
    },
    Kind {
        node: "image",
        example: "image \"name@sha256:…\"",
        value: Value::Path(REFER),
        entry: Some(any_entry),
        code: |reference, entry| Code::Image { reference, entry },
    },
    Kind {
        node: SQL,
        example: "sql \"SELECT ...\"",
        value: Value::Statement,
        entry: None,
        code: |statement, _| Code::Sql { statement, tables: Vec::new(), is_output: false },
    },
    Kind {
        node: "wgsl",
        example: "wgsl \"kernel.wgsl\"",
        value: Value::Path(FETCH),
        entry: None,
        code: |path, _| Code::Wgsl { path, columns: KernelColumns::default() },
    },
];

/// The names of all nodes that name code.
pub(super) const NODES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut next = 0;
    while next < names.len() {
        names[next] = KINDS[next].node;
        next += 1;
    }
    names
};

/// What a stage runs, and the value that says so. `known` are the nodes that it may have.
pub(super) fn read<'a>(
    node: &'a Node,
    stage: &str,
    known: Children,
    problems: &mut Problems,
) -> Option<(Code, &'a Arg)> {
    let is_code = |child: &&Node| NODES.contains(&child.name.as_str()) && known.has(&child.name);
    let codes: Vec<&Node> = node.children.iter().flatten().filter(is_code).collect();
    if let [first, second, ..] = codes[..]
        && first.name != second.name
    {
        let problem = StageProblem::SeveralCodes { stage: stage.to_owned() };
        problems.with(second.place, problem, first.place, "the first is here");
        return None;
    }
    let Some(child) = codes.first() else {
        if !form::is_misspelt(node, known, &NODES) {
            let place = node.args.first().map_or(node.place, |arg| arg.place);
            let examples = either(KINDS.iter().filter(|kind| known.has(kind.node)).map(|kind| kind.example));
            problems.at(place, StageProblem::NoCode { stage: stage.to_owned(), examples });
        }
        return None;
    };
    KINDS.iter().find(|kind| kind.node == child.name)?.read(child, problems)
}

impl Kind {
    fn read<'a>(&self, child: &'a Node, problems: &mut Problems) -> Option<(Code, &'a Arg)> {
        let props: &'static [&'static str] = match (&self.value, self.entry) {
            (Value::Statement, _) => &[FILE],
            (_, Some(_)) => &["entry"],
            (_, None) => &[],
        };
        let form = Form { takes: Takes::One(self.example), props, children: Children::None };
        form.check(child, &format!("`{}`", self.node), problems);
        let arg = child.args.first()?;
        let text = match self.value {
            Value::Name | Value::Statement => form::string(self.node, arg, problems)?,
            Value::Path(remedy) => form::path(self.node, arg, remedy, problems)?,
        };
        if text.is_empty() {
            form::bad_value("code", arg, format!("for example: `{}`", self.example), problems);
            return None;
        }
        let entry = self.entry.map_or(Some(String::new()), |entry| entry(child, problems))?;
        Some(((self.code)(text.to_owned(), entry), arg))
    }
}

/// Which stage of a program in an image: any name that the program knows.
fn any_entry(child: &Node, problems: &mut Problems) -> Option<String> {
    child.prop("entry").map_or(Some(String::new()), |arg| form::string("entry", arg, problems).map(str::to_owned))
}

/// Which stage of a Python project.
fn python_entry(child: &Node, problems: &mut Problems) -> Option<String> {
    let Some(arg) = child.prop("entry") else { return Some(String::new()) };
    let entry = form::string("entry", arg, problems)?;
    let (module, name) = entry.split_once(':').unwrap_or((entry, "stage"));
    let is_name = |text: &str| {
        let mut letters = text.chars();
        letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let is_file = !entry.starts_with(['/', '.']) && !entry.contains("..") && is_server(entry);
    if is_file || (module.split('.').all(is_name) && is_name(name)) {
        return Some(entry.to_owned());
    }
    let help = "`module:name`, `module`, or a file of the project that serves the stage protocol: \"server.py\"";
    form::bad_value("entry", arg, help, problems);
    None
}
