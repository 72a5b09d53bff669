//! What decides how far a program can be isolated, as a text: while it is the same, so is what a trial finds.

use std::path::Path;

use flowc_platform::{FileStamp, boot};

/// What the kernel says of this process that namespaces, mounts, Landlock and filters hang on: who it is, what it may, and what it is bound by.
const STATUS: [&str; 11] = [
    "Uid:",
    "Gid:",
    "Groups:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "NoNewPrivs:",
    "Seccomp:",
    "Seccomp_filters:",
];

/// Switches of the kernel, and modules that watch it. Not every kernel has them all.
const SWITCHES: [&str; 14] = [
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
    "/proc/sys/user/max_net_namespaces",
    "/proc/sys/user/max_pid_namespaces",
    "/proc/sys/user/max_ipc_namespaces",
    "/proc/sys/user/max_uts_namespaces",
    "/proc/self/attr/current",
    "/proc/self/limits",
    "/sys/kernel/security/lsm",
    "/proc/self/uid_map",
];

/// The namespaces of this process.
const NAMESPACES: [&str; 5] = ["user", "mnt", "pid", "net", "cgroup"];

/// All that is looked at, for a helper. None where the machine does not tell: then nothing may be remembered.
pub(crate) fn circumstances(helper: &Path) -> Option<String> {
    let stamp = serde_json::to_string(&FileStamp::of(helper).ok()?).ok()?;
    let build = [env!("CARGO_PKG_VERSION").to_owned(), helper.display().to_string(), stamp, boot()?];
    Some(build.join("\n") + &machine(&|path| std::fs::read_to_string(path).ok(), &namespace)?)
}

/// What a machine says: by `read` of a file, by `namespace` of those of a kind.
fn machine(read: &dyn Fn(&str) -> Option<String>, namespace: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let status = read("/proc/self/status")?;
    let status = status.lines().filter(|line| STATUS.iter().any(|name| line.starts_with(name)));
    let namespaces: Option<Vec<String>> = NAMESPACES.iter().map(|kind| namespace(kind)).collect();
    let switches = SWITCHES.iter().map(|path| format!("{path} {:?}", read(path)));
    Some(status.map(str::to_owned).chain(namespaces?).chain(switches).map(|line| format!("\n{line}")).collect())
}

fn namespace(kind: &str) -> Option<String> {
    Some(std::fs::read_link(format!("/proc/self/ns/{kind}")).ok()?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_same_for_one_process_and_one_helper() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("helper");
        assert_eq!(circumstances(&helper), None, "there is none");
        std::fs::write(&helper, "one").unwrap();
        let first = circumstances(&helper);
        assert!(first.is_some());
        assert_eq!(circumstances(&helper), first);
        std::fs::write(&helper, "other").unwrap();
        assert_ne!(circumstances(&helper), first);
    }

    /// A machine of which one thing is another, or can't be seen.
    fn but(changed: &str, to: Option<&str>) -> Option<String> {
        let status =
            || STATUS.map(|name| if name == changed { format!("{name}\t{to:?}\n") } else { format!("{name}\t1\n") });
        let read = |path: &str| match path {
            _ if path == changed => to.map(str::to_owned),
            "/proc/self/status" => Some(format!("Name:\tflowc\nVmPeak:\t9 kB\n{}", status().concat())),
            _ => Some("1".to_owned()),
        };
        let namespace = |kind: &str| if kind == changed { to.map(str::to_owned) } else { Some(format!("{kind}:[1]")) };
        machine(&read, &namespace)
    }

    #[test]
    fn all_that_is_looked_at_tells_machines_apart() {
        let same = but("", None).unwrap();
        for thing in STATUS.iter().chain(&SWITCHES).chain(&NAMESPACES) {
            assert_ne!(but(thing, Some("2")).as_ref(), Some(&same), "{thing}");
            assert_ne!(but(thing, None).as_ref(), Some(&same), "{thing} is not to be seen");
        }
        assert_eq!(but("VmPeak:", Some("2")), Some(same), "what it took so far has no part in it");
        assert_eq!(but("/proc/self/status", None), None);
    }
}
