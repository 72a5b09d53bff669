//! Finds what a crate is made of from its manifests, without asking cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowc_code::normal;
use toml::{Table, Value};

use crate::BuildError;

/// A crate, the workspace that it belongs to, and all crates that they depend on by path.
pub(crate) struct Sources {
    /// Folders of all crates with their manifests; the crate itself first.
    pub(crate) packages: Vec<Package>,
    /// The folder whose Cargo.lock and profiles count.
    pub(crate) workspace: PathBuf,
    /// The workspace's manifest.
    root: Table,
}

/// A crate.
pub(crate) struct Package {
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    pub(crate) manifest: Table,
    /// The workspace root that it inherits from, if it does.
    pub(crate) inherits: Option<PathBuf>,
}

impl Sources {
    /// Reads manifests, starting in `dir`, and following path dependencies.
    pub(crate) fn find(dir: &Path) -> Result<Self, BuildError> {
        let dir = absolute(dir)?;
        if !dir.join("Cargo.toml").is_file() {
            return Err(BuildError::NotACrate { dir });
        }
        let manifest = read_manifest(&dir)?;
        let workspace = workspace_root(&dir, &manifest)?;
        let root = read_manifest(&workspace)?;
        let mut sources = Self { packages: Vec::new(), workspace, root };
        let mut due = if manifest.contains_key("package") { vec![dir] } else { sources.members()? };
        due.extend(patches(&sources.root, &sources.workspace));
        let mut next = 0;
        while let Some(dir) = due.get(next).cloned() {
            next += 1;
            if !sources.packages.iter().any(|package| package.dir == dir) {
                let package = Package::read(dir)?;
                due.extend(package.path_dependencies()?);
                sources.packages.push(package);
            }
        }
        Ok(sources)
    }

    /// The crate's own folder.
    pub(crate) fn dir(&self) -> &Path {
        self.packages.first().map_or(&self.workspace, |package| &package.dir)
    }

    /// The crate's own name.
    pub(crate) fn name(&self) -> &str {
        self.packages.first().map_or("", |package| &package.name)
    }

    pub(crate) fn expect_cdylib(&self) -> Result<(), BuildError> {
        let types = self.packages.first().and_then(|package| get(&package.manifest, &["lib", "crate-type"]));
        let cdylib =
            types.and_then(Value::as_array).is_some_and(|types| types.iter().any(|t| t.as_str() == Some("cdylib")));
        if cdylib { Ok(()) } else { Err(BuildError::NoCdylib { manifest: self.dir().join("Cargo.toml") }) }
    }

    /// The lock file.
    pub(crate) fn lock(&self) -> Result<PathBuf, BuildError> {
        let lock = self.workspace.join("Cargo.lock");
        if lock.is_file() { Ok(lock) } else { Err(BuildError::NoLock { dir: self.workspace.clone() }) }
    }

    /// Folders of the workspace's members; only plain paths and `folder/*` are understood.
    fn members(&self) -> Result<Vec<PathBuf>, BuildError> {
        let members = get(&self.root, &["workspace", "members"]).and_then(Value::as_array);
        let mut dirs = Vec::new();
        for member in members.into_iter().flatten().filter_map(Value::as_str) {
            match member.strip_suffix("/*") {
                Some(parent) => dirs.extend(crates_in(&self.workspace.join(parent))?),
                None => dirs.push(normal(&self.workspace.join(member))),
            }
        }
        Ok(dirs)
    }
}

impl Package {
    fn read(dir: PathBuf) -> Result<Self, BuildError> {
        let manifest = read_manifest(&dir)?;
        let name = get(&manifest, &["package", "name"]).and_then(Value::as_str);
        let name = name.ok_or_else(|| fault(&dir, "there is no package name in it"))?.to_owned();
        let inherits = if inherits(&manifest) { Some(workspace_root(&dir, &manifest)?) } else { None };
        Ok(Self { dir, name, manifest, inherits })
    }

