//! Folders that others rely on: worked pipelines and standard stages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What each worked pipeline has.
const OF_PIPELINES: [&str; 3] = ["flow.kdl", "README.md", "expected"];

/// What each standard stage has.
const OF_STAGES: [&str; 3] = ["Cargo.toml", "README.md", "src/lib.rs"];

/// Folders beside the standard stages that are none.
const NO_STAGES: [&str; 3] = ["bundle", "parts", "target"];

/// What is missing.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = missing(root, "pipelines", &[], &OF_PIPELINES)?;
    problems.extend(missing(root, "stdlib-stages", &NO_STAGES, &OF_STAGES)?);
    Ok(problems)
}

fn missing(root: &Path, house: &str, except: &[&str], parts: &[&str]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for folder in folders(&root.join(house))? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if except.contains(&name.as_str()) || name.starts_with('.') {
            continue;
        }
        let absent = parts.iter().filter(|part| !folder.join(part).exists());
        problems.extend(absent.map(|part| format!("{house}/{name}: has no {part}")));
    }
    Ok(problems)
}

fn folders(house: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(house).with_context(|| format!("{} cannot be listed", house.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut folders: Vec<_> = paths.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("pipelines/words/expected")).unwrap();
        fs::write(root.path().join("pipelines/words/flow.kdl"), "").unwrap();
        let problems = missing(root.path(), "pipelines", &[], &OF_PIPELINES).unwrap();
        assert_eq!(problems, ["pipelines/words: has no README.md"]);
    }
}
