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
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let status = status.lines().filter(|line| STATUS.iter().any(|name| line.starts_with(name)));
    let namespaces: Option<Vec<String>> = NAMESPACES.iter().map(|kind| namespace(kind)).collect();
    let switches = SWITCHES.iter().map(|path| format!("{path} {:?}", std::fs::read_to_string(path).ok()));
    let machine = [env!("CARGO_PKG_VERSION").to_owned(), boot()?, helper.display().to_string(), stamp];
    let lines = machine.into_iter().chain(status.map(str::to_owned)).chain(namespaces?).chain(switches);
    Some(lines.collect::<Vec<_>>().join("\n"))
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

    #[test]
    fn they_tell_who_asks_and_what_binds_it() {
        let folder = tempfile::tempdir().unwrap();
        let text = circumstances(folder.path()).unwrap();
        for told in STATUS[..3].iter().chain(&["CapEff:", "Seccomp:", "NoNewPrivs:", "user:[", "net:["]) {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
}
