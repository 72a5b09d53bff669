//! Whatever the array, it comes back as it was; whatever the bytes, nothing panics.
#![allow(clippy::unwrap_used)]

mod generator;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, StringArray};
use arrow_buffer::Buffer;
use arrow_data::BufferSpec;
use arrow_schema::{DataType, Field, FieldRef};
use flowc_arrays::{Flat, Node, Trust, flatten, rebuild};
use generator::{Random, array, can_be_required, data_type, plain_types};
use proptest::prelude::*;

/// A random column, cut out of a longer one.
fn column(seed: u64) -> (FieldRef, ArrayRef) {
    let random = &mut Random(seed);
    let data_type = data_type(random, 3);
    let nullable = random.below(3) > 0 || !can_be_required(&data_type);
    let length = [0, 1, 7, 40][random.below(4)];
    let whole = array(random, &data_type, length, nullable);
    let offset = random.below(length + 1);
    let column = whole.slice(offset, random.below(length - offset + 1));
    (Arc::new(Field::new("x", data_type, nullable)), column)
}

fn rebuilt(field: &FieldRef, flat: Flat<Buffer>, rows: usize, trust: Trust) -> Result<ArrayRef, String> {
    let arrays = rebuild(std::slice::from_ref(field), &flat.nodes, flat.buffers, &flat.variadic_counts, rows, trust);
    Ok(arrays.map_err(|error| error.to_string())?.remove(0))
}

/// What a guest might do to its own columns.
fn corrupt(random: &mut Random, flat: &mut Flat<Buffer>) {
    let numbers = [0, 1, 2, 63, 1 << 31, 1 << 40, u64::MAX, u64::MAX / 2];
    match random.below(8) {
        0 | 1 if !flat.nodes.is_empty() => {
            let node = random.below(flat.nodes.len());
            let number = numbers[random.below(numbers.len())];
            match random.below(2) {
                0 => flat.nodes[node].length = number,
                _ => flat.nodes[node].null_count = number,
            }
        }
        2 => flat.nodes.truncate(random.below(flat.nodes.len() + 1)),
        3 => flat.buffers.truncate(random.below(flat.buffers.len() + 1)),
        4 if !flat.variadic_counts.is_empty() => flat.variadic_counts[0] = numbers[random.below(numbers.len())] as u32,
        5 if flat.buffers.len() > 1 => {
            let (a, b) = (random.below(flat.buffers.len()), random.below(flat.buffers.len()));
            flat.buffers.swap(a, b);
        }
        _ if !flat.buffers.is_empty() => {
            let at = random.below(flat.buffers.len());
            let mut bytes = flat.buffers[at].to_vec();
            match random.below(2) {
                0 => bytes.truncate(random.below(bytes.len() + 1)),
                _ => (0..bytes.len().min(3)).for_each(|_| {
                    let at = random.below(bytes.len());
                    bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)];
                }),
            }
            flat.buffers[at] = Buffer::from(bytes);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_array_comes_back_as_it_was(seed: u64) {
        let (field, column) = column(seed);
        let flat = flatten(std::slice::from_ref(&column)).unwrap();
        for trust in [Trust::Checked, Trust::Trusted] {
            let back = rebuilt(&field, flat.clone(), column.len(), trust).unwrap();
            prop_assert_eq!(back.data_type(), column.data_type());
            prop_assert_eq!(&back.to_data(), &column.to_data());
            let again = flatten(&[back]).unwrap();
            prop_assert_eq!(&again.nodes, &flat.nodes);
        }
    }

    #[test]
    fn corrupted_columns_are_refused_or_valid(seed: u64, times in 1_usize..4) {
        let (field, column) = column(seed);
        let mut flat = flatten(std::slice::from_ref(&column)).unwrap();
        let random = &mut Random(seed ^ 1);
        (0..times).for_each(|_| corrupt(random, &mut flat));
        if let Ok(array) = rebuilt(&field, flat, column.len(), Trust::Checked) {
            prop_assert!(array.to_data().validate_full().is_ok());
            prop_assert_eq!(array.len(), column.len());
            prop_assert!(field.is_nullable() || array.logical_null_count() == 0);
            flatten(&[array.slice(0, array.len() / 2)]).unwrap();
        }
    }
}

