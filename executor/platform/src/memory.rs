//! How much memory there is, and how it is asked for.

use std::path::Path;

/// Bytes of memory that this process may use: the machine's, or the lowest limit of its control groups. None where the system
/// does not tell.
pub fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().filter_map(|line| limit_of(line, Path::new("/sys/fs/cgroup")));
    machine.into_iter().chain(limits).min()
}

/// Has this process keep some memory that it frees, for what it asks for next: batches of megabytes come and go, and each page that
/// the system gives anew costs about as much as copying it. For the start of a program. Other allocators than glibc's do as they do.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, 32 << 20), (libc::M_TRIM_THRESHOLD, 64 << 20)] {
        // SAFETY: the call takes numbers, and may be made at any time.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}

/// The first line of `/proc/meminfo` (proc(5)), in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// The lowest limit of a control group and those above it, by its line in `/proc/self/cgroup` (cgroups(7)): `0::/path`, or in
/// the first version `4:memory:/path`. In a container the path may be the host's: then the root is the container's own.
fn limit_of(line: &str, root: &Path) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => (root.to_path_buf(), "memory.max"),
        all if all.split(',').any(|one| one == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let group = root.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|folder| folder.starts_with(&root));
    // `max`, or a number that no machine has, means no limit.
    groups.filter_map(|folder| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_its_total() {
        assert_eq!(total("MemTotal:       16 kB\nMemFree: 4 kB\n"), Some(16 << 10));
        assert_eq!(total("MemFree: 4 kB\n"), None);
        assert!(memory().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn the_lowest_limit_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/b/memory.max", "max\n");
        write("memory/c/memory.limit_in_bytes", "500\n");
        let limit = |line| limit_of(line, root.path());
        assert_eq!(limit("0::/a/b"), Some(1000));
        assert_eq!(limit("0::/elsewhere"), None);
        assert_eq!(limit("4:cpu,memory:/c"), Some(500));
        assert_eq!(limit("4:cpu:/c"), None);
    }
}
