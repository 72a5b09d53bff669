//! Two hosts on this one: network namespaces, joined by a cable of their own.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Two hosts that see each other and nothing else. Dropping them takes all of it down.
pub(crate) struct Hosts {
    names: [String; 2],
}

/// The addresses of the two.
const ADDRESSES: [&str; 2] = ["10.199.0.1", "10.199.0.2"];

impl Hosts {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { names: ["a", "b"].map(|side| format!("flowc-{}-{number}{side}", std::process::id())) };
        let [a, b] = &hosts.names;
        ip(&["netns", "add", a]);
        ip(&["netns", "add", b]);
        ip(&["link", "add", "cable", "netns", a, "type", "veth", "peer", "name", "cable", "netns", b]);
        for (name, address) in hosts.names.iter().zip(ADDRESSES) {
            ip(&["-n", name, "address", "add", &format!("{address}/24"), "dev", "cable"]);
            ip(&["-n", name, "link", "set", "cable", "up"]);
        }
        hosts
    }

    /// The address of a host.
    pub(crate) fn address(&self, host: usize) -> &'static str {
        ADDRESSES[host]
    }

    /// The same command, on a host.
    pub(crate) fn on(&self, host: usize, command: &Command) -> Command {
        let mut moved = Command::new("ip");
        moved.args(["netns", "exec", &self.names[host]]).arg(command.get_program()).args(command.get_args());
        moved.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => moved.env(name, value),
                None => moved.env_remove(name),
            };
        }
        moved
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            // The cable goes with them. One that was never made need not go.
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("`ip` is there: install iproute2");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "network namespaces need root: ip {}: {said}", arguments.join(" "));
}
