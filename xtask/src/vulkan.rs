//! A Vulkan driver that runs kernels on the processor: Mesa's lavapipe, of Debian's packages, unpacked without being installed.
//! Tests of kernels run on it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The driver, the loader, and what these need of other packages.
const PACKAGES: [&str; 28] = [
    "libbsd0",
    "libdrm-amdgpu1",
    "libdrm2",
    "libedit2",
    "libelf1",
    "libexpat1",
    "libffi8",
    "libicu72",
    "libllvm15",
    "libmd0",
    "libtinfo6",
    "libvulkan1",
    "libwayland-client0",
    "libx11-6",
    "libx11-xcb1",
    "libxau6",
    "libxcb-dri3-0",
    "libxcb-present0",
    "libxcb-randr0",
    "libxcb-shm0",
    "libxcb-sync1",
    "libxcb-xfixes0",
    "libxcb1",
    "libxdmcp6",
    "libxml2",
    "libxshmfence1",
    "libz3-4",
    "mesa-vulkan-drivers",
];

/// The driver's library.
const LIBRARY: &str = "libvulkan_lvp.so";

/// A program that runs another one, which finds the driver and no other. The driver is unpacked where that has not been done.
///
/// # Errors
/// If the packages can't be had: this machine is neither Debian 12 nor like it, or reaches none of its mirrors.
pub(crate) fn program(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("tools/vulkan");
    let program = folder.join("run");
    if !program.is_file() {
        let unpacked = folder.join("root");
        // What an earlier try left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&unpacked).with_context(|| format!("{} can't be made", unpacked.display()))?;
        unpack(&folder, &unpacked).context(
            "the tests of kernels need Mesa's Vulkan driver for the CPU, which is unpacked from Debian's packages",
        )?;
        write_program(&folder, &unpacked, &program)?;
    }
    Ok(program)
}

fn unpack(folder: &Path, unpacked: &Path) -> Result<()> {
    eprintln!("setup: unpacking {LIBRARY} and what it needs");
    let packages = folder.join("packages");
    fs::create_dir_all(&packages)?;
    let download = |apt: &mut Command| process::run(apt.arg("download").args(PACKAGES));
    // The lists of packages may be old, or not be there; those of the machine can't be renewed without being root.
    if download(&mut apt(&packages, None)?).is_err() {
        process::run(apt(&packages, Some(folder))?.arg("update"))?;
        download(&mut apt(&packages, Some(folder))?)?;
    }
    for package in fs::read_dir(&packages)? {
        process::run(Command::new("dpkg").arg("-x").arg(package?.path()).arg(unpacked))?;
    }
    fs::remove_dir_all(&packages)?;
    Ok(())
}

/// apt in a folder, with lists of its own if there is a place for them.
pub(crate) fn apt(folder: &Path, lists: Option<&Path>) -> Result<Command> {
    let mut apt = Command::new("apt-get");
    apt.current_dir(folder).stdout(Stdio::null()).arg("--quiet");
    if let Some(own) = lists {
        for (option, name) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            let place = own.join(name);
            fs::create_dir_all(place.join("partial"))?;
            apt.arg("-o").arg(format!("{option}={}", place.display()));
        }
    }
    Ok(apt)
}

/// Writes the driver's manifest, and the program that has another one find it.
fn write_program(folder: &Path, unpacked: &Path, program: &Path) -> Result<()> {
    let libraries = fs::read_dir(unpacked.join("usr/lib"))?.flatten().map(|entry| entry.path());
    let Some(libraries) = libraries.into_iter().find(|folder| folder.join(LIBRARY).is_file()) else {
        bail!("there is no {LIBRARY} in the packages");
    };
    let manifest = folder.join("driver.json");
    let library = libraries.join(LIBRARY).display().to_string();
    let text = serde_json::json!({
        "file_format_version": "1.0.0",
        "ICD": {"library_path": library, "api_version": "1.3.0"},
    });
    fs::write(&manifest, text.to_string())?;
    let script = format!(
        "#!/bin/sh\nexport VK_DRIVER_FILES='{}' LD_LIBRARY_PATH='{}'\nexec \"$@\"\n",
        manifest.display(),
        libraries.display()
    );
    let new = program.with_extension("new");
    fs::write(&new, script)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    // It is there once all else is.
    fs::rename(new, program)?;
    Ok(())
}
