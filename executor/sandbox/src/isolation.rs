//! How far this machine lets a program be isolated.

use serde::{Deserialize, Serialize};

/// A means by which a program is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// Namespaces of its own: of networks, processes, users, names.
    Namespaces,
    /// A root in which there is nothing but what it was given.
    Root,
    /// Landlock, which keeps files from being opened.
    Landlock,
    /// A filter of system calls.
    Filter,
    /// A bound on the number of its processes.
    ProcessBound,
    /// A look at what its processes take together.
    MemoryWatch,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Namespaces, Self::Root, Self::Landlock, Self::Filter, Self::ProcessBound, Self::MemoryWatch];

    /// Whether results can depend on what it keeps away. The others keep a program from taking too much.
    pub fn shields_results(self) -> bool {
        matches!(self, Self::Namespaces | Self::Root | Self::Landlock | Self::Filter)
    }

    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Root => "own-root",
            Self::Landlock => "landlock",
            Self::Filter => "syscall-filter",
            Self::ProcessBound => "process-bound",
            Self::MemoryWatch => "memory-watch",
        }
    }

    /// What it means that it is missing.
    fn meaning(self) -> &'static str {
        match self {
            Self::Namespaces => {
                "they see other processes and can find the sockets of other programs, since this machine allows no user \
                 namespaces"
            }
            Self::Root => "they can find the sockets of other programs, since mounting is not allowed",
            Self::Landlock => "they can read all files, since Linux has Landlock from 5.13 on, and this one lacks it",
            Self::Filter => "they may call all of the kernel, which here has no filters for that",
            Self::ProcessBound => "their number of processes is not limited: flowc runs as root, on Linux before 6.14",
            Self::MemoryWatch => {
                "what their processes take together is not limited, since mounting `proc` is not allowed"
            }
        }
    }
}

/// How far this machine lets a program be isolated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// What it lacks, in order.
    pub missing: Vec<Mechanism>,
    /// Why no program can be started at all.
    pub failure: Option<String>,
}

impl Isolation {
    /// Whether nothing is missing.
    pub fn is_full(&self) -> bool {
        self.missing.is_empty() && self.failure.is_none()
    }

    /// What shields results and is there: a program is started with all of it, or not at all.
    pub fn required(&self) -> Vec<Mechanism> {
        let is_there = |mechanism: &Mechanism| mechanism.shields_results() && !self.missing.contains(mechanism);
        Mechanism::ALL.into_iter().filter(is_there).collect()
    }

    /// The names of what shields results and is missing; none where they depend on nothing but what a program was given.
    pub fn unenforced(&self) -> Option<String> {
        if self.failure.is_some() {
            return Some("any sandbox".to_owned());
        }
        let missing = self.missing.iter().filter(|mechanism| mechanism.shields_results());
        let names: Vec<&str> = missing.map(|mechanism| mechanism.name()).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }
}

/// What is missing, in words.
impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(failure) = &self.failure {
            return f.write_str(failure);
        }
        // Without namespaces there is no root either, and no more to say of it.
        let is_said = |mechanism: &&Mechanism| {
            !matches!(mechanism, Mechanism::Root | Mechanism::ProcessBound)
                || !self.missing.contains(&Mechanism::Namespaces)
        };
        let words: Vec<&str> = self.missing.iter().filter(is_said).map(|mechanism| mechanism.meaning()).collect();
        f.write_str(&words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grade_goes_by_what_shields_results() {
        for mechanism in Mechanism::ALL {
            let isolation = Isolation { missing: vec![mechanism], failure: None };
            let expected = mechanism.shields_results().then(|| mechanism.name().to_owned());
            assert_eq!(isolation.unenforced(), expected);
            assert!(!isolation.required().contains(&mechanism) && !isolation.to_string().is_empty());
        }
        let none = Isolation { missing: Vec::new(), failure: Some("no helper".to_owned()) };
        assert!(!none.is_full() && none.unenforced().is_some() && none.to_string() == "no helper");
        assert!(Isolation::default().is_full());
    }
}
