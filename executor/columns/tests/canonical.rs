//! Canonical columns of every type: one form and one digest per logical content.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use flowc_columns::testing::{array, data_types, every_type, values};
use flowc_columns::{ColumnDigest, Rechunk, Unifier, canonical, chunk_digest};
use flowc_planner::key::ContentDigest;
use proptest::prelude::*;

/// Digest of rows that come in pieces of these sizes.
fn digest(array: &ArrayRef, piece: usize) -> ContentDigest {
    let field = Field::new("c", array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let mut rechunk = Rechunk::new(schema.clone());
    let mut chunks = Vec::new();
    for start in (0..array.len()).step_by(piece) {
        let rows = array.slice(start, piece.min(array.len() - start));
        chunks.extend(rechunk.push(RecordBatch::try_new(schema.clone(), vec![rows]).unwrap()).unwrap());
    }
    chunks.extend(rechunk.finish().unwrap());
    let mut digest = ColumnDigest::new(&field);
    for chunk in chunks {
        digest.update(&canonical(chunk.column(0)).unwrap());
    }
    digest.finish()
}

/// Everything that must hold for two layouts of one content.
fn assert_one_form(a: &ArrayRef, b: &ArrayRef) {
    assert_eq!(values(a), values(b), "the generator: {:?}", a.data_type());
    let (one, other) = (canonical(a).unwrap(), canonical(b).unwrap());
    one.to_data().validate_full().unwrap();
    assert_eq!(values(&one), values(a), "content of {:?}", a.data_type());
    assert_eq!(chunk_digest(&one), chunk_digest(&other), "digest of {:?}\n{one:?}\n{other:?}", a.data_type());
    let again = canonical(&one).unwrap();
    assert_eq!(chunk_digest(&again), chunk_digest(&one), "twice {:?}", a.data_type());
}

fn assert_unified(array: &ArrayRef) {
    let mut unifier = Unifier::default();
    for start in (0..array.len()).step_by(7) {
        let chunk = canonical(&array.slice(start, 7.min(array.len() - start))).unwrap();
        let unified = unifier.push(&chunk).unwrap();
        assert_eq!(values(&unified), values(&chunk));
        assert_eq!(
            chunk_digest(&canonical(&unified).unwrap()),
            chunk_digest(&chunk),
            "unified {:?}",
            array.data_type()
        );
    }
}

#[test]
fn every_type_has_one_form_per_content() {
    for data_type in every_type() {
        for content in 0..12 {
            let (a, b) = (array(&data_type, 40, content, 2 * content), array(&data_type, 40, content, 2 * content + 1));
            assert_one_form(&a, &b);
            assert_unified(&a);
            for piece in [1, 7, 100] {
                assert_eq!(digest(&a, piece), digest(&b, 1000), "pieces of {piece}: {data_type:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn layouts_do_not_matter(data_type in data_types(), rows in 0..60usize, content: u64, one: u64, two: u64) {
        let (a, b) = (array(&data_type, rows, content, one), array(&data_type, rows, content, two));
        assert_one_form(&a, &b);
        assert_unified(&a);
        prop_assert_eq!(digest(&a, 13), digest(&b, 64));
    }

    #[test]
    fn contents_do(data_type in data_types(), rows in 0..30usize, a: u64, b: u64, layout: u64) {
        let (a, b) = (array(&data_type, rows, a, layout), array(&data_type, rows, b, layout));
        prop_assert_eq!(values(&a) == values(&b), digest(&a, 100) == digest(&b, 100));
    }

    #[test]
    fn one_changed_row_does(data_type in data_types(), content: u64, row in 0..30usize, layout: u64) {
        let a = array(&data_type, 30, content, layout);
        let without = arrow_select::concat::concat(&[&a.slice(0, row), &a.slice(row + 1, 29 - row)]).unwrap();
        let same = values(&a)[..29] == values(&without)[..];
        prop_assert_eq!(same, digest(&a.slice(0, 29), 100) == digest(&without, 100));
    }
}

#[test]
fn the_type_is_part_of_a_digest_and_the_name_is_not() {
    let empty = |name: &str, data_type| ColumnDigest::new(&Field::new(name, data_type, name == "a")).finish();
    use arrow_schema::DataType::{Int32, UInt32};
    assert_eq!(empty("a", Int32), empty("b", Int32));
    assert_ne!(empty("a", Int32), empty("a", UInt32));
}
