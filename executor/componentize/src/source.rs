//! All that a component is made of, as far as it can be told before a build, and with what a build read besides.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flowc_code::{Evidence, Parts, Reader, Root, Rules, Tools, Tree, relative};
use flowc_platform::FileStamp;
use serde::{Deserialize, Serialize};

use crate::manifest::{Package, Sources};
use crate::toolchain::Toolchain;
use crate::{BuildError, RUSTFLAGS, TARGET, environment};

/// Bump this when the way of building changes the bytes of components.
const VERSION: &str = "flowc componentize 5";

/// Folders that hold no sources.
const BUILT: &[&str] = &["target"];

/// A crate, with those that it depends on by path, and the toolchain.
pub struct Source {
    pub(crate) sources: Sources,
    /// Of each package.
    trees: Vec<Tree>,
    /// Manifests and settings beside them.
    texts: Vec<PathBuf>,
    pub(crate) toolchain: Toolchain,
    /// What build scripts see of this machine.
    pub(crate) variables: BTreeMap<String, OsString>,
    digest: [u8; 32],
    /// By what is seen that its files are the same.
    pub(crate) files: Evidence,
}

/// What a build read that is in no package's folder, or not known to be code: `include_str!`, `#[path]`, and what build
/// scripts say that they depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Files and folders; what is not there counts as well.
    pub(crate) files: Vec<PathBuf>,
}

/// A crate with what its build reads besides: equal digests, equal components.
pub struct Known {
    /// Of everything.
    pub digest: [u8; 32],
    /// By what a later run sees that it is still the same.
    pub evidence: Evidence,
    /// Of this, what it was built from.
    pub(crate) files: Evidence,
    /// Files and what else it consists of; files by their paths from the folder that was asked for.
    pub parts: Parts,
    /// What its build reads besides, with digests.
    pub(crate) reads: BTreeMap<PathBuf, String>,
}

impl Source {
    /// Reads the crate in `dir`: its own files and those of crates that it depends on by path, `Cargo.lock`, cargo's settings, the
    /// toolchain, the flags, and the variables that build scripts see. `target` folders and what tools make are left out.
    ///
    /// # Errors
    /// If a manifest or a file can't be read, there is no `Cargo.lock`, or no toolchain.
    pub fn find(dir: &Path, tools: Tools<'_>, reader: &Reader<'_>) -> Result<Self, BuildError> {
        let sources = Sources::find(dir)?;
        let toolchain = Toolchain::find(sources.dir(), tools)?;
        let variables = environment::building(&toolchain.sysroot);
        let trees = sources.packages.iter().map(|package| tree(package, reader)).collect::<Result<Vec<_>, _>>()?;
        let mut texts = vec![sources.lock()?, sources.workspace.join("Cargo.toml")];
        let inherited = sources.packages.iter().filter_map(|package| package.inherits.as_ref());
        texts.extend(inherited.map(|root| root.join("Cargo.toml")));
        texts.extend(environment::settings(sources.dir()));
        let mut files = Evidence::default();
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        [VERSION, RUSTFLAGS, TARGET, &toolchain.version].iter().for_each(|text| add(text.as_bytes()));
        for (name, value) in &variables {
            add(name.as_bytes());
            add(value.as_encoded_bytes());
        }
        for text in &texts {
            files.look(text);
            add(&std::fs::read(text).map_err(BuildError::io(text))?);
        }
        for (package, tree) in sources.packages.iter().zip(&trees) {
            add(package.name.as_bytes());
            add(&tree.digest());
            files.extend(tree.evidence.clone());
        }
        let digest = *hasher.finalize().as_bytes();
        Ok(Self { sources, trees, texts, toolchain, variables, digest, files })
    }

    /// The digest of all that is known before a build.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Files and folders that it was read from.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.paths.keys()
    }

    /// For each package by its name, the digest of its own files and of what build scripts see, in hex.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&str, String)> {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in &self.variables {
            hasher.update(format!("{name}={}\n", value.display()).as_bytes());
        }
        let digest = move |tree: &Tree| hasher.clone().update(&tree.digest()).finalize().to_hex().to_string();
        self.sources.packages.iter().zip(&self.trees).map(move |(package, tree)| (package.name.as_str(), digest(tree)))
    }

    /// Whether a file is hashed with a package.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let is_in = |tree: &Tree| path.strip_prefix(&tree.base).is_ok_and(|path| tree.entries.contains_key(path));
        self.texts.iter().any(|text| text == path) || self.trees.iter().any(is_in)
    }

    /// The crate with what its build reads besides. Files are named by their paths from `base`.
    ///
    /// # Errors
    /// If one of these can't be read.
    pub fn with(&self, reads: &Reads, base: &Path, reader: &Reader<'_>) -> Result<Known, BuildError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.digest);
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        let mut files = self.files.clone();
        let mut evidence = environment::evidence(self.sources.dir());
        let mut parts = self.trees.iter().fold(Parts::default(), |parts, tree| parts.with_tree(tree, base));
        for text in &self.texts {
            parts = parts.with_file(text, base, &std::fs::read(text).map_err(BuildError::io(text))?);
        }
        parts = parts.with("the Rust toolchain", self.toolchain.version.as_bytes());
        for (name, value) in &self.variables {
            parts = parts.with(&format!("the environment variable {name}"), value.as_encoded_bytes());
        }
        let mut digests = BTreeMap::new();
        for path in &reads.files {
            let tree = read_besides(path, reader)?;
            digests.insert(path.clone(), hex(&tree));
            add(relative(self.sources.dir(), path).as_os_str().as_encoded_bytes());
            add(&tree.digest());
            parts = parts.with_tree(&tree, base);
            files.extend(tree.evidence);
        }
        evidence.extend(files.clone());
        Ok(Known { digest: *hasher.finalize().as_bytes(), evidence, files, parts, reads: digests })
    }
}

/// The digest of what lies at a path, as it is noted of what a build read besides; none if it can't be read.
pub(crate) fn digest_besides(path: &Path, reader: &Reader<'_>) -> Option<String> {
    read_besides(path, reader).ok().as_ref().map(hex)
}

fn read_besides(path: &Path, reader: &Reader<'_>) -> Result<Tree, BuildError> {
    Ok(Tree::read(&[Root::new(path, Rules::of_tools(BUILT))], reader)?)
}

fn hex(tree: &Tree) -> String {
    blake3::Hash::from_bytes(tree.digest()).to_hex().to_string()
}

/// What has changed, or may have, at a time or after it. What a build read is what was hashed if both were read after that time.
pub(crate) fn changed_since(files: &Evidence, time: SystemTime) -> Option<&PathBuf> {
    let stands =
        |path: &PathBuf, stamp: &FileStamp| FileStamp::of(path).is_ok_and(|now| now == *stamp && !stamp.is_racy(time));
    let changed = files.paths.iter().find(|(path, stamp)| !stands(path, stamp)).map(|(path, _)| path);
    changed.or_else(|| files.absent.iter().find(|path| path.exists()))
}

fn tree(package: &Package, reader: &Reader<'_>) -> Result<Tree, BuildError> {
    let rules = Rules::of_crate(&package.dir.join("Cargo.toml"), &package.manifest)?;
    Ok(Tree::read(&[Root::new(&package.dir, rules)], reader)?)
}
