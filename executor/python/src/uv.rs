//! The program `uv`, started where the project is, with as much of the environment as says where packages come from.

use std::ffi::{OsStr, OsString};
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
    let named = std::env::var_os(PROGRAM).unwrap_or_else(|| "uv".into());
    let mut command = within(program(named.as_ref(), &std::env::var_os("PATH").unwrap_or_default()), folder);
    command.args(["--no-progress", "--color", "never"]);
    // Links to uv's cache would change with it, and whoever edits a package in another environment edits it there.
    command.env("UV_LINK_MODE", "copy");
    command
}

/// The program that a name or a path stands for: a name is looked for on the `path`. Managers of versions put scripts there which
/// go by the current folder, and find no uv where a project asks for a version that has none. What is no such script comes first;
/// else it is the newest program that they manage.
fn program(named: &Path, path: &OsStr) -> PathBuf {
    let found: Vec<PathBuf> = if named.components().count() == 1 {
        std::env::split_paths(path).map(|folder| folder.join(named)).filter(|found| found.is_file()).collect()
    } else {
        vec![named.to_owned()]
    };
    let is_shim = |found: &&PathBuf| found.parent().is_some_and(|folder| folder.ends_with("shims"));
    let managed = |shim: &PathBuf| {
        let versions = std::fs::read_dir(shim.parent()?.parent()?.join("versions")).ok()?;
        let program = Path::new("bin").join(shim.file_name()?);
        versions.flatten().map(|version| version.path().join(&program)).filter(|found| found.is_file()).max()
    };
    let direct = found.iter().find(|found| !is_shim(found)).cloned();
    direct.or_else(|| found.iter().find_map(managed)).unwrap_or_else(|| named.to_owned())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_a_version_manager_is_never_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let shim = place("manager/shims/uv");
        let newest = place("manager/versions/3.12/bin/uv");
        place("manager/versions/3.10/bin/uv");
        let direct = place("bin/uv");
        let lone = place("lone/shims/uv");
        let path = |found: &[&PathBuf]| std::env::join_paths(found.iter().map(|uv| uv.parent().unwrap())).unwrap();
        let cases = [
            ("uv", path(&[&shim]), newest.as_path()),
            ("uv", path(&[&shim, &direct]), &direct),
            ("uv", path(&[&lone]), Path::new("uv")),
            ("uv", path(&[&lone, &shim]), &newest),
            ("uv", path(&[]), Path::new("uv")),
            (shim.to_str().unwrap(), path(&[&direct]), &newest),
            (direct.to_str().unwrap(), path(&[&shim]), &direct),
            ("/nowhere/uv", path(&[&direct]), Path::new("/nowhere/uv")),
        ];
        for (named, path, due) in cases {
            assert_eq!(program(Path::new(named), &path), due, "{named} on {path:?}");
        }
    }
}
