//! What a project's lock file names: above all, packages that lie on this machine, which it does not pin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flowc_code::normal;
use globset::{GlobBuilder, GlobMatcher};
use toml::{Table, Value};

use crate::PythonError;

/// A lock file, and the folder that its paths start from: the project's own, or that of its workspace.
pub(crate) struct Lock {
    pub(crate) folder: PathBuf,
    packages: Vec<Package>,
}

/// A package of the lock.
struct Package {
    name: String,
    /// Where it lies on this machine, if it does: a folder or a file.
    path: Option<PathBuf>,
    /// Files of it in a folder that serves as an index.
    files: Vec<PathBuf>,
    /// Names of packages that it needs.
    needs: BTreeSet<String>,
    /// Those that it needs for work on it, by group.
    groups: BTreeMap<String, BTreeSet<String>>,
}

/// What a project needs that lies on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathSources {
    /// Folders of packages, by their names.
    pub(crate) folders: BTreeMap<String, PathBuf>,
    /// Files: wheels and source archives.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Folders of other packages of the lock, of which uv reads the manifests.
    pub(crate) others: BTreeSet<PathBuf>,
}

impl Lock {
    /// Finds and reads the lock of the project in a folder.
    ///
    /// # Errors
    /// If there is none, or a file is not TOML.
    pub(crate) fn find(dir: &Path, manifest: &Table) -> Result<Self, PythonError> {
        let folder = workspace(dir, manifest)?;
        let path = folder.join("uv.lock");
        if !path.is_file() {
            return Err(PythonError::NoLock { dir: folder });
        }
        let table = read(&path)?;
        let packages = table.get("package").and_then(Value::as_array).into_iter().flatten();
        let packages = packages.filter_map(|package| Package::read(package.as_table()?, &folder)).collect();
        Ok(Self { folder, packages })
    }

    /// What the project in a folder needs that lies on this machine, with what that needs in turn.
    pub(crate) fn sources(&self, dir: &Path) -> PathSources {
        let own = self.packages.iter().find(|package| package.path.as_deref() == Some(dir));
        let mut due: Vec<&str> = match own {
            Some(own) => own.wanted(&["dev"]).collect(),
            // A lock that does not know the project: uv will say so.
            None => self.packages.iter().map(|package| package.name.as_str()).collect(),
        };
        let mut reached = BTreeSet::new();
        while let Some(name) = due.pop() {
            if reached.insert(name) {
                let named = self.packages.iter().filter(|package| package.name == name);
                due.extend(named.flat_map(|package| package.needs.iter().map(String::as_str)));
            }
        }
        let mut sources = PathSources::default();
        for package in &self.packages {
            let is_needed = reached.contains(package.name.as_str());
            match &package.path {
                Some(path) if path == dir => {}
                Some(path) if is_needed && path.is_file() => drop(sources.files.insert(path.clone())),
                Some(path) if is_needed => drop(sources.folders.insert(package.name.clone(), path.clone())),
                Some(path) => drop(sources.others.insert(path.clone())),
                None if is_needed => sources.files.extend(package.files.iter().cloned()),
                None => {}
            }
        }
        sources
    }
}

impl Package {
    fn read(table: &Table, folder: &Path) -> Option<Self> {
        let source = table.get("source").and_then(Value::as_table);
        let on_disk = |path: &str| normal(&folder.join(path));
        let kinds = ["editable", "directory", "virtual", "path"];
        let path = source.and_then(|source| kinds.iter().find_map(|kind| source.get(*kind)?.as_str())).map(on_disk);
        let index = source.and_then(|source| source.get("registry")?.as_str()).filter(|index| !index.contains("://"));
        let archives = table.get("wheels").and_then(Value::as_array).into_iter().flatten().chain(table.get("sdist"));
        let archives = archives.filter_map(|archive| archive.get("path")?.as_str());
        let files =
            index.into_iter().flat_map(|index| archives.clone().map(move |name| on_disk(&format!("{index}/{name}"))));
        let tables = |name: &str| table.get(name).and_then(Value::as_table).into_iter().flatten();
        let optional = tables("optional-dependencies").flat_map(|(_, list)| names(list));
        Some(Self {
            name: table.get("name")?.as_str()?.to_owned(),
            path,
            files: files.collect(),
            needs: table.get("dependencies").into_iter().flat_map(names).chain(optional).collect(),
            groups: tables("dev-dependencies").map(|(name, list)| (name.clone(), names(list).collect())).collect(),
        })
    }

    /// Names of packages that are installed with it, but for those of these groups.
    fn wanted(&self, left_out: &[&str]) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter().filter(|(name, _)| !left_out.contains(&name.as_str()));
        self.needs.iter().chain(groups.flat_map(|(_, names)| names)).map(String::as_str)
    }
}

