//! Which library a driver's name means: ADBC's manifests, and the folders where they are looked for.

use std::path::{Path, PathBuf};

use crate::error::DatabaseError;

/// The folders to look in first, separated by colons.
const SEARCH_PATH: &str = "ADBC_DRIVER_PATH";
/// Folders of libraries, looked in last.
const LIBRARIES: [&str; 4] = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"];
/// How DuckDB's library begins a driver, which has no name of the usual form.
const DUCKDB: &str = "duckdb_adbc_init";

/// A driver that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Driver {
    /// The library's file.
    pub(crate) library: PathBuf,
    /// The function by which it begins, where that is not the usual one.
    pub(crate) entrypoint: Option<String>,
}

impl Driver {
    /// Whether it is the one of DuckDB, which calls its file otherwise.
    pub(crate) fn is_duckdb(&self) -> bool {
        self.entrypoint.as_deref() == Some(DUCKDB)
    }
}

/// Finds the driver that a text names. Paths start from `base`.
///
/// # Errors
/// If there is none of the name, or its manifest can't be used.
pub(crate) fn find(driver: &str, base: &Path) -> Result<Driver, DatabaseError> {
    let failed = |reason: String| DatabaseError::Driver { driver: driver.to_owned(), reason };
    let is_path = driver.contains('/') || [".so", ".toml", ".dylib"].iter().any(|ending| driver.ends_with(ending));
    if is_path {
        let path = base.join(driver);
        return if path.is_file() {
            of_file(&path).map_err(failed)
        } else {
            Err(failed(format!("there is no file {}", path.display())))
        };
    }
    let folders = folders();
    for folder in &folders {
        let names = [format!("{driver}.toml"), format!("lib{driver}.so"), format!("libadbc_driver_{driver}.so")];
        if let Some(path) = names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            return of_file(&path).map_err(failed);
        }
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(failed(format!(
        "install it (`pip install adbc-driver-{driver}` has some, `dbc install {driver}` others), and name its library in place of \
         `{driver}`, or its folder in {SEARCH_PATH} (looked in {})",
        looked.join(", ")
    )))
}

/// Where manifests and libraries are looked for, as other users of ADBC do.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let listed =
        variable(SEARCH_PATH).map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>()).unwrap_or_default();
    let below = |name: &str, rest: &str| variable(name).map(|folder| PathBuf::from(folder).join(rest));
    let environments = [below("VIRTUAL_ENV", "etc/adbc/drivers"), below("CONDA_PREFIX", "etc/adbc/drivers")];
    let user = below("XDG_CONFIG_HOME", "adbc/drivers").or_else(|| below("HOME", ".config/adbc/drivers"));
    let system = ["/etc/adbc/drivers"].into_iter().chain(LIBRARIES).map(PathBuf::from);
    listed.into_iter().chain(environments.into_iter().flatten()).chain(user).chain(system).collect()
}

/// The driver of a library or manifest.
fn of_file(path: &Path) -> Result<Driver, String> {
    let driver = match path.extension().is_some_and(|ending| ending == "toml") {
        true => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let driver = of_manifest(&text).map_err(|reason| format!("the manifest {}: {reason}", path.display()))?;
            Driver { library: path.parent().unwrap_or(Path::new("")).join(driver.library), ..driver }
        }
        false => Driver { library: path.to_owned(), entrypoint: None },
    };
    let library = std::fs::canonicalize(&driver.library)
        .map_err(|error| format!("its library {}: {error}", driver.library.display()))?;
    let is_duckdb = library.file_name().is_some_and(|name| name.to_string_lossy().contains("duckdb"));
    let entrypoint = driver.entrypoint.or_else(|| is_duckdb.then(|| DUCKDB.to_owned()));
    Ok(Driver { library, entrypoint })
}

/// What a manifest says. A library for several kinds of machines has one for each.
fn of_manifest(text: &str) -> Result<Driver, String> {
    let manifest: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let driver = manifest.get("Driver").and_then(toml::Value::as_table).ok_or("it has no table `Driver`")?;
    let shared = driver.get("shared").ok_or("its `Driver` names no `shared` library")?;
    let machine = machine();
    let library = match shared {
        toml::Value::String(path) => path.clone(),
        toml::Value::Table(machines) => {
            let path = machines.get(&machine).and_then(toml::Value::as_str);
            path.ok_or_else(|| format!("it has no library for {machine}"))?.to_owned()
        }
        _ => return Err("its `shared` is neither a path nor a table of paths".to_owned()),
    };
    let entrypoint = driver.get("entrypoint").and_then(toml::Value::as_str).map(str::to_owned);
    Ok(Driver { library: library.into(), entrypoint })
}

/// This kind of machine, as manifests call it.
fn machine() -> String {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}_{processor}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_a_library_for_each_machine() {
        let own = machine();
        let of = |text: &str| of_manifest(text);
        let driver = |library: &str, entrypoint: Option<&str>| Driver {
            library: library.into(),
            entrypoint: entrypoint.map(str::to_owned),
        };
        assert_eq!(of("[Driver]\nshared = '/a/b.so'"), Ok(driver("/a/b.so", None)));
        let several = format!(
            "manifest_version = 1\n[Driver]\nentrypoint = 'Init'\n[Driver.shared]\n{own} = 'b.so'\nother = 'c.so'"
        );
        assert_eq!(of(&several), Ok(driver("b.so", Some("Init"))));
        for (text, reason) in [
            ("[Driver.shared]\nother_machine = 'c.so'", "it has no library for"),
            ("name = 'x'", "it has no table `Driver`"),
            ("[Driver]\n", "names no `shared` library"),
            ("[Driver]\nshared = 3", "neither a path nor"),
            ("[Driver\n", ""),
        ] {
            assert!(of(text).unwrap_err().contains(reason), "{text}: {:?}", of(text));
        }
    }

    #[test]
    fn a_driver_is_found_by_its_path_and_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libduckdb.so"), "").unwrap();
        std::fs::write(folder.path().join("mine.toml"), "[Driver]\nshared = 'libmine.so'\n").unwrap();
        let found = find("libduckdb.so", folder.path()).unwrap();
        assert!(found.is_duckdb() && found.library.ends_with("libduckdb.so"));
        let error = find("./mine.toml", folder.path()).unwrap_err().to_string();
        assert!(error.contains("libmine.so"), "{error}");
        let error = find("nosuch", folder.path()).unwrap_err().to_string();
        assert!(error.contains("there is no ADBC driver `nosuch`") && error.contains("/etc/adbc/drivers"), "{error}");
        let error = find("./none.so", folder.path()).unwrap_err().to_string();
        assert!(error.contains("there is no file"), "{error}");
    }
}
