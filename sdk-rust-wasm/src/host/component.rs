//! The host as a component sees it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::arrow::array::{Array, ArrayRef};
use crate::arrow::buffer::Buffer;
use crate::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use flowc_arrays::{Flat, Node, Trust, flatten, rebuild, write_schema};

use crate::bindings::flowc::stage::data;
use crate::hash::HashMap;
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
        with_flat(port, written, |arrays, types| Self(self.0.derive(port, arrays, types)))
    }
}

pub(crate) fn make(port: u32, rows: u64, written: &[ArrayRef]) -> Result<Handle> {
    with_flat(port, written, |arrays, types| Handle(data::make(port, rows, arrays, types)))
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

/// Hands columns over, with a statement of their types that the host compares with the described ones.
fn with_flat<T>(port: u32, arrays: &[ArrayRef], give: impl FnOnce(data::ArraysParam<'_>, &[u8]) -> T) -> Result<T> {
    let types = stated_types(port, arrays);
    let Flat { nodes, buffers, variadic_counts } = flatten(arrays)?;
    let node = |node: &Node| data::Node { length: node.length, null_count: node.null_count };
    let nodes: Vec<data::Node> = nodes.iter().map(node).collect();
    let buffers: Vec<&[u8]> = buffers.iter().map(Buffer::as_slice).collect();
    let arrays = data::ArraysParam { nodes: &nodes, buffers: &buffers, variadic_counts: &variadic_counts };
    Ok(give(arrays, &types))
}

/// The types of columns, and the message that states them.
type Stated = (Vec<DataType>, Rc<[u8]>);

thread_local! {
    /// The last statement for each port: batches of a port mostly have the same types.
    static STATED: RefCell<HashMap<u32, Stated>> = RefCell::default();
}

/// A schema message with the types of these columns.
fn stated_types(port: u32, arrays: &[ArrayRef]) -> Rc<[u8]> {
    let types = || arrays.iter().map(|array| array.data_type());
    let known = STATED.with_borrow(|stated| {
        let known = stated.get(&port).filter(|(known, _)| known.iter().eq(types()));
        known.map(|(_, message)| message.clone())
    });
    if let Some(message) = known {
        return message;
    }
    let field = |data_type: &DataType| Field::new("", data_type.clone(), true);
    let message: Rc<[u8]> = write_schema(&Schema::new(types().map(field).collect::<Vec<_>>())).into();
    STATED.with_borrow_mut(|stated| stated.insert(port, (types().cloned().collect(), message.clone())));
    message
}
