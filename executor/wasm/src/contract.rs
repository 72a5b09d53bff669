//! The contract on the wire: the records of `sdk-rust-wasm/wit/stage.wit` as they are lifted and lowered. They stay in
//! this crate and are checked where they become the project's own types.

use arrow_buffer::Buffer;
use bytes::Bytes;
use flowc_arrays::Flat;
use flowc_planner::key::Phase;
use wasmtime::component::{ComponentType, Lift, Lower, WasmList};

/// The package that stages speak, without version.
pub(crate) const PACKAGE: &str = "flowc:stage/";

/// A version of the contract.
pub(crate) struct Version {
    /// Its number.
    pub(crate) number: &'static str,
    /// What the host gives to a stage.
    pub(crate) data: &'static str,
    /// What a stage gives to the host.
    pub(crate) stage: &'static str,
    /// Whether a stage states the types of the columns that it writes. Where it does not, other types of the same layout
    /// can't be told from the declared ones.
    pub(crate) states_types: bool,
}

/// All versions that are spoken here, the newest first.
pub(crate) const VERSIONS: [Version; 2] = [
    Version { number: "0.2.0", data: "flowc:stage/data@0.2.0", stage: "flowc:stage/stage@0.2.0", states_types: true },
    Version { number: "0.1.0", data: "flowc:stage/data@0.1.0", stage: "flowc:stage/stage@0.1.0", states_types: false },
];

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Node {
    length: u64,
    #[component(name = "null-count")]
    null_count: u64,
}

impl From<flowc_arrays::Node> for Node {
    fn from(node: flowc_arrays::Node) -> Self {
        Self { length: node.length, null_count: node.null_count }
    }
}

impl From<Node> for flowc_arrays::Node {
    fn from(node: Node) -> Self {
        Self { length: node.length, null_count: node.null_count }
    }
}

/// Columns on their way into a guest: each buffer is copied once, into the guest's memory.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ArraysOut {
    nodes: Vec<Node>,
    buffers: Vec<Bytes>,
    #[component(name = "variadic-counts")]
    variadic_counts: Vec<u32>,
}

impl From<Flat<Buffer>> for ArraysOut {
    fn from(flat: Flat<Buffer>) -> Self {
        struct Owner(Buffer);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                self.0.as_slice()
            }
        }
        Self {
            nodes: flat.nodes.into_iter().map(Node::from).collect(),
            buffers: flat.buffers.into_iter().map(|buffer| Bytes::from_owner(Owner(buffer))).collect(),
            variadic_counts: flat.variadic_counts,
        }
    }
}

/// Columns that a guest gives. The buffers still lie in its memory, so this may live in the arguments of an import only.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ArraysIn {
    pub(crate) nodes: Vec<Node>,
    pub(crate) buffers: Vec<WasmList<u8>>,
    #[component(name = "variadic-counts")]
    pub(crate) variadic_counts: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes the values from their numbers")]
pub(crate) enum Level {
    #[component(name = "error")]
    Error,
    #[component(name = "warn")]
    Warn,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
    #[component(name = "trace")]
    Trace,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WirePhase {
    #[component(name = "run")]
    Run,
    #[component(name = "partial")]
    Partial,
    #[component(name = "merge")]
    Merge,
    #[component(name = "finish")]
    Finish,
}

impl From<Phase> for WirePhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Run => WirePhase::Run,
            Phase::Partial => WirePhase::Partial,
            Phase::Merge => WirePhase::Merge,
            Phase::Finish => WirePhase::Finish,
        }
    }
}

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireProblem {
    pub(crate) message: String,
    #[component(name = "config-path")]
    pub(crate) config_path: Option<String>,
    pub(crate) help: Option<String>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireSignature {
    pub(crate) doc: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    #[component(name = "config-schema")]
    pub(crate) config_schema: String,
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes the values from their numbers")]
pub(crate) enum WireClass {
    #[component(name = "row-wise")]
    RowWise,
    #[component(name = "per-segment")]
    PerSegment,
    #[component(name = "combining")]
    Combining,
    #[component(name = "keyed")]
    Keyed,
    #[component(name = "whole")]
    Whole,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireInput {
    pub(crate) class: WireClass,
    pub(crate) reads: Vec<u32>,
    pub(crate) keys: Vec<u32>,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireRows {
    #[component(name = "same")]
    Same(u32),
    #[component(name = "subset")]
    Subset(u32),
    #[component(name = "new")]
    New,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireOrigin {
    #[component(name = "written")]
    Written,
    #[component(name = "passed")]
    Passed(u32),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireOutput {
    pub(crate) schema: Vec<u8>,
    pub(crate) rows: WireRows,
    pub(crate) columns: Vec<WireOrigin>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireDescription {
    pub(crate) inputs: Vec<WireInput>,
    pub(crate) outputs: Vec<WireOutput>,
    pub(crate) partial: Option<Vec<u8>>,
    pub(crate) parts: u64,
}
