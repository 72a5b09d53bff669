//! One wheel with the programs and the Python package, and environments that it is installed into.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{process, python};

/// `cargo xtask wheel --help` and `cargo xtask install --help`.
pub(crate) const HELP: &str = "\
Builds one wheel with the programs, the machine code of the standard stages, and the Python package `flowc`, in
target/wheels.

Usage: cargo xtask wheel [--features NAMES]
       cargo xtask install [ENVIRONMENT] [--features NAMES]

`install` puts the wheel into a Python environment, which it makes if there is none: the folder that is named, or the
active one ($VIRTUAL_ENV), or .venv in the checkout.

  --features NAMES  Cargo features beside those that are on by default. A release has `kafka-tls`.
";

/// What is asked for: an environment, and features.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    environment: Option<&'a str>,
    features: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Reads what stands behind the task's name.
    ///
    /// # Errors
    /// If that is something else.
    pub(crate) fn read(arguments: &[&'a str]) -> Result<Self> {
        let mut request = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--features" => request.features = Some(arguments.next().context("`--features` needs names")?),
                option if option.starts_with('-') => bail!("`{option}` is no option of this task"),
                environment if request.environment.is_none() => request.environment = Some(environment),
                more => bail!("`{more}` is too much: one environment is named"),
            }
        }
        Ok(request)
    }
}

/// Builds the wheel.
pub(crate) fn run(workspace: &Workspace, request: &Request<'_>) -> Result<()> {
    if let Some(environment) = request.environment {
        bail!("`{environment}` is for `cargo xtask install`");
    }
    workspace.build_all(request.features)?;
    let wheel = make(workspace, &python::uv(workspace)?)?;
    println!("{}", wheel.display());
    Ok(())
}

/// Builds the wheel, and installs it into an environment.
pub(crate) fn install(workspace: &Workspace, request: &Request<'_>) -> Result<()> {
    let uv = python::uv(workspace)?;
    let active = || std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environment = request.environment.map(PathBuf::from).or_else(active);
    let environment = environment.unwrap_or_else(|| workspace.root.join(".venv"));
    workspace.build_all(request.features)?;
    let wheel = make(workspace, &uv)?;
    install_into(&uv, &wheel, &environment)?;
    println!("{}", environment.join("bin/flowc").display());
    Ok(())
}

/// Installs the wheel into a fresh environment, of the program that the tests have built, and tries both halves of it. Nothing is
/// compiled by that.
pub(crate) fn test(workspace: &Workspace, uv: &OsString) -> Result<()> {
    let fresh = tempfile::tempdir()?;
    let environment = fresh.path().join("environment");
    let wheel = make(workspace, uv)?;
    install_into(uv, &wheel, &environment)?;
    let program = |name: &str| {
        let mut command = Command::new(environment.join("bin").join(name));
        command.current_dir(fresh.path()).env_clear().env("HOME", fresh.path()).env("PATH", "/usr/bin:/bin");
        command
    };
    process::run(program("flowc").args(["init", "hello"]))?;
    process::run(program("python").args(["-c", "import flowc; flowc.run('hello/flow.kdl')"]))?;
    let store = process::output(program("flowc").args(["store", "info", "--json"]))?;
    let store: serde_json::Value = serde_json::from_str(&store).context("`flowc store info` gave something unknown")?;
    match store["compiled"]["files"].as_u64() {
        Some(0) => Ok(()),
        files => {
            bail!("the installed flowc compiled standard stages: {files:?} files of machine code are in its store")
        }
    }
}

/// Builds the wheel with the programs that were built.
fn make(workspace: &Workspace, uv: &OsString) -> Result<PathBuf> {
    let folder = workspace.target.join("wheels");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)?,
        _ => {}
    }
    let code = workspace.target.join("precompiled");
    process::run(Command::new(workspace.program("flowc")).arg("precompile").arg(&code))?;
    let mut build = python::run(workspace, uv, &["hatchling", "build", "--target", "wheel", "--directory"]);
    build.env("FLOWC_PROGRAMS", workspace.target.join("release")).env("FLOWC_CODE", code);
    process::run(build.arg(&folder))?;
    let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be listed", folder.display()))?;
    let mut wheels = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    match (wheels.pop(), wheels.is_empty()) {
        (Some(wheel), true) => Ok(wheel),
        _ => bail!("hatchling was to make one file in {}", folder.display()),
    }
}

fn install_into(uv: &OsString, wheel: &Path, environment: &Path) -> Result<()> {
    if !environment.join("bin/python").exists() {
        process::run(Command::new(uv).args(["venv", "--quiet"]).arg(environment))?;
    }
    let mut install = Command::new(uv);
    install.args(["pip", "install", "--quiet", "--reinstall-package", "flowc", "--python"]).arg(environment);
    process::run(install.arg(wheel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_an_environment_and_features() {
        let asked = Request { environment: Some("here"), features: Some("kafka-tls") };
        assert_eq!(Request::read(&["--features", "kafka-tls", "here"]).unwrap(), asked);
        assert_eq!(Request::read(&["here", "--features", "kafka-tls"]).unwrap(), asked);
        assert_eq!(Request::read(&[]).unwrap(), Request::default());
        for wrong in [&["--features"][..], &["--feature", "x"], &["a", "b"]] {
            assert!(Request::read(wrong).is_err(), "{wrong:?}");
        }
    }
}
