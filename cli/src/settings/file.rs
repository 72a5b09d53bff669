//! Settings files: `flowc.toml` of a project and `config.toml` of a user, of one form.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::layer::Layer;
use super::{ByteSize, ColorChoice, SettingsError};

/// A settings file that was read.
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) layer: Layer,
}

/// The form of a settings file. Unknown keys are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Form {
    store: Option<PathBuf>,
    jobs: Option<NonZeroUsize>,
    memory: Option<ByteSize>,
    budget: Option<ByteSize>,
    #[serde(default)]
    params: BTreeMap<String, Scalar>,
    locked: Option<bool>,
    no_build: Option<bool>,
    require_isolation: Option<bool>,
    #[serde(default)]
    workers: Vec<PathBuf>,
    gpu: Option<String>,
    color: Option<ColorChoice>,
}

/// A param's value: text, or what reads the same as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Bool(bool),
    Integer(i64),
    Float(f64),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Integer(value) => value.fmt(f),
            Scalar::Float(value) => write!(f, "{value:?}"),
        }
    }
}

/// Reads a settings file. Relative paths are relative to the file.
pub(super) fn load(path: PathBuf) -> Result<SettingsFile, SettingsError> {
    let wrong = |message: String| SettingsError::File { path: path.clone(), message };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let form: Form = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let layer = form.layer(path.parent().unwrap_or(Path::new("")));
    Ok(SettingsFile { path, layer })
}

impl Form {
    fn layer(self, folder: &Path) -> Layer {
        Layer {
            store: self.store.map(|store| folder.join(store)),
            jobs: self.jobs,
            memory: self.memory,
            budget: self.budget,
            params: self.params.into_iter().map(|(name, value)| (name, value.to_string())).collect(),
            locked: self.locked,
            no_build: self.no_build,
            require_isolation: self.require_isolation,
            workers: self.workers.iter().map(|file| folder.join(file)).collect(),
            gpu: self.gpu,
            color: self.color,
        }
    }
}