fn names(list: &Value) -> impl Iterator<Item = String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| Some(one.get("name")?.as_str()?.to_owned()))
}

/// The folder whose lock counts: that of the workspace that the project is a member of, else its own. As uv finds it: the first
/// manifest above the project decides.
fn workspace(dir: &Path, manifest: &Table) -> Result<PathBuf, PythonError> {
    let table = |manifest: &Table| Some(manifest.get("tool")?.get("uv")?.get("workspace")?.as_table()?.clone());
    if table(manifest).is_some() {
        return Ok(dir.to_owned());
    }
    let Some(above) = dir.ancestors().skip(1).find(|above| above.join("pyproject.toml").is_file()) else {
        return Ok(dir.to_owned());
    };
    let Some(workspace) = table(&read(&above.join("pyproject.toml"))?) else { return Ok(dir.to_owned()) };
    let path = dir.strip_prefix(above).unwrap_or(dir);
    let is_in = |list: &str| {
        let patterns = workspace.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        patterns.filter_map(glob).any(|glob| glob.is_match(path))
    };
    Ok(if is_in("members") && !is_in("exclude") { above.to_owned() } else { dir.to_owned() })
}

fn glob(pattern: &str) -> Option<GlobMatcher> {
    let pattern = normal(Path::new(pattern));
    Some(GlobBuilder::new(pattern.to_str()?).literal_separator(true).build().ok()?.compile_matcher())
}

/// Reads a file of TOML.
///
/// # Errors
/// If it can't be read, or is none.
pub(crate) fn read(path: &Path) -> Result<Table, PythonError> {
    let text = std::fs::read_to_string(path).map_err(PythonError::io(path))?;
    text.parse()
        .map_err(|error: toml::de::Error| PythonError::NotToml { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 1
[[package]]
name = "app"
source = { virtual = "packages/app" }
dependencies = [{ name = "helpers" }, { name = "numpy" }]
[package.optional-dependencies]
extra = [{ name = "wheel-file" }]
[package.dev-dependencies]
dev = [{ name = "tester" }]
lint = [{ name = "grouped" }]
[[package]]
name = "helpers"
source = { editable = "packages/helpers" }
dependencies = [{ name = "deeper" }]
[[package]]
name = "deeper"
source = { directory = "../deeper" }
dependencies = [{ name = "helpers" }, { name = "flat" }]
[[package]]
name = "tester"
source = { directory = "tester" }
[[package]]
name = "grouped"
source = { directory = "grouped" }
[[package]]
name = "other"
source = { editable = "packages/other" }
[[package]]
name = "wheel-file"
source = { path = "w/wheel_file-1-py3-none-any.whl" }
[[package]]
name = "flat"
source = { registry = "wheels" }
wheels = [{ path = "flat-1-py3-none-any.whl" }]
[[package]]
name = "numpy"
source = { registry = "https://pypi.org/simple" }
"#;

    /// A workspace with its lock, and a member.
    fn workspace_of(members: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (folder, app) = (root.path().join("repo"), root.path().join("repo/packages/app"));
        std::fs::create_dir_all(&app).unwrap();
        std::fs::create_dir_all(folder.join("w")).unwrap();
        std::fs::write(folder.join("w/wheel_file-1-py3-none-any.whl"), "").unwrap();
        std::fs::write(folder.join("pyproject.toml"), format!("[tool.uv.workspace]\n{members}")).unwrap();
        std::fs::write(folder.join("uv.lock"), LOCK).unwrap();
        (root, app)
    }

    #[test]
    fn all_that_lies_on_this_machine_is_found_with_what_it_needs_in_turn() {
        let (root, app) = workspace_of("members = [\"packages/*\"]");
        let sources = Lock::find(&app, &Table::new()).unwrap().sources(&app);
        let at = |path: &str| root.path().join(path);
        let folders =
            [("deeper", at("deeper")), ("grouped", at("repo/grouped")), ("helpers", at("repo/packages/helpers"))];
        assert_eq!(sources.folders, folders.map(|(name, path)| (name.to_owned(), path)).into());
        let files = [at("repo/w/wheel_file-1-py3-none-any.whl"), at("repo/wheels/flat-1-py3-none-any.whl")];
        assert_eq!(sources.files, files.into());
        assert_eq!(sources.others, [at("repo/tester"), at("repo/packages/other")].into());
    }

    #[test]
    fn only_a_member_has_its_workspaces_lock() {
        for members in ["members = [\"others/*\"]", "members = [\"packages/*\"]\nexclude = [\"packages/app\"]"] {
            let (_root, app) = workspace_of(members);
            let error = Lock::find(&app, &Table::new()).err().unwrap().to_string();
            assert!(error.contains("packages/app has no uv.lock"), "{error}");
        }
    }
}
