//! The folder of a Python stage, and all that it is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_code::{Evidence, Parts, Reader, Root, Rules, Snapshots, Tools, Tree};
use flowc_planner::key::{KeyHasher, StageDigest};
use toml::{Table, Value};

use crate::built::Notes;
use crate::interpreter::Search;
use crate::lock::{Lock, PathSources, read};
use crate::{Interpreter, PythonError, sdk};

/// A folder with a `pyproject.toml`, a lock and modules, the packages of this machine that it needs, and the interpreter that
/// runs them.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// What runs it.
    pub interpreter: Interpreter,
    /// The file that keeps which interpreter was picked.
    picked: String,
    /// The project, the packages that lie on this machine, and what uv reads.
    tree: Arc<Tree>,
    /// Where the project is in the tree.
    place: PathBuf,
    /// What of the tree decides about the environment: folders and files.
    installed: Vec<PathBuf>,
    /// Names of packages that lie on this machine.
    packages: Vec<String>,
    /// Of what is installed.
    pins: [u8; 32],
    /// Of what that became, if it is not what it became first.
    variant: Option<[u8; 32]>,
    evidence: Evidence,
}

impl Project {
    /// Reads the folder. Which interpreter was picked is kept in `home`, and so is what its packages became.
    ///
    /// # Errors
    /// If it is no project, its packages are not pinned, or there is no interpreter for it.
    pub fn find(dir: &Path, home: &Path, tools: Tools<'_>, reader: &Reader<'_>) -> Result<Self, PythonError> {
        let manifest_path = dir.join("pyproject.toml");
        if !manifest_path.is_file() {
            return Err(PythonError::NotAProject { dir: dir.to_owned() });
        }
        let dir = dir.canonicalize().map_err(PythonError::io(dir))?;
        let manifest = read(&manifest_path)?;
        let lock = Lock::find(&dir, &manifest)?;
        let sources = lock.sources(&dir);
        let manifests = manifests(&dir, &lock.folder, &sources);
        let tree = Tree::read(&roots(&dir, &manifest, &manifests, &sources)?, reader)?;
        let within = |path: &Path| path.strip_prefix(&tree.base).unwrap_or(path).to_owned();
        let installed = sources.folders.values().chain(&sources.files).chain(&manifests);
        // Packages that are found by running the project's own code depend on all of it.
        let own = is_dynamic(&manifest).then_some(&dir);
        let installed: Vec<PathBuf> = installed.chain(own).map(|path| within(path)).collect();
        let pins = tree.digest_of(|path| installed.iter().any(|installed| path.starts_with(installed)));
        let search = Search::new(&dir, &manifests);
        let interpreter = Interpreter::find(&search, home, tools)?;
        let mut evidence = tree.evidence.clone();
        evidence.look_above(&dir, &["pyproject.toml"]);
        evidence.look(&interpreter.path);
        evidence.extend(search.evidence);
        let (place, packages) = (within(&dir), sources.folders.into_keys().collect());
        let (picked, tree) = (search.name, Arc::new(tree));
        let variant = None;
        let mut project = Self { dir, interpreter, picked, tree, place, installed, packages, pins, variant, evidence };
        let notes = Notes::of(home, &project.environment());
        project.evidence.look(&notes.variant);
        project.variant = notes.variant();
        Ok(project)
    }

    /// The name of its environment: equal for equal packages under an equal interpreter.
    pub fn environment(&self) -> String {
        let Interpreter { build, implementation, platform, prefix, .. } = &self.interpreter;
        let mut hasher = KeyHasher::new("flowc python environment 4");
        hasher.digest(&self.pins).bytes(self.place.as_os_str().as_encoded_bytes());
        for part in [build, implementation, platform] {
            hasher.bytes(part.as_bytes());
        }
        // Not in any key of results: it says only where this machine's interpreter lies.
        hasher.bytes(prefix.as_os_str().as_encoded_bytes());
        blake3_hex(hasher.finish())
    }

    /// What its environment is, if that is not what it was first.
    pub(crate) fn variant(&self) -> Option<[u8; 32]> {
        self.variant
    }

