//! Adapters: what they are, and which one runs kernels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// As its driver calls it.
    pub name: String,
    /// What sort it is.
    pub sort: Sort,
    /// All that may decide the last bits of floats: interface, ids, driver with its version, and of a CPU driver the processor.
    pub identity: String,
    /// What it can be asked for.
    pub limits: Limits,
}

/// Sorts of adapters, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sort {
    /// With memory of its own.
    Discrete,
    /// Sharing the processor's memory.
    Integrated,
    /// Of a virtual machine.
    Virtual,
    /// Some other.
    Other,
    /// A driver that runs kernels on the processor.
    Cpu,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sort::Discrete => "discrete",
            Sort::Integrated => "integrated",
            Sort::Virtual => "virtual",
            Sort::Other => "other",
            Sort::Cpu => "CPU driver",
        })
    }
}

/// What an adapter can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a buffer that a kernel is bound to.
    pub binding: u64,
    /// Bytes of any buffer.
    pub buffer: u64,
    /// Buffers that a kernel may have beside uniforms.
    pub buffers: u32,
    /// Workgroups of a dispatch.
    pub groups: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Iterations that an invocation may take before the driver ends it, where it does.
    pub iterations: Option<u32>,
    /// Bytes that the invocations of a workgroup may share.
    pub workgroup_memory: u32,
    /// Whether it has 64-bit integers.
    pub int64: bool,
    /// Whether it has half floats.
    pub f16: bool,
    /// Whether the invocations of a subgroup can work together.
    pub subgroups: bool,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { binding, buffers, int64, f16, subgroups, .. } = self.limits;
        write!(f, "{} ({}), columns up to {} MiB, {buffers} buffers", self.name, self.sort, binding >> 20)?;
        let can = [(int64, "64-bit integers"), (f16, "half floats"), (subgroups, "subgroups")];
        can.iter().filter(|(has, _)| *has).try_for_each(|(_, what)| write!(f, ", {what}"))
    }
}

/// Which adapter runs kernels: what `--gpu` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best one.
    #[default]
    Best,
    /// None: kernels are not run.
    None,
    /// A CPU driver.
    Cpu,
    /// The best one with this in its name.
    Named(String),
}

impl Choice {
    /// What a text says: `none`, `cpu`, or a part of a name.
    pub fn named(text: &str) -> Self {
        match text {
            "none" => Self::None,
            "cpu" => Self::Cpu,
            name => Self::Named(name.to_owned()),
        }
    }

    /// The adapter that is meant.
    ///
    /// # Errors
    /// In words, if there is none.
    pub fn among<'a>(&self, adapters: &'a [Adapter]) -> Result<&'a Adapter, String> {
        let best = |is_meant: &dyn Fn(&Adapter) -> bool| {
            adapters.iter().filter(|adapter| is_meant(adapter)).min_by_key(|adapter| adapter.sort)
        };
        let found = match self {
            Self::None => return Err("`--gpu none` leaves no adapter to run it on".to_owned()),
            Self::Best => best(&|_| true),
            Self::Cpu => best(&|adapter| adapter.sort == Sort::Cpu),
            Self::Named(name) => {
                let name = name.to_lowercase();
                best(&|adapter| adapter.name.to_lowercase().contains(&name))
            }
        };
        found.ok_or_else(|| {
            let there = adapters.iter().map(|adapter| format!("`{}`", adapter.name)).collect::<Vec<_>>().join(", ");
            match self {
                _ if adapters.is_empty() => {
                    "there is no GPU adapter: no Vulkan driver was found; `flowc doctor` says what to install"
                        .to_owned()
                }
                Self::Cpu => format!("there is no CPU driver among the GPU adapters: {there}"),
                Self::Named(name) => format!("no GPU adapter has `{name}` in its name; there are {there}"),
                Self::Best | Self::None => "there is no GPU adapter".to_owned(),
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn adapter(name: &str, sort: Sort) -> Adapter {
        let limits = Limits {
            binding: 128 << 20,
            buffer: 1 << 30,
            buffers: 16,
            groups: 65_535,
            invocations: 1024,
            iterations: None,
            workgroup_memory: 32 << 10,
            int64: true,
            f16: false,
            subgroups: true,
        };
        Adapter { name: name.to_owned(), sort, identity: format!("vulkan 1:2 {name}"), limits }
    }

    fn chosen(choice: &str, adapters: &[Adapter]) -> Result<String, String> {
        let choice = if choice.is_empty() { Choice::Best } else { Choice::named(choice) };
        choice.among(adapters).map(|adapter| adapter.name.clone())
    }

    #[test]
    fn the_best_adapter_is_chosen_unless_one_is_named() {
        let all = [
            adapter("llvmpipe", Sort::Cpu),
            adapter("Iris", Sort::Integrated),
            adapter("H200", Sort::Discrete),
            adapter("Virtio", Sort::Virtual),
        ];
        for (choice, name) in [("", "H200"), ("cpu", "llvmpipe"), ("iris", "Iris"), ("VIRT", "Virtio")] {
            assert_eq!(chosen(choice, &all).as_deref(), Ok(name));
        }
        assert_eq!(chosen("", &all[..1]).as_deref(), Ok("llvmpipe"), "a CPU driver where nothing else is");
        assert_eq!(chosen("cpu", &all[1..2]).unwrap_err(), "there is no CPU driver among the GPU adapters: `Iris`");
        assert_eq!(chosen("B200", &all[1..2]).unwrap_err(), "no GPU adapter has `B200` in its name; there are `Iris`");
        assert!(chosen("none", &all).unwrap_err().contains("--gpu none"));
        assert!(chosen("", &[]).unwrap_err().contains("no Vulkan driver"));
    }

    #[test]
    fn an_adapter_is_told_with_its_limits() {
        let told = adapter("H200", Sort::Discrete).to_string();
        assert_eq!(told, "H200 (discrete), columns up to 128 MiB, 16 buffers, 64-bit integers, subgroups");
    }
}
