//! Files that nodes `format` name for the schemas of their records: texts of Avro, and descriptors of Protocol Buffers, which are bytes.

use crate::syntax::{Arg, Node};

/// The node that names them.
pub(crate) const FORMAT: &str = "format";
/// The property that holds a schema.
pub(crate) const SCHEMA: &str = "schema";
/// The property that names the file of a schema.
pub(crate) const SCHEMA_FILE: &str = "schema-file";
/// The property that names the file of a `FileDescriptorSet`.
pub(crate) const DESCRIPTORS: &str = "descriptors";

/// Whether nodes of a name may hold a node `format`.
pub(crate) fn may_be_in(node: &str) -> bool {
    matches!(node, "source" | "sink")
}

/// The names of such files in nodes, and whether each holds bytes.
pub(crate) fn files(nodes: &[Node]) -> Vec<(&Arg, bool)> {
    let mut found = Vec::new();
    for node in nodes {
        let children = node.children.as_deref().unwrap_or_default();
        if may_be_in(&node.name) {
            for format in children.iter().filter(|child| child.name == FORMAT) {
                found.extend(format.prop(SCHEMA_FILE).map(|arg| (arg, false)));
                found.extend(format.prop(DESCRIPTORS).map(|arg| (arg, true)));
            }
        } else {
            found.extend(files(children));
        }
    }
    found
}
