//! Public functions that return a `Result` say when they fail: their documentation has a section `# Errors`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::texts::{rust_files, without_tests};

/// Files whose functions need no such section, with the reason.
const EXCEPT: [(&str, &str); 4] = [
    ("sdk-rust-wasm/src/bindings.rs", "it is generated"),
    ("pipelines/", "examples have no readers of their documentation"),
    ("fuzz/", "its functions must not fail"),
    ("/tests/", "tests"),
];

/// The functions of a checkout that do not say when they fail.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in rust_files(root)? {
        if EXCEPT.iter().any(|(place, _)| path.starts_with(place) || (place.starts_with('/') && path.contains(place))) {
            continue;
        }
        let text = fs::read_to_string(root.join(&path)).with_context(|| format!("{path} cannot be read"))?;
        let told = |(line, name)| format!("{path}:{line}: `{name}` returns a `Result`, and has no section `# Errors`");
        problems.extend(silent(&text).into_iter().map(told));
    }
    Ok(problems)
}

/// Public functions and functions of public traits that return a `Result` and do not say when they fail: line and name.
fn silent(text: &str) -> Vec<(usize, String)> {
    let code = without_tests(text);
    let lines: Vec<&str> = code.lines().collect();
    let (mut found, mut in_trait, mut says_when) = (Vec::new(), false, false);
    for (at, line) in lines.iter().enumerate() {
        in_trait = line.starts_with("pub trait ") || (in_trait && *line != "}");
        let trimmed = line.trim_start();
        if trimmed.starts_with("///") {
            says_when |= trimmed.contains("# Errors");
        } else if !trimmed.starts_with("#[") {
            let name = function(line, in_trait).filter(|_| !says_when && returns_result(&signature(&lines[at..])));
            found.extend(name.map(|name| (at + 1, name)));
            says_when = false;
        }
    }
    found
}

/// The name of the function that begins in a line, if it is a public one.
fn function(line: &str, in_trait: bool) -> Option<String> {
    let public = line.trim_start().strip_prefix("pub ");
    let mut rest = public.or_else(|| line.strip_prefix("    ").filter(|_| in_trait))?;
    for qualifier in ["const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(qualifier).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// The text of a function up to its body.
fn signature(lines: &[&str]) -> String {
    let ends = |line: &&str| line.ends_with('{') || line.ends_with(';') || line.ends_with('}');
    let length = lines.iter().position(ends).map_or(lines.len(), |at| at + 1);
    lines[..length].join("\n")
}

/// Whether the type after the arrow that follows a function's parameters is some `Result`.
fn returns_result(signature: &str) -> bool {
    let mut depth = 0;
    let arrow = signature.char_indices().find(|&(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0 && signature[at..].starts_with("->")
    });
    let Some((at, _)) = arrow else { return false };
    let path = signature[at + 2..].trim_start().split(['<', ' ', ';', '\n']).next().unwrap_or_default();
    path.rsplit("::").next() == Some("Result")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        silent(text).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn public_functions_say_when_they_fail() {
        let says = "/// Reads.\n///\n/// # Errors\n/// If it can't.\n#[must_use]\npub fn a() -> io::Result<()> {\n";
        assert_eq!(names(says), [""; 0]);
        assert_eq!(names("/// Reads.\npub fn a() -> io::Result<()> {\n"), ["a"]);
        assert_eq!(names("/// Reads.\npub fn a(\n    b: impl Fn() -> u8,\n) -> Result<(), Error> {\n"), ["a"]);
        assert_eq!(names("pub fn a(f: impl Fn() -> Result<()>) -> Option<u8> {\n"), [""; 0]);
        assert_eq!(names("pub(crate) fn a() -> Result<()> {\nfn b() -> Result<()> {\n"), [""; 0]);
    }

    #[test]
    fn functions_of_public_traits_are_public() {
        assert_eq!(names("pub trait A {\n    fn a(&self) -> Result<()>;\n}\n\n    fn b() -> Result<()> {\n"), ["a"]);
        assert_eq!(names("trait A {\n    fn a(&self) -> Result<()>;\n}\n"), [""; 0]);
    }
}
