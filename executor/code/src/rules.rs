//! What lies in a folder of code and is none.

use std::ffi::OsStr;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use toml::Value;

use crate::CodeError;

/// What tools make, at any depth: histories, caches, settings of editors, environments.
const FOLDERS: [&str; 23] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    ".venv",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".idea",
    ".vscode",
    ".vs",
    ".zed",
    ".hypothesis",
    ".tox",
    ".nox",
    ".pyre",
    ".pytype",
    ".eggs",
    ".direnv",
    ".pixi",
    "htmlcov",
];

/// What tools and systems make, at any depth.
const FILES: [&str; 8] =
    [".git", ".coverage", ".DS_Store", "Thumbs.db", "desktop.ini", ".directory", ".localized", "4913"];

/// What is written about a project, and what tests it: in the project's folder itself.
const ABOUT: [&str; 27] = [
    "README*",
    "CHANGELOG*",
    "CHANGES*",
    "CONTRIBUTING*",
    "AUTHORS*",
    "LICENSE*",
    "LICENCE*",
    "COPYING*",
    "NOTICE*",
    "tests",
    "test",
    "test_*.py",
    "*_test.py",
    "conftest.py",
    "noxfile.py",
    "tox.ini",
    "pytest.ini",
    "mypy.ini",
    "ruff.toml",
    ".ruff.toml",
    ".coveragerc",
    ".editorconfig",
    ".gitignore",
    ".gitattributes",
    ".github",
    ".pre-commit-config.yaml",
    ".python-version",
];

/// What is passed over in a folder.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    excluded: GlobSet,
    included: GlobSet,
    /// Names of folders, beside those that are passed over everywhere.
    folders: &'static [&'static str],
}

impl Rules {
    /// Passes over what tools make, and folders of these names.
    pub fn of_tools(folders: &'static [&'static str]) -> Self {
        Self { folders, ..Self::default() }
    }

    /// Passes over what is about a Python project besides, and what its author excludes: `[tool.flowc]`.
    ///
    /// # Errors
    /// If a pattern is none.
    pub fn of_project(path: &Path, manifest: &toml::Table) -> Result<Self, CodeError> {
        let own = get(manifest, &["tool", "flowc"]);
        Self::default().with(path, &ABOUT, own)
    }

    /// Passes over what was built of a crate besides, and what its author excludes: `[package.metadata.flowc]`. A build may read
    /// anything else, and gives the same component where it does not.
    ///
    /// # Errors
    /// If a pattern is none.
    pub fn of_crate(path: &Path, manifest: &toml::Table) -> Result<Self, CodeError> {
        let own = get(manifest, &["package", "metadata", "flowc"]);
        Self::of_tools(&["target"]).with(path, &[], own)
    }

    fn with(self, path: &Path, about: &[&str], own: Option<&Value>) -> Result<Self, CodeError> {
        let list = |name: &str| {
            let list = own.and_then(|own| own.get(name)?.as_array()).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        // A pattern with a slash starts from the project's folder; one without is a name at any depth.
        let anchored = |pattern: &String| match pattern.trim_end_matches('/') {
            pattern if pattern.contains('/') => pattern.trim_start_matches('/').to_owned(),
            name => format!("**/{name}"),
        };
        let about = about.iter().map(|name| (*name).to_owned());
        let excluded: Vec<String> = about.chain(list("exclude").iter().map(anchored)).collect();
        let included: Vec<String> = list("include").iter().map(anchored).collect();
        Ok(Self { excluded: globs(&excluded, path)?, included: globs(&included, path)?, ..self })
    }

    /// Whether something is passed over. `path` is from the folder that the rules are for.
    pub(crate) fn pass_over(&self, path: &Path, real: &Path, is_folder: bool) -> bool {
        let Some(name) = path.file_name() else { return false };
        let is_tools = is_of_tools(name, is_folder)
            || (is_folder && (self.folders.iter().any(|own| name == *own) || real.join("pyvenv.cfg").exists()));
        (is_tools || self.excluded.is_match(path)) && !self.included.is_match(path)
    }
}

fn is_of_tools(name: &OsStr, is_folder: bool) -> bool {
    let Some(name) = name.to_str() else { return false };
    if name.starts_with(".flowc") || (name.starts_with('.') && name.contains(".flowc-")) {
        return true;
    }
    match is_folder {
        true => FOLDERS.contains(&name),
        false => FILES.contains(&name) || is_of_an_editor(name),
    }
}

