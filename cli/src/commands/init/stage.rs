//! `flowc init --stage`: the folder of a stage that runs and passes its test at once.

use std::path::Path;

use super::{File, pipeline, sdk, write_all};
use crate::args::StageLanguage;
use crate::commands::printed;
use crate::exit::Exit;
use crate::report::Failure;

const PIPELINE: &str = include_str!("../../../templates/stage/flow.kdl");

/// The SDK's folder within that of a stage.
const SDK: &str = "flowc-sdk";

const RUST: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../../templates/stage/rust/Cargo.toml")),
    ("Cargo.lock", include_str!("../../../templates/stage/rust/Cargo.lock")),
    ("src/lib.rs", include_str!("../../../templates/stage/rust/src/lib.rs")),
    (".gitignore", include_str!("../../../templates/stage/rust/gitignore")),
];

const PYTHON: [(&str, &str); 5] = [
    ("pyproject.toml", include_str!("../../../templates/stage/python/pyproject.toml")),
    ("uv.lock", include_str!("../../../templates/stage/python/uv.lock")),
    ("stage.py", include_str!("../../../templates/stage/python/stage.py")),
    ("test_stage.py", include_str!("../../../templates/stage/python/test_stage.py")),
    (".gitignore", include_str!("../../../templates/stage/python/gitignore")),
];

pub(super) fn run(language: StageLanguage, folder: &Path) -> Result<Exit, Failure> {
    let name = name(folder)?;
    if folder.join(language.manifest()).is_file() && !folder.join(SDK).exists() {
        return renew_sdk(language, folder);
    }
    if folder.exists() {
        return Err(Failure::command(format!("{} is there already; nothing was written", folder.display())));
    }
    let code = language.files().iter().map(|(file, text)| File::new(folder.join(file), named(text, name)));
    let code: Vec<File> = code.collect();
    let pipeline = if Path::new("flow.kdl").exists() { Vec::new() } else { small_pipeline(language, folder, name) };
    let mut wrote: Vec<String> = code.iter().chain(&pipeline).map(|file| file.path.display().to_string()).collect();
    wrote.push(format!("{}/ (the SDK of this flowc)", folder.join(SDK).display()));
    let use_it = if pipeline.is_empty() { how_to_use(language, folder, name) } else { String::new() };
    let files: Vec<File> = code.into_iter().chain(pipeline).chain(language.sdk(&folder.join(SDK))?).collect();
    write_all(&files)?;
    let names: String = wrote.iter().map(|name| format!("  {name}\n")).collect();
    let test = format!("test: cd {} && {}\n", folder.display(), language.test());
    printed(&format!("wrote\n{names}{test}{use_it}next: flowc run\n"))
}

/// The stage's name in pipelines: that of its folder.
fn name(folder: &Path) -> Result<&str, Failure> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_good = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    match name {
        "" => Err(Failure::command("what is the stage called? Write its name, or a folder to make, after `--stage`")),
        good if is_good => Ok(good),
        other => Err(Failure::command(format!(
            "`{other}` cannot be the name of a stage's folder here: use small letters, digits, `-` and `_`, and begin with a letter"
        ))),
    }
}

/// The SDK of this flowc in the place of one that was removed.
fn renew_sdk(language: StageLanguage, folder: &Path) -> Result<Exit, Failure> {
    let sdk = folder.join(SDK);
    write_all(&language.sdk(&sdk)?)?;
    printed(&format!("wrote\n  {}/ (the SDK of this flowc); all else was left as it is\n", sdk.display()))
}

/// A pipeline that runs the stage, and what it reads where that is not there.
fn small_pipeline(language: StageLanguage, folder: &Path, name: &str) -> Vec<File> {
    let text = named(PIPELINE, name).replace("{{folder}}", &folder.display().to_string());
    let text = text.replace("{{stage}}", &lines(language, folder, name));
    let texts = pipeline::TEXTS.into_iter().filter(|(name, _)| !Path::new(name).exists());
    let texts = texts.map(|(name, text)| File::new(name.into(), text));
    [File::new("flow.kdl".into(), text)].into_iter().chain(texts).collect()
}

fn how_to_use(language: StageLanguage, folder: &Path, name: &str) -> String {
    format!(
        "use: add this to flow.kdl, with the stream and the column that the stage is to read\n\n{}\n{}\n",
        lines(language, folder, name),
        sink(name)
    )
}

/// The lines of a sink, without which the stage would not run.
fn sink(name: &str) -> String {
    format!("sink \"{name}\" {{\n    in \"{name}\"\n    file \"out/{name}.csv\"\n}}\n")
}

/// The lines of a pipeline that use the stage.
fn lines(language: StageLanguage, folder: &Path, name: &str) -> String {
    let (code, folder) = (language.code(), folder.display());
    format!("stage \"{name}\" {{\n    in \"lines\"\n    {code} \"{folder}\"\n    config {{ column \"line\" }}\n}}\n")
}

/// A template with the stage's name. The packages of a lock stay in the order of their names: tools compare it whole.
fn named(template: &str, name: &str) -> String {
    let text = template.replace("{{name}}", name);
    let mut parts = text.split("[[package]]\n");
    let head = parts.next().unwrap_or_default().to_owned();
    let mut packages: Vec<String> = parts.map(|package| format!("{}\n", package.trim_end())).collect();
    packages.sort_by(|a, b| package_name(a).cmp(package_name(b)));
    let packages: Vec<String> = packages.iter().map(|package| format!("[[package]]\n{package}")).collect();
    head + &packages.join("\n")
}

fn package_name(package: &str) -> &str {
    package.lines().next().unwrap_or_default()
}

impl StageLanguage {
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            StageLanguage::Rust => &RUST,
            StageLanguage::Python => &PYTHON,
        }
    }

    fn sdk(self, folder: &Path) -> Result<Vec<File>, Failure> {
        match self {
            StageLanguage::Rust => Ok(sdk::rust(folder)),
            StageLanguage::Python => sdk::python(folder),
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            StageLanguage::Rust => "Cargo.toml",
            StageLanguage::Python => "pyproject.toml",
        }
    }

    /// The node that names the folder in a pipeline.
    fn code(self) -> &'static str {
        match self {
            StageLanguage::Rust => "rust",
            StageLanguage::Python => "python",
        }
    }

    fn test(self) -> &'static str {
        match self {
            StageLanguage::Rust => "cargo test",
            StageLanguage::Python => "uv run pytest",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_package_can_have_are_refused() {
        for good in ["shout", "stages/word-count", "a1_b"] {
            assert!(name(Path::new(good)).is_ok(), "{good}");
        }
        for bad in ["", "..", "1st", "Shout", "a b", "stages/ü"] {
            assert!(name(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lock_stays_in_order_whatever_the_stage_is_called() {
        let lock = "version = 4\n\n[[package]]\nname = \"b\"\n\n[[package]]\nname = \"{{name}}-stage\"\n";
        let expected = "version = 4\n\n[[package]]\nname = \"a-stage\"\n\n[[package]]\nname = \"b\"\n";
        assert_eq!(named(lock, "a"), expected);
        assert_eq!(named(lock, "c"), lock.replace("{{name}}", "c"));
    }
}
