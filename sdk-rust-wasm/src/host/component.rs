//! The host as a component sees it.

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use arrow::datatypes::FieldRef;
use flowc_arrays::{Flat, Node, Trust, flatten, rebuild};

use crate::bindings::flowc::stage::data;
use crate::log::Level;
use crate::problem::Result;

/// A batch in the host.
pub(crate) struct Handle(data::Batch);

impl Handle {
    pub(crate) fn new(batch: data::Batch) -> Self {
        Self(batch)
    }

    pub(crate) fn rows(&self) -> usize {
        self.0.rows() as usize
    }

    pub(crate) fn read(&self, columns: &[u32], fields: &[FieldRef]) -> Result<Vec<ArrayRef>> {
        let arrays = self.0.read(columns);
        let node = |node: &data::Node| Node { length: node.length, null_count: node.null_count };
        let nodes: Vec<Node> = arrays.nodes.iter().map(node).collect();
        let buffers = arrays.buffers.into_iter().map(Buffer::from_vec).collect();
        Ok(rebuild(fields, &nodes, buffers, &arrays.variadic_counts, self.rows(), Trust::Trusted)?)
    }

    pub(crate) fn filter(&self, mask: &[u8]) -> Self {
        Self(self.0.filter(mask))
    }

    pub(crate) fn take(&self, indices: &[u32]) -> Self {
        Self(self.0.take(indices))
    }

    pub(crate) fn slice(&self, offset: u64, rows: u64) -> Self {
        Self(self.0.slice(offset, rows))
    }

    pub(crate) fn derive(&self, port: u32, written: &[ArrayRef]) -> Result<Self> {
        with_flat(written, |arrays| Self(self.0.derive(port, arrays)))
    }
}

pub(crate) fn make(port: u32, rows: u64, written: &[ArrayRef]) -> Result<Handle> {
    with_flat(written, |arrays| Handle(data::make(port, rows, arrays)))
}

pub(crate) fn emit(port: u32, batch: Handle) -> Result<()> {
    data::emit(port, batch.0);
    Ok(())
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Error => data::Level::Error,
        Level::Warn => data::Level::Warn,
        Level::Info => data::Level::Info,
        Level::Debug => data::Level::Debug,
        Level::Trace => data::Level::Trace,
    };
    data::log(level, message);
}

fn with_flat<T>(arrays: &[ArrayRef], give: impl FnOnce(data::ArraysParam<'_>) -> T) -> Result<T> {
    let Flat { nodes, buffers, variadic_counts } = flatten(arrays)?;
    let node = |node: &Node| data::Node { length: node.length, null_count: node.null_count };
    let nodes: Vec<data::Node> = nodes.iter().map(node).collect();
    let buffers: Vec<&[u8]> = buffers.iter().map(Buffer::as_slice).collect();
    Ok(give(data::ArraysParam { nodes: &nodes, buffers: &buffers, variadic_counts: &variadic_counts }))
}