    fn path_dependencies(&self) -> Result<Vec<PathBuf>, BuildError> {
        let shared = match &self.inherits {
            Some(root) => read_manifest(root)?,
            None => Table::new(),
        };
        let shared = get(&shared, &["workspace", "dependencies"]).and_then(Value::as_table);
        let mut dirs = Vec::new();
        for (name, dependency) in dependencies(&self.manifest) {
            let inherited = dependency.get("workspace").and_then(Value::as_bool) == Some(true);
            let (base, dependency) = match (inherited, &self.inherits) {
                (true, Some(root)) => (root, shared.and_then(|shared| shared.get(name))),
                _ => (&self.dir, Some(dependency)),
            };
            dirs.extend(dependency.and_then(|d| d.get("path")?.as_str()).map(|path| normal(&base.join(path))));
        }
        Ok(dirs)
    }
}

/// Normal and build dependencies, for all targets. Those for tests make no difference to what is built.
fn dependencies(manifest: &Table) -> BTreeMap<&str, &Value> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let lists = tables.flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")]);
    let entries = lists.flatten().filter_map(Value::as_table).flatten();
    entries.map(|(name, dependency)| (name.as_str(), dependency)).collect()
}

fn patches(root: &Table, workspace: &Path) -> Vec<PathBuf> {
    let registries = root.get("patch").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let entries = registries.filter_map(Value::as_table).flat_map(Table::values);
    entries.filter_map(|entry| entry.get("path")?.as_str()).map(|path| normal(&workspace.join(path))).collect()
}

/// Whether anything in a manifest says `workspace = true`.
fn inherits(manifest: &Table) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::Table(table) => {
                table.iter().any(|(key, value)| (key == "workspace" && value.as_bool() == Some(true)) || any(value))
            }
            _ => false,
        }
    }
    manifest.values().any(any)
}

/// The folder of the workspace that a crate belongs to: its own if there is none above that claims it.
fn workspace_root(dir: &Path, manifest: &Table) -> Result<PathBuf, BuildError> {
    if let Some(path) = get(manifest, &["package", "workspace"]).and_then(Value::as_str) {
        return Ok(normal(&dir.join(path)));
    }
    if manifest.contains_key("workspace") {
        return Ok(dir.to_owned());
    }
    for above in dir.ancestors().skip(1).filter(|above| above.join("Cargo.toml").is_file()) {
        let manifest = read_manifest(above)?;
        if manifest.contains_key("workspace") && !is_excluded(&manifest, above, dir) {
            return Ok(above.to_owned());
        }
    }
    Ok(dir.to_owned())
}

/// Whether a workspace leaves a folder out; what it names as a member is in, even below a folder that is left out.
fn is_excluded(root: &Table, above: &Path, dir: &Path) -> bool {
    let list = |name| get(root, &["workspace", name]).and_then(Value::as_array).into_iter().flatten();
    let paths = |name| list(name).filter_map(Value::as_str).map(|path| normal(&above.join(path)));
    paths("exclude").any(|path| dir.starts_with(path)) && !paths("members").any(|path| path == dir)
}

fn crates_in(parent: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let entries = std::fs::read_dir(parent).map_err(BuildError::io(parent))?;
    let dirs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut dirs: Vec<PathBuf> = dirs.filter(|dir| dir.join("Cargo.toml").is_file()).collect();
    dirs.sort();
    Ok(dirs)
}

fn get<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (last, parents) = path.split_last()?;
    parents.iter().try_fold(table, |table, key| table.get(*key)?.as_table())?.get(*last)
}

fn read_manifest(dir: &Path) -> Result<Table, BuildError> {
    let path = dir.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(BuildError::io(&path))?;
    text.parse().map_err(|error: toml::de::Error| fault(dir, &error.to_string()))
}

fn fault(dir: &Path, reason: &str) -> BuildError {
    BuildError::Manifest { manifest: dir.join("Cargo.toml"), reason: reason.to_owned() }
}

fn absolute(dir: &Path) -> Result<PathBuf, BuildError> {
    Ok(normal(&std::path::absolute(dir).map_err(BuildError::io(dir))?))
}
