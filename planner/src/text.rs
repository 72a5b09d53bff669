//! The texts of a pipeline: the main file, what it includes, and the statements of its stages. The caller reads files; the planner says which.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use miette::NamedSource;

use crate::diagnostic::{Problems, Source};
use crate::pattern::normal;
use crate::place::Place;
use crate::syntax::{self, Node};
use crate::{schema_file, statement};

/// Text of all files of a pipeline.
///
/// Start with the main file; then, until [`Texts::missing_includes`] is empty, add what it asks for.
#[derive(Debug)]
pub struct Texts {
    files: Vec<File>,
    by_path: HashMap<String, usize>,
    unreadable: HashMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the main file's folder, unless absolute.
    pub(crate) path: String,
    pub(crate) text: Arc<str>,
    pub(crate) nodes: Vec<Node>,
    syntax: Problems,
}

/// A file that a text includes, or that holds the statement of a stage or a schema, and that has not been added yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludeRequest {
    /// The path of the file that includes it.
    pub from: String,
    /// `/`-separated; relative to the main file's folder unless absolute.
    pub path: String,
    /// Whether it holds bytes and no text: it is added as base64.
    pub is_binary: bool,
}

impl Texts {
    /// Starts with the main file. `main_name` is its file name without folders.
    pub fn new(main_name: &str, text: String) -> Self {
        let mut texts = Self { files: Vec::new(), by_path: HashMap::new(), unreadable: HashMap::new() };
        texts.add(main_name, text);
        texts
    }

    /// What is included and has neither been added nor found unreadable; each path once.
    pub fn missing_includes(&self) -> Vec<IncludeRequest> {
        let mut requests: Vec<IncludeRequest> = Vec::new();
        for file in &self.files {
            let texts = file.includes().chain(file.statements()).map(|path| (path, false));
            for (path, is_binary) in texts.chain(file.schemas()) {
                let known = self.by_path.contains_key(&path) || self.unreadable.contains_key(&path);
                if !known && requests.iter().all(|request| request.path != path) {
                    requests.push(IncludeRequest { from: file.path.clone(), path, is_binary });
                }
            }
        }
        requests
    }

    /// Adds the text of an included file under the path that was asked for.
    pub fn add(&mut self, path: &str, text: String) {
        if self.by_path.contains_key(path) {
            return;
        }
        let text: Arc<str> = text.into();
        let mut syntax = Problems::default();
        let holds_no_nodes =
            |file: &File| file.statements().chain(file.schemas().map(|(schema, _)| schema)).any(|other| other == path);
        let nodes = match self.files.iter().any(holds_no_nodes) {
            true => Vec::new(),
            false => syntax::parse(&text, self.files.len() as u32, &mut syntax),
        };
        self.by_path.insert(path.to_owned(), self.files.len());
        self.files.push(File { path: path.to_owned(), text, nodes, syntax });
    }

    /// Says that an included file cannot be read, and why. Planning then reports it where it is included.
    pub fn add_unreadable(&mut self, path: &str, reason: &str) {
        self.unreadable.insert(path.to_owned(), reason.to_owned());
    }

    pub(crate) fn main(&self) -> usize {
        0
    }

    pub(crate) fn file(&self, index: usize) -> &File {
        &self.files[index]
    }

    /// The file of a path as included.
    ///
    /// # Errors
    /// Why it is not there.
    pub(crate) fn find(&self, path: &str) -> Result<usize, &str> {
        let reason = || self.unreadable.get(path).map_or("it was not given", String::as_str);
        self.by_path.get(path).copied().ok_or_else(reason)
    }

    /// Whether a text is no KDL.
    pub(crate) fn is_broken(&self) -> bool {
        self.files.iter().any(|file| file.nodes.is_empty() && !file.syntax.is_empty())
    }

    pub(crate) fn syntax_problems(&self, problems: &mut Problems) {
        self.files.iter().for_each(|file| problems.extend(&file.syntax));
    }

    /// The paths of all texts, as [`normal`] has them.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// The texts as diagnostics show them, by the numbers of their files.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Source> {
        self.files.iter().map(|file| Arc::new(NamedSource::new(&file.path, file.text.clone())))
    }

    /// A place as file and line.
    pub(crate) fn line(&self, place: Place) -> String {
        let file = &self.files[place.file as usize];
        let line = file.text.get(..place.start as usize).map_or(0, |before| before.matches('\n').count()) + 1;
        format!("{}:{line}", file.path)
    }

    /// The place of a part of a value, which is written at `whole`.
    pub(crate) fn part(&self, whole: Place, value: &str, bytes: Range<usize>) -> Place {
        statement::place_of(&self.files[whole.file as usize].text, whole, value, bytes)
    }

    /// The pipeline's name: the main file's stem.
    pub(crate) fn pipeline(&self) -> String {
        let name = &self.files[0].path;
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        if stem.is_empty() { name.clone() } else { stem.to_owned() }
    }
}

impl File {
    /// The paths that the file includes, resolved.
    fn includes(&self) -> impl Iterator<Item = String> {
        let includes = self.nodes.iter().filter(|node| node.name == "include");
        includes.flat_map(|node| &node.args).filter_map(|arg| self.relative(arg.value.as_str()?))
    }

    /// The paths of the statements that stages of the file name.
    fn statements(&self) -> impl Iterator<Item = String> {
        statement::files(&self.nodes).into_iter().filter_map(|arg| self.relative(arg.value.as_str()?))
    }

    /// The paths of the schemas that sources and sinks of the file name, and whether they are bytes.
    fn schemas(&self) -> impl Iterator<Item = (String, bool)> {
        let named = schema_file::files(&self.nodes).into_iter();
        named.filter_map(|(arg, is_binary)| Some((self.relative(arg.value.as_str()?)?, is_binary)))
    }

    /// The file that a path in this file means; none where it holds a parameter.
    pub(crate) fn relative(&self, written: &str) -> Option<String> {
        (!written.contains("${")).then(|| join(&self.path, written))
    }
}

/// `written`, taken from the folder of the file `from`; `.` and `..` are resolved by name.
fn join(from: &str, written: &str) -> String {
    match from.rsplit_once('/') {
        Some((folder, _)) if !written.starts_with('/') => normal(&format!("{folder}/{written}")),
        _ => normal(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_taken_from_the_including_files_folder() {
        assert_eq!(join("main.kdl", "a.kdl"), "a.kdl");
        assert_eq!(join("sub/a.kdl", "b.kdl"), "sub/b.kdl");
        assert_eq!(join("sub/a.kdl", "../b.kdl"), "b.kdl");
        assert_eq!(join("a.kdl", "../../b.kdl"), "../../b.kdl");
        assert_eq!(join("sub/a.kdl", "/etc/./x/../b.kdl"), "/etc/b.kdl");
        assert_eq!(join("/abs/a.kdl", "../../../b.kdl"), "/b.kdl");
    }

    #[test]
    fn each_missing_include_is_asked_for_once() {
        let mut texts = Texts::new("main.kdl", "include \"a/x.kdl\"\ninclude \"a/../a/x.kdl\"".into());
        let request = IncludeRequest { from: "main.kdl".into(), path: "a/x.kdl".into(), is_binary: false };
        assert_eq!(texts.missing_includes(), [request]);
        texts.add("a/x.kdl", "include \"y.kdl\"".into());
        assert_eq!(texts.missing_includes()[0].path, "a/y.kdl");
        texts.add_unreadable("a/y.kdl", "no such file");
        assert!(texts.missing_includes().is_empty());
    }
}
