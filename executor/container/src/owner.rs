//! Whose a container is, so that those of a flowc that was killed can be told from those of one that runs.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::ContainerSummaryStateEnum as State;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};

use crate::engine::Engine;

/// The label that says who started a container.
const OWNER: &str = "flowc.owner";

/// Labels of containers that this process starts.
pub(crate) fn labels() -> HashMap<String, String> {
    HashMap::from([(OWNER.to_owned(), Owner::own().to_string())])
}

/// Removes containers whose owner is gone.
pub(crate) fn sweep(engine: &Engine) {
    let filters = HashMap::from([("label".to_owned(), vec![OWNER.to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let containers = engine.runtime.block_on(engine.docker.list_containers(Some(options))).unwrap_or_default();
    for container in containers {
        let owner = container.labels.as_ref().and_then(|labels| Owner::read(labels.get(OWNER)?));
        let has_ended = matches!(container.state, Some(State::EXITED | State::DEAD));
        if let (Some(id), true) = (container.id, owner.is_some_and(|owner| owner.is_gone(has_ended))) {
            let docker = engine.docker.clone();
            engine.later(async move {
                let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
                // Another process may be about the same.
                let _ = docker.remove_container(&id, Some(options)).await;
            });
        }
    }
}

/// A process, of all that ever were.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    /// Of the machine's start.
    boot: String,
    /// The namespace that its number is of.
    namespace: String,
    number: u32,
    /// When it started: numbers are used again.
    started: String,
}

impl Owner {
    fn own() -> Self {
        let number = std::process::id();
        Self { boot: boot(), namespace: namespace(), number, started: started(number).unwrap_or_default() }
    }

    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let [boot, namespace, number, started] = parts[..] else { return None };
        let [boot, namespace, started] = [boot, namespace, started].map(str::to_owned);
        Some(Self { boot, namespace, number: number.parse().ok()?, started })
    }

    /// Whether it ended. Of a process of another namespace, or of another machine that uses the same engine, nothing can be known
    /// by its number: its container tells, which ends when its owner does.
    fn is_gone(&self, container_has_ended: bool) -> bool {
        match self.boot == boot() && self.namespace == namespace() {
            true => started(self.number).as_ref() != Some(&self.started),
            false => container_has_ended,
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.boot, self.namespace, self.number, self.started)
    }
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().into_owned()
}

/// When a process started, in ticks since the machine did: field 22 of its `stat` (proc(5)).
fn started(number: u32) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(number.to_string()).join("stat")).ok()?;
    // The second field is the program's name, in parentheses, with any characters in it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_gone_when_its_process_is_another() {
        let own = Owner::own();
        assert_eq!(Owner::read(&own.to_string()).as_ref(), Some(&own));
        for has_ended in [false, true] {
            assert!(!own.is_gone(has_ended));
            assert!(Owner { started: "1".to_owned(), ..Owner::own() }.is_gone(has_ended));
        }
    }

    #[test]
    fn elsewhere_a_number_says_nothing() {
        let elsewhere = [
            Owner { boot: "another".to_owned(), ..Owner::own() },
            Owner { namespace: "pid:[1]".to_owned(), number: 1, ..Owner::own() },
        ];
        for owner in elsewhere {
            assert_eq!([false, true].map(|has_ended| owner.is_gone(has_ended)), [false, true]);
        }
    }
}