    /// Whether something of the tree decides about the environment.
    pub(crate) fn is_installed(&self, path: &Path) -> bool {
        self.installed.iter().any(|installed| path.starts_with(installed))
    }

    /// All that it is made of.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Where it is in a copy of its tree.
    pub(crate) fn within(&self, copy: &Path) -> PathBuf {
        // `join` of nothing would add a slash.
        copy.join(&self.place).components().collect()
    }

    /// Names of packages that lie on this machine.
    pub(crate) fn packages(&self) -> &[String] {
        &self.packages
    }

    /// The names of what is kept for it: among environments, and among snapshots.
    pub fn kept(&self) -> [String; 3] {
        [self.environment(), self.picked.clone(), Snapshots::name(&self.tree)]
    }

    /// Identity of one of its stages: its sources, its packages and what they became, the interpreter, and the SDK that serves it.
    pub fn digest(&self, entry: &str) -> StageDigest {
        let Interpreter { build, implementation, platform, .. } = &self.interpreter;
        let mut hasher = KeyHasher::new("flowc python stage 2");
        hasher.digest(&self.tree.digest()).bytes(self.place.as_os_str().as_encoded_bytes());
        hasher.bytes(entry.as_bytes()).digest(&sdk::digest());
        for part in [build, implementation, platform] {
            hasher.bytes(part.as_bytes());
        }
        if let Some(variant) = &self.variant {
            hasher.digest(variant);
        }
        StageDigest::new(hasher.finish())
    }

    /// What its stages consist of; files by their paths from `base`.
    pub fn parts(&self, base: &Path) -> Parts {
        let Interpreter { build, implementation, platform, .. } = &self.interpreter;
        let interpreter = [build.as_str(), implementation, platform].join("\n");
        let parts = Parts::default().with_tree(&self.tree, base);
        let became = self.variant.iter();
        let parts = became.fold(parts, |parts, variant| parts.with("what the packages were built to", variant));
        parts.with("the Python interpreter", interpreter.as_bytes()).with("flowc's SDK", &sdk::digest())
    }

    /// What identifies its runner, for people; all of it is in the digest.
    pub fn runner(&self) -> BTreeMap<String, String> {
        let Interpreter { version, platform, .. } = &self.interpreter;
        let packages = blake3_hex(self.variant.unwrap_or(self.pins))[..12].to_owned();
        let parts = [("python", version.clone()), ("platform", platform.clone()), ("packages", packages)];
        parts.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// By what a later run sees that it is still the same.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// What uv reads beside packages: manifests, the lock, settings.
fn manifests(dir: &Path, folder: &Path, sources: &PathSources) -> Vec<PathBuf> {
    let mut files = vec![dir.join("pyproject.toml"), dir.join("uv.toml")];
    files.extend(["pyproject.toml", "uv.lock", "uv.toml"].map(|name| folder.join(name)));
    files.extend(sources.others.iter().map(|other| other.join("pyproject.toml")));
    files.sort();
    files.dedup();
    files
}

fn roots(dir: &Path, manifest: &Table, manifests: &[PathBuf], sources: &PathSources) -> Result<Vec<Root>, PythonError> {
    let mut rules = Rules::of_project(&dir.join("pyproject.toml"), manifest)?;
    if is_dynamic(manifest) {
        // Building it reads its README and the like.
        rules = Rules::default();
    }
    let own = Root::new(dir, rules);
    let packages = sources.folders.values().map(|folder| Root::new(folder, Rules::default()));
    let files = manifests.iter().chain(&sources.files).map(|file| Root::new(file, Rules::default()));
    Ok([own].into_iter().chain(packages).chain(files).collect())
}

/// Whether the project's packages or version are known only by building it.
fn is_dynamic(manifest: &Table) -> bool {
    let dynamic = manifest.get("project").and_then(|project| project.get("dynamic")?.as_array());
    dynamic.is_some_and(|dynamic| dynamic.iter().any(|field| field.as_str().is_some_and(|f| f != "readme")))
        && manifest.get("project").and_then(Value::as_table).is_some()
}

fn blake3_hex(digest: [u8; 32]) -> String {
    StageDigest::new(digest).to_string()
}
