//! The program `uv`, started where the project is, with as much of the environment as says where packages come from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowc_code::{FETCHING, ToolError};

use crate::PythonError;

/// The variable that names the program.
pub(crate) const PROGRAM: &str = "FLOWC_UV";

/// Variables that decide which interpreter is picked.
pub(crate) const PICKING: [&str; 12] = [
    "PATH",
    "HOME",
    PROGRAM,
    "UV_PYTHON",
    "UV_PYTHON_PREFERENCE",
    "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_SEARCH_PATH",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "PYENV_ROOT",
    "PYENV_VERSION",
];

/// Variables of uv that say where packages come from, beside those that say how anything is fetched. What is installed is pinned by
/// digests.
const SETTINGS: [&str; 24] = [
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SSL_CLIENT_CERT",
    "REQUESTS_CA_BUNDLE",
    "UV_CACHE_DIR",
    "UV_CONFIG_FILE",
    "UV_NO_CONFIG",
    "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_REQUEST_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
];

/// How names of variables begin that hold the credentials of an index.
const CREDENTIALS: &str = "UV_INDEX_";

/// The command `uv` in a folder: the one that `FLOWC_UV` names, or the first on the `PATH`.
pub(crate) fn uv(folder: &Path) -> Command {
    let mut command = within(std::env::var_os(PROGRAM).unwrap_or_else(program), folder);
    command.args(["--no-progress", "--color", "never"]);
    // Links to uv's cache would change with it, and whoever edits a package in another environment edits it there.
    command.env("UV_LINK_MODE", "copy");
    command
}

/// The first `uv` on the `PATH` that is a program. Managers of versions put scripts there which go by the current folder, and find
/// no uv where a project asks for a version that has none: then it is the newest that they manage.
fn program() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join("uv")).collect();
    let (shims, programs): (Vec<_>, Vec<_>) = found
        .iter()
        .filter(|uv| uv.is_file())
        .partition(|uv| uv.parent().is_some_and(|folder| folder.ends_with("shims")));
    let managed = |shim: &PathBuf| {
        let versions = std::fs::read_dir(shim.parent()?.parent()?.join("versions")).ok()?;
        versions.flatten().map(|version| version.path().join("bin/uv")).filter(|uv| uv.is_file()).max()
    };
    let found = programs.first().map(|uv| uv.to_path_buf()).or_else(|| shims.iter().find_map(|shim| managed(shim)));
    found.map_or_else(|| "uv".into(), PathBuf::into_os_string)
}

/// A program in a folder, with the variables that are listed here and no others.
pub(crate) fn within(program: impl Into<OsString>, folder: &Path) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(folder).env_clear();
    let is_passed = |name: &str| {
        PICKING.contains(&name) || FETCHING.contains(&name) || SETTINGS.contains(&name) || name.starts_with(CREDENTIALS)
    };
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed)));
    command
}

/// That uv does not start.
pub(crate) fn no_uv(error: ToolError) -> PythonError {
    match error {
        ToolError::NotStarted(reason) => PythonError::NoUv { reason },
        ToolError::NotGuarded(_) => PythonError::NoTools(error),
        ToolError::Stopped => PythonError::Stopped,
    }
}
