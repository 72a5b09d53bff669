//! How far this machine lets programs be isolated, found out by trying.

use std::path::Path;

use rustix::process::getuid;

use crate::Sandbox;
use crate::confine::PID_MAX;

/// How far this machine lets a program be isolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// No network, no files but its own, no other processes, limits.
    Full,
    /// Something is missing; in words.
    Partial(String),
}

/// A number of processes that no machine has as its limit by itself.
const PROBED: u64 = 307;

/// Prints the network that it is in, the bound on processes, `open` if it can read what it was not given, `seen` if it can see
/// that, `unfiltered` if it may call all of the kernel, and `unwatched` if its processes can't be told apart.
const SCRIPT: &str = "readlink /proc/self/ns/net; cat $PID_MAX; head -c 0 /etc/passwd 2> /dev/null && echo open; \
                      test -e /etc/passwd && echo seen; grep -q '^Seccomp:.*2' /proc/self/status || echo unfiltered; \
                      read -r pid rest < /proc/self/stat; test $pid = $$ || echo unwatched; exit 0";

/// Finds out, with a helper as for [`Sandbox::spawn`].
pub fn isolation(helper: &Path) -> Isolation {
    let sandbox = Sandbox {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), SCRIPT.to_owned()],
        env: [("PATH", "/usr/bin:/bin"), ("PID_MAX", PID_MAX)].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        folder: "/".into(),
        readable: Vec::new(),
        writable: Vec::new(),
        memory: None,
        processors: Vec::new(),
        processes: PROBED,
    };
    let probe = || {
        let mut child = sandbox.spawn(helper)?;
        let _held = child.stdin.take();
        child.wait_with_output()
    };
    match probe() {
        Ok(output) if output.status.success() => missing(&String::from_utf8_lossy(&output.stdout)),
        Ok(output) => Isolation::Partial(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Isolation::Partial(error.to_string()),
    }
}

/// What the probe's words say is missing.
fn missing(said: &str) -> Isolation {
    let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let is_shared = said.lines().next() == network.to_str();
    let machine = std::fs::read_to_string(PID_MAX).unwrap_or_default();
    let is_bounded = !getuid().is_root() || said.lines().nth(1) != Some(machine.trim());
    let says = |word: &str| said.lines().any(|line| line == word);
    let (is_open, is_seen) = (says("open"), says("seen"));
    let missing: Vec<&str> = [
        (is_shared, "they see other processes and can find the sockets of other programs, since this machine allows no user namespaces"),
        (is_seen && !is_shared, "they can find the sockets of other programs, since mounting is not allowed"),
        (is_open, "they can read all files, since Linux has Landlock from 5.13 on, and this one lacks it"),
        (
            !is_bounded && !is_shared,
            "their number of processes is not limited: flowc runs as root, on Linux before 6.14",
        ),
        (says("unfiltered"), "they may call all of the kernel, which here has no filters for that"),
        (says("unwatched"), "what their processes take together is not limited, since mounting `proc` is not allowed"),
    ]
    .into_iter()
    .filter_map(|(is_so, what)| is_so.then_some(what))
    .collect();
    if missing.is_empty() { Isolation::Full } else { Isolation::Partial(missing.join("; ")) }
}