fn text_field(nullable: bool) -> FieldRef {
    Arc::new(Field::new("name", DataType::Utf8, nullable))
}

fn flat_text() -> Flat<Buffer> {
    flatten(&[Arc::new(StringArray::from(vec![Some("ab"), None, Some("cd")])) as ArrayRef]).unwrap()
}

#[test]
fn an_error_names_the_column_and_what_is_wrong() {
    let error = |flat, nullable, rows| rebuilt(&text_field(nullable), flat, rows, Trust::Checked).unwrap_err();
    assert_eq!(error(flat_text(), true, 4), "column `name`: a node has 3 values where 4 are due");
    assert_eq!(error(flat_text(), false, 3), "column `name`: 1 nulls, but the schema says that it has none");
    let mut flat = flat_text();
    flat.nodes[0].null_count = 2;
    assert_eq!(error(flat, true, 3), "column `name`: a node claims 2 nulls, its bitmap has 1");
    let mut flat = flat_text();
    flat.buffers[2] = Buffer::from(vec![b'a', 0xff, b'c', b'd']);
    assert!(error(flat, true, 3).contains("column `name`"));
    let mut flat = flat_text();
    flat.nodes.push(Node { length: 1, null_count: 0 });
    assert_eq!(error(flat, true, 3), "1 more nodes than the columns take");
}

#[test]
fn an_empty_column_may_come_without_offsets() {
    let flat = Flat {
        nodes: vec![Node { length: 0, null_count: 0 }],
        buffers: vec![Buffer::from(Vec::<u8>::new()); 3],
        variadic_counts: Vec::new(),
    };
    assert_eq!(rebuilt(&text_field(false), flat, 0, Trust::Checked).unwrap().len(), 0);
}

#[test]
fn a_slice_shares_its_buffers_and_takes_no_more_than_it_needs() {
    let whole = Int32Array::from_iter_values(0..1000);
    let flat = flatten(&[Arc::new(whole.slice(100, 10)) as ArrayRef]).unwrap();
    assert_eq!(flat.buffers[1].as_ptr(), whole.values()[100..].as_ptr().cast());
    assert_eq!(flat.buffers[1].len(), 40);
}

#[test]
fn a_long_list_of_nothing_is_refused() {
    let field =
        Arc::new(Field::new("x", DataType::LargeList(Arc::new(Field::new("item", DataType::Null, true))), true));
    let flat = Flat {
        nodes: vec![Node { length: 1, null_count: 0 }, Node { length: 1 << 40, null_count: 1 << 40 }],
        buffers: vec![Buffer::from(Vec::<u8>::new()), Buffer::from_slice_ref([0_i64, 1 << 40])],
        variadic_counts: Vec::new(),
    };
    assert!(rebuilt(&field, flat, 1, Trust::Checked).unwrap_err().contains("more than a batch can hold"));
}

/// How a plain type's values lie in memory.
fn shape(data_type: &DataType) -> (bool, Vec<Option<usize>>, bool) {
    let layout = arrow_data::layout(data_type);
    let width = |spec: &BufferSpec| match spec {
        BufferSpec::FixedWidth { byte_width, .. } => Some(*byte_width),
        BufferSpec::BitMap => Some(0),
        BufferSpec::VariableWidth | BufferSpec::AlwaysNull => None,
    };
    (layout.can_contain_null_mask, layout.buffers.iter().map(width).collect(), layout.variadic)
}

#[test]
fn columns_of_another_layout_are_refused_by_their_bytes_alone() {
    let types = plain_types();
    for given in &types {
        let column = array(&mut Random(7), given, 9, false);
        let flat = flatten(std::slice::from_ref(&column)).unwrap();
        for declared in types.iter().filter(|declared| shape(declared) != shape(given)) {
            let field = Arc::new(Field::new("x", declared.clone(), true));
            let outcome = rebuilt(&field, flat.clone(), 9, Trust::Checked);
            assert!(outcome.is_err(), "{given} passes for {declared}");
        }
    }
}
