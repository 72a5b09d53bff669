//! The means of the kernel: namespaces, Landlock, limits.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, getgid, getrlimit, getuid, setrlimit};
use rustix::system::uname;
use rustix::thread::{CpuSet, UnshareFlags, sched_setaffinity, unshare_unsafe};

use crate::Sandbox;

/// What of the system every program may read: its libraries, and the few files that these look at.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/alternatives",
    "/proc",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
    "/dev/random",
];

/// The version of Landlock that is made use of as far as the kernel has it.
const LANDLOCK: ABI = ABI::V6;

/// Where programs share memory. The namespace has its own.
pub(crate) const SHARED_MEMORY: &str = "/dev/shm";

/// Files that a process may have open.
const FILES: u64 = 4096;

pub(crate) const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// What of the system every program may see.
pub(crate) fn system() -> impl Iterator<Item = PathBuf> {
    SYSTEM.iter().map(PathBuf::from)
}

/// All kinds of namespaces that a program gets of its own.
const NAMESPACES: UnshareFlags = UnshareFlags::NEWUSER
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWPID)
    .union(UnshareFlags::NEWNS)
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWUTS);

/// The kinds of namespaces that a program gets of its own. One that may reach the network stays in that of the machine.
pub(crate) fn namespaces(network: bool) -> UnshareFlags {
    if network { NAMESPACES.difference(UnshareFlags::NEWNET) } else { NAMESPACES }
}

/// Takes new namespaces: of users, so that no privilege is needed, and with it of others. If processes are among them, the
/// next one that is started is the first of its namespace.
pub(crate) fn unshare(flags: UnshareFlags) -> std::io::Result<()> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    // SAFETY: only `FILES` is dangerous, and it is not among them.
    unsafe { unshare_unsafe(flags) }?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// The least bound that kernels take on machines with few processors.
const FEWEST: u64 = 301;

/// Bounds the numbers of the processes in this namespace, and so how many there can be. It holds for root too, whom the limit per
/// user does not. `proc` is where the namespace's own processes are seen. Says whether there is a bound.
pub(crate) fn bound_processes(proc: &Path, processes: u64) -> bool {
    if !has_own_bound() {
        return false;
    }
    let path = proc.join(PID_MAX.trim_start_matches("/proc/"));
    let mut bound = processes.max(FEWEST);
    while bound < 1 << 22 {
        match std::fs::write(&path, bound.to_string()) {
            // Machines with many processors take no small ones.
            Err(error) if error.kind() == ErrorKind::InvalidInput => bound *= 2,
            written => return written.is_ok(),
        }
    }
    false
}

/// Whether the bound is the namespace's own, since Linux 6.14. Before, it is the machine's.
fn has_own_bound() -> bool {
    let release = uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(14))
}

/// Sets the limits of this process, which all that it starts inherit.
pub(crate) fn limit(sandbox: &Sandbox) -> rustix::io::Result<()> {
    let set = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::Core, 0)?;
    // What pipes and sockets hold is nobody's memory.
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(FILES);
    set(Resource::Nofile, files.min(FILES))?;
    set(Resource::Nproc, sandbox.processes)?;
    sandbox.memory.map_or(Ok(()), |bytes| set(Resource::Data, bytes))?;
    let mut processors = CpuSet::new();
    sandbox.processors.iter().for_each(|number| processors.set(*number));
    if !sandbox.processors.is_empty() {
        // Where none of them is there any more, it runs where it may.
        let _ = sched_setaffinity(None, &processors);
    }
    Ok(())
}

/// Gives up all files but those of the sandbox, all network that namespaces leave unless it is lent, and signals to others. Says whether the
/// kernel has the means for files.
pub(crate) fn give_up_files(sandbox: &Sandbox, has_own_root: bool) -> Result<bool, RulesetError> {
    let (read, all) = (AccessFs::from_read(LANDLOCK), AccessFs::from_all(LANDLOCK));
    let ruleset = Ruleset::default()
        .handle_access(all)?
        .handle_access(if sandbox.network { AccessNet::BindTcp.into() } else { AccessNet::from_all(LANDLOCK) })?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    let readable = system().chain(sandbox.readable.iter().cloned());
    let rules = readable.map(|path| (path, read));
    let rules = rules.chain([("/dev/null".into(), all)]);
    // Of the namespace's own: what there was before belongs to others.
    let shared = has_own_root.then(|| (SHARED_MEMORY.into(), all));
    let rules = rules.chain(shared).chain(sandbox.writable.iter().map(|path| (path.clone(), all)));
    // What is not there needs no rule.
    let rules = rules.filter_map(|(path, access)| {
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
        Some(Ok::<_, RulesetError>(PathBeneath::new(PathFd::new(path).ok()?, access)))
    });
    let restriction = ruleset.add_rules(rules)?.restrict_self()?;
    Ok(restriction.ruleset != RulesetStatus::NotEnforced)
}
