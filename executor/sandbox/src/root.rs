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

/// A root that was entered.
pub(crate) struct Root {
    /// Whether the number of processes has a bound of its own.
    pub(crate) bounds_processes: bool,
}

/// Makes the root and enters it. None where that is not allowed, as in many containers.
pub(crate) fn enter(sandbox: &Sandbox) -> io::Result<Option<Root>> {
    let given = sandbox.given();
    let is_allowed = mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .and_then(|()| mount("tmpfs", BASE, "tmpfs", FLAGS, None));
    if is_allowed.is_err() {
        return Ok(None);
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
    let bounds_processes = own(sandbox)?;
    chdir("/new")?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(Some(Root { bounds_processes }))
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
        let own = ["/proc", SHARED_MEMORY, PROCESSORS];
        let mut given: Vec<_> = named.filter(|(path, _)| !own.iter().any(|own| path.starts_with(own))).collect();
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

/// What the namespace has of its own: its processes, and shared memory. Says whether the number of processes is bounded.
fn own(sandbox: &Sandbox) -> io::Result<bool> {
    let flags = FLAGS | MountFlags::NOEXEC;
    let proc = Path::new("/new/proc");
    fs::create_dir_all(proc)?;
    let is_bounded = match mount("proc", proc, "proc", flags, None) {
        Ok(()) => bound_processes(proc, sandbox.processes),
        Err(_) => mount_bind_recursive("/old/proc", proc).map(|()| false)?,
    };
    // Root could change the kernel's settings there.
    mount_remount(proc, flags | MountFlags::BIND | MountFlags::RDONLY, "")?;
    let shared = below("/new", Path::new(SHARED_MEMORY));
    fs::create_dir_all(&shared)?;
    let processors = below("/new", Path::new(PROCESSORS));
    fs::create_dir_all(&processors)?;
    let counted = counted(sandbox.processors.len());
    PROCESSOR_LISTS.iter().try_for_each(|name| fs::write(processors.join(name), &counted))?;
    // Names take memory too.
    let size = CString::new(format!("size={},nr_inodes=16k", sandbox.memory.unwrap_or(SHARED)))?;
    mount("tmpfs", &shared, "tmpfs", flags, &*size)?;
    Ok(is_bounded)
}

/// Files that list processors, for who asks how many there are and not on how many it runs.
pub const PROCESSOR_LISTS: [&str; 3] = ["online", "present", "possible"];
/// Their folder.
pub const PROCESSORS: &str = "/sys/devices/system/cpu";

/// What such a file says of so many processors: whatever their numbers are, a program sees as many as it has.
pub fn counted(processors: usize) -> String {
    match processors {
        0 | 1 => "0\n".to_owned(),
        several => format!("0-{}\n", several - 1),
    }
}