/// Copies, locks and swap files.
fn is_of_an_editor(name: &str) -> bool {
    let hidden = name.strip_prefix('.');
    let is_swap = hidden.is_some_and(|name| {
        let ending = name.rsplit('.').next().unwrap_or_default();
        ending.len() == 3 && ending.starts_with("sw") && ending.as_bytes()[2].is_ascii_lowercase()
    });
    let begins = |prefix: &str| hidden.is_some_and(|name| name.starts_with(prefix));
    is_swap
        || (name.ends_with(".swp") || name.ends_with('~'))
        || (name.starts_with('#') && name.ends_with('#') && name.len() > 1)
        || ["#", "~lock.", "coverage.", "nfs", "fuse_hidden"].into_iter().any(begins)
}

fn globs(patterns: &[String], manifest: &Path) -> Result<GlobSet, CodeError> {
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        let failed = |error: globset::Error| CodeError::Pattern {
            manifest: manifest.to_owned(),
            pattern: pattern.clone(),
            reason: error.kind().to_string(),
        };
        globs.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(failed)?);
    }
    globs.build().map_err(|error| CodeError::Pattern {
        manifest: manifest.to_owned(),
        pattern: patterns.join(", "),
        reason: error.kind().to_string(),
    })
}

fn get<'a>(table: &'a toml::Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::of_project(Path::new("pyproject.toml"), &text.parse().unwrap()).unwrap()
    }

    fn passed(rules: &Rules, path: &str) -> bool {
        rules.pass_over(Path::new(path.trim_end_matches('/')), Path::new("/nowhere"), path.ends_with('/'))
    }

    #[test]
    fn what_tools_make_is_passed_over_at_any_depth() {
        let made = [
            ".git/",
            ".git",
            "a/__pycache__/",
            "a/.stage.py.swp",
            ".stage.py.swo",
            "stage.py~",
            "a/#stage.py#",
            ".#stage.py",
            ".~lock.table.ods#",
            ".coverage",
            ".coverage.host.123",
            ".DS_Store",
            ".idea/",
            ".vscode/",
            ".hypothesis/",
            ".tox/",
            ".nox/",
            ".out.csv.flowc-a1B2",
            ".flowc/",
        ];
        let (own, package) = (rules(""), Rules::of_tools(&[]));
        for path in made {
            assert!(passed(&own, path) && passed(&package, path), "{path}");
        }
    }

    #[test]
    fn what_an_import_may_read_stays() {
        let own = rules("");
        for path in
            ["stage.py", "a/model.bin", ".env", "data.csv", "a/test_data.py", "a/tests/", "swap.sw", "target/", "docs/"]
        {
            assert!(!passed(&own, path), "{path}");
        }
    }

    #[test]
    fn what_is_about_the_project_is_passed_over_in_its_own_folder() {
        let (own, package) = (rules(""), Rules::of_tools(&[]));
        for path in ["README.md", "tests/", "test_stage.py", "conftest.py", "LICENSE", ".gitignore"] {
            assert!(passed(&own, path) && !passed(&package, path), "{path}");
        }
        let known = Rules::of_crate(Path::new("Cargo.toml"), &toml::Table::new()).unwrap();
        assert!(passed(&known, "target/") && !passed(&known, "README.md"));
    }

    #[test]
    fn the_author_says_what_is_no_code_and_what_is() {
        let own = rules(
            "[tool.flowc]\nexclude = [\"*.ipynb\", \"data/raw/**\", \"/notes/\"]\ninclude = [\"README.md\", \"tests\"]",
        );
        for path in ["a.ipynb", "deep/a.ipynb", "data/raw/a", "data/raw/deep/a", "notes/"] {
            assert!(passed(&own, path), "{path}");
        }
        for path in ["README.md", "tests/", "data/a", "deep/notes/"] {
            assert!(!passed(&own, path), "{path}");
        }
        let wrong = "[tool.flowc]\nexclude = [\"a[\"]".parse().unwrap();
        let error = Rules::of_project(Path::new("pyproject.toml"), &wrong).unwrap_err().to_string();
        assert!(error.starts_with("pyproject.toml: `**/a[` is no pattern"), "{error}");
    }
}
