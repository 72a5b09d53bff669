//! Nodes and buffers to arrays.

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::{ArrayData, BufferSpec, DataTypeLayout, layout};
use arrow_schema::{DataType, Field, FieldRef, UnionMode};

use crate::{ArraysError, Fault, MAX_DEPTH, MAX_LENGTH, Node, check_values};

/// Whether the bytes may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// They come from a guest: everything is validated.
    Checked,
    /// They come from [`crate::flatten`] on the host, of a valid array: nothing but lengths is looked at. Anything else
    /// under this name is undefined behaviour.
    Trusted,
}

/// The arrays of these fields, `rows` values each.
///
/// # Errors
/// If the lists do not fit the fields, and, with [`Trust::Checked`], if any value breaks the columnar format or a field
/// that is not nullable has nulls.
pub fn rebuild(
    fields: &[FieldRef],
    nodes: &[Node],
    buffers: Vec<Buffer>,
    variadic: &[u32],
    rows: usize,
    trust: Trust,
) -> Result<Vec<ArrayRef>, ArraysError> {
    let mut input = Input { nodes: nodes.iter(), buffers: buffers.into_iter(), variadic: variadic.iter(), trust };
    let column = |field: &FieldRef| {
        let named = |fault| ArraysError::Column { column: field.name().clone(), fault };
        input.column(field, rows as u64).map_err(named)
    };
    let arrays = fields.iter().map(column).collect::<Result<_, _>>()?;
    input.expect_end()?;
    Ok(arrays)
}

/// What is left to be read.
struct Input<'a> {
    nodes: std::slice::Iter<'a, Node>,
    buffers: std::vec::IntoIter<Buffer>,
    variadic: std::slice::Iter<'a, u32>,
    trust: Trust,
}

/// A child of a node: its type, and its length where the parent settles it.
type Child<'a> = (&'a DataType, Option<u64>);

impl Input<'_> {
    fn column(&mut self, field: &Field, rows: u64) -> Result<ArrayRef, Fault> {
        let data = self.node(field.data_type(), Some(rows), 0)?;
        if self.trust == Trust::Checked {
            check_values(&data)?;
        }
        let array = make_array(data);
        if self.trust == Trust::Checked && !field.is_nullable() {
            match array.logical_null_count() {
                0 => {}
                nulls => return Err(Fault::NotNullable(nulls)),
            }
        }
        Ok(array)
    }

    fn node(&mut self, data_type: &DataType, expected: Option<u64>, depth: usize) -> Result<ArrayData, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        check_type(data_type)?;
        let node = *self.nodes.next().ok_or(Fault::Missing("nodes"))?;
        let length = checked_length(&node, expected)?;
        let layout = layout(data_type);
        let nulls = match layout.can_contain_null_mask {
            true => self.nulls(&node, length)?,
            false => no_nulls(&node, data_type)?,
        };
        let mut buffers = self.take_buffers(layout.buffers.len(), layout.variadic)?;
        if self.trust == Trust::Checked {
            check_lengths(data_type, &layout, length, &buffers)?;
        }
        allow_empty_offsets(data_type, length, &mut buffers);
        let children = children(data_type, node.length)?.into_iter();
        let children = children.map(|(child, due)| self.node(child, due, depth + 1)).collect::<Result<_, _>>()?;
        self.build(data_type, length, nulls, buffers, children)
    }

    fn build(
        &self,
        data_type: &DataType,
        length: usize,
        nulls: Option<NullBuffer>,
        buffers: Vec<Buffer>,
        children: Vec<ArrayData>,
    ) -> Result<ArrayData, Fault> {
        if self.trust == Trust::Checked {
            check_child_nulls(data_type, &children)?;
        }
        let builder = ArrayData::builder(data_type.clone()).len(length).nulls(nulls).buffers(buffers);
        let builder = builder.child_data(children).align_buffers(true);
        // SAFETY: skipped only for what the caller vouches for, see `Trust::Trusted`.
        let builder = unsafe { builder.skip_validation(self.trust == Trust::Trusted) };
        Ok(builder.build()?)
    }

    fn nulls(&mut self, node: &Node, length: usize) -> Result<Option<NullBuffer>, Fault> {
        let bitmap = self.buffers.next().ok_or(Fault::Missing("buffers"))?;
        if bitmap.is_empty() {
            return if node.null_count == 0 { Ok(None) } else { Err(null_count(node, 0)) };
        }
        let expected = length.div_ceil(8);
        let is_due = if self.trust == Trust::Checked { bitmap.len() == expected } else { bitmap.len() >= expected };
        if !is_due {
            return Err(Fault::Buffer { data_type: "validity".to_owned(), expected, found: bitmap.len() });
        }
        let bits = BooleanBuffer::new(bitmap, 0, length);
        if self.trust == Trust::Trusted {
            // SAFETY: the count is the host's own, see `Trust::Trusted`.
            return Ok(Some(unsafe { NullBuffer::new_unchecked(bits, node.null_count as usize) }));
        }
        let nulls = NullBuffer::new(bits);
        match nulls.null_count() as u64 == node.null_count {
            true => Ok(Some(nulls)),
            false => Err(null_count(node, nulls.null_count() as u64)),
        }
    }

    fn take_buffers(&mut self, fixed: usize, variadic: bool) -> Result<Vec<Buffer>, Fault> {
        let more = match variadic {
            true => *self.variadic.next().ok_or(Fault::Missing("variadic counts"))? as usize,
            false => 0,
        };
        let count = fixed.saturating_add(more);
        if self.buffers.len() < count {
            return Err(Fault::Missing("buffers"));
        }
        Ok(self.buffers.by_ref().take(count).collect())
    }

    fn expect_end(&self) -> Result<(), ArraysError> {
        let left =
            [("nodes", self.nodes.len()), ("buffers", self.buffers.len()), ("variadic counts", self.variadic.len())];
        match left.into_iter().find(|(_, count)| *count > 0) {
            Some((what, count)) => Err(ArraysError::Leftover { what, count }),
            None => Ok(()),
        }
    }
}

