//! Where secrets come from.

use serde::{Deserialize, Serialize};

/// Where the value of a secret is taken from when a stage is to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// An environment variable of flowc.
    Env(String),
    /// A file, relative to the pipeline's folder unless absolute.
    File(String),
}

/// As in the text.
impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretSource::Env(variable) => write!(f, "env={variable:?}"),
            SecretSource::File(path) => write!(f, "file={path:?}"),
        }
    }
}
