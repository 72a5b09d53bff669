//! Columns from a guest: a valid column's flat form, changed as the bytes say. What is accepted is a valid array, has a
//! canonical form, and comes back.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::Buffer;
use arrow_schema::{Field, FieldRef};
use flowc_arrays::{Flat, Trust, flatten, rebuild};
use flowc_columns::testing::{array, every_type};

use crate::bytes::Choices;

pub(crate) fn import(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let types = every_type();
    let data_type = types[choices.below(types.len())].clone();
    let made = array(&data_type, choices.below(20), choices.byte().into(), choices.byte().into());
    let mut flat = flatten(std::slice::from_ref(&made)).unwrap();
    let field = Arc::new(Field::new("x", data_type, choices.byte() % 4 > 0));
    while choices.more() {
        corrupt(&mut choices, &mut flat);
    }
    if let Ok(array) = imported(&field, flat, made.len()) {
        check(&field, &array);
    }
}

fn imported(field: &FieldRef, flat: Flat<Buffer>, rows: usize) -> Result<ArrayRef, String> {
    let fields = std::slice::from_ref(field);
    let arrays = rebuild(fields, &flat.nodes, flat.buffers, &flat.variadic_counts, rows, Trust::Checked);
    arrays.map(|mut arrays| arrays.remove(0)).map_err(|error| error.to_string())
}

fn check(field: &FieldRef, array: &ArrayRef) {
    array.to_data().validate_full().unwrap();
    assert!(field.is_nullable() || array.logical_null_count() == 0);
    let canonical = flowc_columns::canonical(array).unwrap();
    canonical.to_data().validate_full().unwrap();
    let again = imported(field, flatten(std::slice::from_ref(array)).unwrap(), array.len()).unwrap();
    assert_eq!(
        flowc_columns::chunk_digest(&flowc_columns::canonical(&again).unwrap()),
        flowc_columns::chunk_digest(&canonical)
    );
}

/// What a guest might do to its own columns.
fn corrupt(choices: &mut Choices, flat: &mut Flat<Buffer>) {
    let (nodes, buffers, views) = (flat.nodes.len(), flat.buffers.len(), flat.variadic_counts.len());
    match choices.byte() % 8 {
        0 if nodes > 0 => flat.nodes[choices.below(nodes)].length = choices.number(),
        1 if nodes > 0 => flat.nodes[choices.below(nodes)].null_count = choices.number(),
        2 if views > 0 => flat.variadic_counts[choices.below(views)] = choices.number() as u32,
        3 => flat.nodes.truncate(choices.below(nodes + 1)),
        4 => flat.buffers.truncate(choices.below(buffers + 1)),
        5 if buffers > 0 => {
            let at = choices.below(buffers);
            let length = choices.below(flat.buffers[at].len() + 1);
            flat.buffers[at] = flat.buffers[at].slice_with_length(0, length);
        }
        _ if buffers > 0 => {
            let at = choices.below(buffers);
            overwrite(choices, &mut flat.buffers[at]);
        }
        _ => {}
    }
}

fn overwrite(choices: &mut Choices, buffer: &mut Buffer) {
    let mut bytes = buffer.to_vec();
    if !bytes.is_empty() {
        let at = choices.below(bytes.len());
        bytes[at] = choices.byte();
        *buffer = Buffer::from(bytes);
    }
}
