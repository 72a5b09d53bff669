//! A root of the program's own, in which there is nothing but what it was given. Landlock keeps files from being opened;
//! this keeps sockets from being found: those of a container engine or a desktop are ways out.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::mount::{mount, mount_bind_recursive, mount_change, mount_remount, unmount};
use rustix::process::{chdir, pivot_root};

use crate::Sandbox;
use crate::confine::{SHARED_MEMORY, bound_processes, system};

/// A folder that every system has. What it holds is not covered for long.
const BASE: &str = "/tmp";
/// Bytes of shared memory where memory has no limit.
const SHARED: u64 = 64 << 20;
const FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Makes the root and enters it. Says whether that is allowed here; in many containers it is not.
pub(crate) fn enter(sandbox: &Sandbox) -> io::Result<bool> {
    let given = sandbox.given();
    let is_allowed = mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .and_then(|()| mount("tmpfs", BASE, "tmpfs", FLAGS, None));
    if is_allowed.is_err() {
        return Ok(false);
    }
    // The old root goes below a first new one, so that all of it can be reached while the second one is filled.
    chdir(BASE)?;
    fs::create_dir("old")?;
    fs::create_dir("new")?;
    pivot_root(".", "old")?;
    chdir("/")?;
    mount("tmpfs", "/new", "tmpfs", FLAGS, None)?;
    for (path, real) in &given {
        place(path, real)?;
    }
    own(sandbox)?;
    chdir("/new")?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(true)
}

impl Sandbox {
    /// What the program may see, by the names under which it looks for it; with where each really is. What lies below
    /// something else is seen with that.
    pub fn given(&self) -> Vec<(PathBuf, PathBuf)> {
        let paths = system().chain(self.readable.iter().cloned()).chain(self.writable.iter().cloned());
        // A path that is not there needs no place.
        let real = |path: PathBuf| Some((path.clone(), fs::canonicalize(&path).ok()?));
        let named = paths.filter_map(real).flat_map(|(path, real)| [(path, real.clone()), (real.clone(), real)]);
        // These are made anew.
        let mut given: Vec<_> =
            named.filter(|(path, _)| !path.starts_with("/proc") && !path.starts_with(SHARED_MEMORY)).collect();
        given.sort();
        let mut seen: Vec<(PathBuf, PathBuf)> = Vec::new();
        for (path, real) in given {
            if !seen.iter().any(|(above, _)| path.starts_with(above)) {
                seen.push((path, real));
            }
        }
        seen
    }
}

/// Shows something of the old root in the new one.
fn place(path: &Path, real: &Path) -> io::Result<()> {
    let (from, to) = (below("/old", real), below("/new", path));
    if from.is_dir() {
        fs::create_dir_all(&to)?;
    } else {
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::write(&to, "")?;
    }
    Ok(mount_bind_recursive(&from, &to)?)
}

fn below(root: &str, path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    Path::new(root).join(parts.collect::<PathBuf>())
}

/// What the namespace has of its own: its processes, and shared memory.
fn own(sandbox: &Sandbox) -> io::Result<()> {
    let flags = FLAGS | MountFlags::NOEXEC;
    let proc = Path::new("/new/proc");
    fs::create_dir_all(proc)?;
    match mount("proc", proc, "proc", flags, None) {
        Ok(()) => bound_processes(proc, sandbox.processes),
        Err(_) => mount_bind_recursive("/old/proc", proc)?,
    }
    // Root could change the kernel's settings there.
    mount_remount(proc, flags | MountFlags::BIND | MountFlags::RDONLY, "")?;
    let shared = below("/new", Path::new(SHARED_MEMORY));
    fs::create_dir_all(&shared)?;
    // Names take memory too.
    let size = CString::new(format!("size={},nr_inodes=16k", sandbox.memory.unwrap_or(SHARED)))?;
    Ok(mount("tmpfs", &shared, "tmpfs", flags, &*size)?)
}
