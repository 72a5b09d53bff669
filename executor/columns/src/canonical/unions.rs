//! Unions. They have no nulls of their own: a row that is null in a parent is a null of the union's first type.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, UnionFields, UnionMode};

use super::{compact as compact_child, finish, gather, like};
use crate::ColumnsError;

pub(super) fn compact(data: &ArrayData, mask: Option<&NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let DataType::Union(fields, mode) = data.data_type() else { return Ok(data.clone()) };
    let types = types(data, fields, mask);
    match mode {
        UnionMode::Sparse => sparse(data, fields, types, mask),
        UnionMode::Dense => dense(data, fields, types, mask),
    }
}

fn is_masked(mask: Option<&NullBuffer>, row: usize) -> bool {
    mask.is_some_and(|mask| mask.is_null(row))
}

fn types(data: &ArrayData, fields: &UnionFields, mask: Option<&NullBuffer>) -> ScalarBuffer<i8> {
    let types = ScalarBuffer::<i8>::new(data.buffers()[0].clone(), 0, data.len());
    match (mask.filter(|mask| mask.null_count() > 0), fields.iter().next()) {
        (Some(mask), Some((first, _))) => {
            types.iter().enumerate().map(|(row, &id)| if mask.is_null(row) { first } else { id }).collect()
        }
        _ => types,
    }
}

/// A child is null wherever another one speaks.
fn sparse(
    data: &ArrayData,
    fields: &UnionFields,
    types: ScalarBuffer<i8>,
    mask: Option<&NullBuffer>,
) -> Result<ArrayData, ColumnsError> {
    let children = fields.iter().zip(data.child_data()).map(|((id, _), child)| {
        let speaks = |row: usize| types[row] == id && !is_masked(mask, row);
        let speaking = NullBuffer::new(BooleanBuffer::collect_bool(data.len(), speaks));
        compact_child(&gather::slice(child, 0, data.len()), Some(&speaking))
    });
    let children = children.collect::<Result<Vec<_>, _>>()?;
    Ok(finish(like(data, None).add_buffer(types.into_inner()).child_data(children)))
}

/// A child holds its own rows, in order.
fn dense(
    data: &ArrayData,
    fields: &UnionFields,
    types: ScalarBuffer<i8>,
    mask: Option<&NullBuffer>,
) -> Result<ArrayData, ColumnsError> {
    let offsets = ScalarBuffer::<i32>::new(data.buffers()[1].clone(), 0, data.len());
    let mut packed = vec![0i32; data.len()];
    let mut children = Vec::with_capacity(fields.len());
    for ((id, _), child) in fields.iter().zip(data.child_data()) {
        let rows = (0..data.len()).filter(|&row| types[row] == id);
        let picks: Vec<_> = rows
            .enumerate()
            .map(|(place, row)| {
                packed[row] = place as i32;
                (!is_masked(mask, row)).then(|| offsets[row] as usize)
            })
            .collect();
        children.push(compact_child(&gather::rows(child, &picks)?, None)?);
    }
    let builder = like(data, None).add_buffer(types.into_inner()).add_buffer(Buffer::from_vec(packed));
    Ok(finish(builder.child_data(children)))
}