fn null_count(node: &Node, found: u64) -> Fault {
    Fault::NullCount { claimed: node.null_count, found }
}

/// Types that have no bitmap of their own have no nulls of their own; in the null type all values are.
fn no_nulls(node: &Node, data_type: &DataType) -> Result<Option<NullBuffer>, Fault> {
    let all_null = matches!(data_type, DataType::Null) && node.null_count == node.length;
    if node.null_count == 0 || all_null { Ok(None) } else { Err(null_count(node, 0)) }
}

fn checked_length(node: &Node, expected: Option<u64>) -> Result<usize, Fault> {
    match expected {
        Some(expected) if expected != node.length => Err(Fault::Length { expected, found: node.length }),
        _ if node.length > MAX_LENGTH => Err(Fault::TooLong(node.length)),
        _ => usize::try_from(node.length).map_err(|_| Fault::TooLong(node.length)),
    }
}

/// Types that arrow's own validation takes for granted, or panics at.
fn check_type(data_type: &DataType) -> Result<(), Fault> {
    let possible = match data_type {
        DataType::FixedSizeBinary(size) | DataType::FixedSizeList(_, size) => *size >= 0,
        DataType::Dictionary(key, _) => key.is_dictionary_key_type(),
        DataType::RunEndEncoded(ends, _) => ends.data_type().is_run_ends_type() && !ends.is_nullable(),
        DataType::Union(fields, _) => fields.iter().all(|(id, _)| id >= 0),
        DataType::Map(entries, _) => matches!(entries.data_type(), DataType::Struct(fields) if fields.len() == 2),
        _ => true,
    };
    if possible { Ok(()) } else { Err(Fault::Type(data_type.to_string())) }
}

fn children(data_type: &DataType, length: u64) -> Result<Vec<Child<'_>>, Fault> {
    use DataType::*;
    Ok(match data_type {
        List(field) | LargeList(field) | ListView(field) | LargeListView(field) | Map(field, _) => {
            vec![(field.data_type(), None)]
        }
        FixedSizeList(field, size) => {
            let values = length.checked_mul(u64::from(size.unsigned_abs())).ok_or(Fault::TooLong(length))?;
            vec![(field.data_type(), Some(values))]
        }
        Struct(fields) => fields.iter().map(|field| (field.data_type(), Some(length))).collect(),
        Union(fields, mode) => {
            let due = (*mode == UnionMode::Sparse).then_some(length);
            fields.iter().map(|(_, field)| (field.data_type(), due)).collect()
        }
        Dictionary(_, values) => vec![(values, None)],
        RunEndEncoded(ends, values) => vec![(ends.data_type(), None), (values.data_type(), None)],
        _ => Vec::new(),
    })
}

/// Nulls in children that are not nullable, where arrow's own validation does not look.
fn check_child_nulls(data_type: &DataType, children: &[ArrayData]) -> Result<(), Fault> {
    let (field, child) = match (data_type, children) {
        (DataType::ListView(field) | DataType::LargeListView(field), [child]) => (field, child),
        (DataType::RunEndEncoded(_, field), [_, child]) => (field, child),
        _ => return Ok(()),
    };
    match child.null_count() {
        nulls if nulls > 0 && !field.is_nullable() => Err(Fault::NotNullable(nulls)),
        _ => Ok(()),
    }
}

/// Refuses buffers that are not as long as their values: arrow takes the first bytes of a longer one for the values,
/// whatever type was written there.
fn check_lengths(
    data_type: &DataType,
    layout: &DataTypeLayout,
    length: usize,
    buffers: &[Buffer],
) -> Result<(), Fault> {
    for (buffer, spec) in buffers.iter().zip(&layout.buffers) {
        let expected = match spec {
            BufferSpec::FixedWidth { .. } if has_offsets(data_type) && length == 0 && buffer.is_empty() => 0,
            BufferSpec::FixedWidth { byte_width, .. } if has_offsets(data_type) => (length + 1) * byte_width,
            BufferSpec::FixedWidth { byte_width, .. } => length.saturating_mul(*byte_width),
            BufferSpec::BitMap => length.div_ceil(8),
            BufferSpec::VariableWidth | BufferSpec::AlwaysNull => continue,
        };
        if buffer.len() != expected {
            return Err(Fault::Buffer { data_type: data_type.to_string(), expected, found: buffer.len() });
        }
    }
    Ok(())
}

/// Whether a type's first buffer has one offset more than there are values.
fn has_offsets(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Utf8 | Binary | LargeUtf8 | LargeBinary | List(_) | LargeList(_) | Map(..))
}

/// An empty array may come without even its first offset.
fn allow_empty_offsets(data_type: &DataType, length: usize, buffers: &mut [Buffer]) {
    if let (true, 0, Some(first)) = (has_offsets(data_type), length, buffers.first_mut())
        && first.is_empty()
    {
        *first = Buffer::from_slice_ref([0_i64]);
    }
}
