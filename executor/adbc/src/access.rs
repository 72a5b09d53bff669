//! From the text of a pipeline to what a driver's process is given. This is where secrets are looked up: nothing else holds them.

use std::path::{Path, PathBuf};

use flowc_planner::plan::{Database, DriverSecret, SecretSource};
use flowc_platform::{secret_of_file, secret_of_variable};

use crate::driver::{Driver, find};
use crate::error::DatabaseError;

/// The option that most drivers take an address by.
const URI: &str = "uri";
/// The one by which DuckDB takes a file.
const PATH: &str = "path";

/// What a process is given to reach a database. It may hold secrets, so it can't be printed.
#[derive(Clone)]
pub struct Access {
    /// The driver, as the text names it.
    pub(crate) shown: String,
    pub(crate) library: PathBuf,
    pub(crate) entrypoint: Option<String>,
    /// Options of the database.
    pub(crate) options: Vec<(String, String)>,
    /// Variables of the environment.
    pub(crate) variables: Vec<(String, String)>,
    /// Values that must not be told, among those of options and variables.
    pub(crate) secrets: Vec<String>,
    /// The file of a database that one process may have open at a time.
    pub(crate) alone: Option<PathBuf>,
    pub(crate) readable: Vec<PathBuf>,
    pub(crate) writable: Vec<PathBuf>,
}

/// How a database is reached. Paths start from `base`. `writes` says whether the file of a database may be made.
///
/// # Errors
/// If there is no such driver, file or secret.
pub fn access(database: &Database, base: &Path, writes: bool) -> Result<Access, DatabaseError> {
    // The process starts in a folder of its own.
    let base = &std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let driver = find(&database.driver, base)?;
    let mut options: Vec<(String, String)> =
        database.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let (mut variables, mut secrets) = (Vec::new(), Vec::new());
    let file = database.file().map(|file| (file, base.join(file)));
    if let Some(uri) = &database.uri {
        options.push(address(&driver, uri, file.as_ref().map(|(file, path)| (*file, path.as_path()))));
    }
    for (name, secret) in &database.secrets {
        let DriverSecret { value, option } = secret;
        let found = match value {
            SecretSource::Env(variable) => secret_of_variable(name, variable),
            SecretSource::File(path) => secret_of_file(path, &base.join(path)),
        };
        let found = found.map_err(|reason| DatabaseError::Secret { secret: name.clone(), reason })?;
        secrets.push(found.clone());
        match option {
            Some(option) => options.push((option.clone(), found)),
            None => variables.push((name.clone(), found)),
        }
    }
    let alone = file.as_ref().filter(|_| driver.is_duckdb()).map(|(_, path)| path.clone());
    let writable = file.map(|(file, path)| folder_of(file, path, writes)).transpose()?.into_iter().collect();
    let readable = database.reads.iter().map(|path| base.join(path)).collect();
    Ok(Access {
        shown: database.driver.clone(),
        library: driver.library,
        entrypoint: driver.entrypoint,
        options,
        variables,
        secrets,
        alone,
        readable,
        writable,
    })
}

/// The option by which a driver takes an address. A path that is relative to the pipeline's folder becomes absolute.
fn address(driver: &Driver, uri: &str, file: Option<(&str, &Path)>) -> (String, String) {
    let Some((file, path)) = file else { return (URI.to_owned(), uri.to_owned()) };
    let path = path.to_string_lossy();
    if driver.is_duckdb() {
        return (PATH.to_owned(), path.into_owned());
    }
    let uri = match uri.strip_prefix("file:") {
        Some(rest) => format!("file:{}", rest.strip_prefix("//").unwrap_or(rest).replacen(file, &path, 1)),
        None => path.into_owned(),
    };
    (URI.to_owned(), uri)
}

/// The folder of a database's file: journals and locks lie beside it. A file that is to be read must be there, since drivers make those
/// that are not.
fn folder_of(file: &str, path: PathBuf, writes: bool) -> Result<PathBuf, DatabaseError> {
    let missing = || DatabaseError::Missing { file: file.to_owned(), path: path.clone() };
    if !writes && !path.is_file() {
        return Err(missing());
    }
    path.parent().filter(|folder| folder.is_dir()).map(Path::to_owned).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_from_the_pipelines_folder_in_any_form_of_address() {
        let sqlite = Driver { library: "libadbc_driver_sqlite.so".into(), entrypoint: None };
        let duckdb = Driver { entrypoint: Some("duckdb_adbc_init".to_owned()), ..sqlite.clone() };
        let of = |driver: &Driver, uri: &str, file: Option<&str>| {
            let path = file.map(|file| Path::new("/base").join(file));
            address(driver, uri, file.zip(path.as_deref()))
        };
        let uri = |text: &str| ("uri".to_owned(), text.to_owned());
        assert_eq!(of(&sqlite, "a.db", Some("a.db")), uri("/base/a.db"));
        assert_eq!(of(&sqlite, "file:a.db?mode=ro", Some("a.db")), uri("file:/base/a.db?mode=ro"));
        assert_eq!(of(&sqlite, "file:///srv/a.db", Some("/srv/a.db")), uri("file:/srv/a.db"));
        assert_eq!(of(&sqlite, "postgresql://db", None), uri("postgresql://db"));
        assert_eq!(of(&duckdb, "a.db", Some("a.db")), ("path".to_owned(), "/base/a.db".to_owned()));
    }

    #[test]
    fn a_file_that_is_read_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert!(matches!(folder_of("a.db", path.clone(), false), Err(DatabaseError::Missing { .. })));
        assert_eq!(folder_of("a.db", path.clone(), true).unwrap(), folder.path());
        std::fs::write(&path, "").unwrap();
        assert_eq!(folder_of("a.db", path, false).unwrap(), folder.path());
    }
}
