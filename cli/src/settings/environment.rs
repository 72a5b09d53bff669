//! Environment variables as a value, so that resolving is a function.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;

use super::layer::Layer;
use super::{ColorChoice, SettingsError};

const PARAM: &str = "FLOWC_PARAM_";

/// The process's variables and current folder. Empty variables count as not set.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    current: PathBuf,
}

impl Environment {
    /// From the process.
    pub(crate) fn of_process() -> Self {
        Self::new(std::env::vars_os(), std::env::current_dir().unwrap_or_default())
    }

    /// From values.
    pub(crate) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>, current: PathBuf) -> Self {
        let variables = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { variables, current }
    }

    /// A variable's value.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A path as seen from the current folder.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.current.join(path).components().collect()
    }

    /// The user's settings file, whether it is there or not.
    pub(crate) fn user_config(&self) -> Option<PathBuf> {
        Some(self.base("XDG_CONFIG_HOME", ".config")?.join("flowc/config.toml"))
    }

    /// Where the store is unless set.
    pub(super) fn default_store(&self) -> Option<PathBuf> {
        Some(self.base("XDG_CACHE_HOME", ".cache")?.join("flowc"))
    }

    fn base(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let set = self.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(Path::new(self.get("HOME")?).join(in_home)))
    }

    fn parse<T>(
        &self,
        name: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.to_string_lossy();
        let wrong = || SettingsError::Variable { name: name.to_owned(), value: text.to_string(), expected };
        value.to_str().and_then(parse).map(Some).ok_or_else(wrong)
    }

    fn params(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        let named = self.variables.keys().filter_map(|name| name.to_str()).filter(|name| name.starts_with(PARAM));
        let pairs = named.map(|name| {
            let value = self.parse(name, "UTF-8 text", |text| Some(text.to_owned()))?;
            Ok((name[PARAM.len()..].to_owned(), value.unwrap_or_default()))
        });
        pairs.collect()
    }
}

/// What the environment says.
pub(super) fn layer(env: &Environment) -> Result<Layer, SettingsError> {
    let color = env.parse("FLOWC_COLOR", "auto, always or never", |text| ColorChoice::from_str(text, true).ok())?;
    Ok(Layer {
        store: env.get("FLOWC_STORE").map(PathBuf::from),
        jobs: env.parse("FLOWC_JOBS", "a whole number, 1 or more", parse)?,
        memory: env.parse("FLOWC_MEMORY", "a size such as 512MiB", parse)?,
        budget: env.parse("FLOWC_BUDGET", "a size such as 8GiB", parse)?,
        params: env.params()?,
        locked: env.parse("FLOWC_LOCKED", "true or false", parse_bool)?,
        no_build: env.parse("FLOWC_NO_BUILD", "true or false", parse_bool)?,
        require_isolation: env.parse("FLOWC_REQUIRE_ISOLATION", "true or false", parse_bool)?,
        workers: env.get("FLOWC_WORKER").map(|files| std::env::split_paths(files).collect()).unwrap_or_default(),
        gpu: env.parse("FLOWC_GPU", "UTF-8 text", |text| Some(text.to_owned()))?,
        color: color.or_else(|| env.get("NO_COLOR").map(|_| ColorChoice::Never)),
    })
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
