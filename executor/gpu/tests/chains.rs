//! Kernels that follow each other: columns stay on the device between them, and nobody can tell by the rows.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;

use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int8Array, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt32Array,
};
use support::{Chain, Runner, schema, values, with_driver};

/// Numbers that look random, the same in each run.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    fn float(&mut self) -> f32 {
        (self.next() as f32 - 8e6) / 1e4
    }
}

const NAMES: [&str; 8] = ["x", "y", "z", "n", "small", "flag", "list", "note"];

/// Columns of all sorts: floats, of which one has nulls; narrow ones; lists; texts.
fn columns(rows: usize) -> Vec<ArrayRef> {
    let mut random = Random(7);
    let mut floats = || (0..rows).map(|_| random.float()).collect::<Vec<f32>>();
    let (x, y, z) = (floats(), floats(), floats());
    let list = (0..rows).map(|row| (row % 7 != 2).then(|| [x[row], y[row], z[row]].map(Some)));
    vec![
        Arc::new(Float32Array::from_iter((0..rows).map(|row| (row % 11 != 5).then_some(x[row])))),
        Arc::new(Float32Array::from(y.clone())),
        Arc::new(Float32Array::from(z.clone())),
        Arc::new(Int32Array::from_iter((0..rows).map(|row| (row % 5 != 3).then_some(row as i32 * 77 - 3000)))),
        Arc::new(Int8Array::from_iter((0..rows).map(|row| (row % 13 != 1).then_some((row * 31) as i8)))),
        Arc::new(BooleanArray::from_iter((0..rows).map(|row| (row % 17 != 4).then_some(row % 3 == 1)))),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(list, 3)),
        Arc::new(StringArray::from_iter((0..rows).map(|row| (row % 19 != 6).then(|| "a b ".repeat(row % 4))))),
    ]
}

/// A function over rows.
fn row(out: &str, parameters: &str, body: &str) -> String {
    format!("struct Out {{ {out} }}\nfn row({parameters}) -> Out {{ {body} }}\n")
}

/// Words of texts, by a module.
const SPACES: &str = "struct Batch { rows: u32 }
var<storage, read> note_offsets: array<u32>;
var<storage, read> note_bytes: array<u32>;
var<storage, read> n_valid: array<u32>;
var<storage, read_write> spaces: array<u32>;
var<storage, read_write> spaces_valid: array<u32>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    var count = 0u;
    for (var i = note_offsets[at.x]; i < note_offsets[at.x + 1u]; i++) {
        count += u32(((note_bytes[i / 4u] >> (8u * (i % 4u))) & 255u) == 32u);
    }
    spaces[at.x] = count;
    spaces_valid[at.x] = (n_valid[at.x / 32u] >> (at.x % 32u)) & 1u;
}
";

/// Asserts that a chain gives the same rows together and apart, however they are pushed.
fn assert_alike(chain: &Chain<'_>, columns: &[ArrayRef], what: &str) {
    let rows = columns[0].len();
    let apart = chain.rows(columns, rows, false).unwrap();
    for at_once in [rows, 1000, 333] {
        let together = chain.rows(columns, at_once, true).unwrap();
        assert_eq!(together.1, apart.1, "rows between the stages of {what}, {at_once} at once");
        assert_same(&together.0, &apart.0, &format!("{what}, {at_once} at once"));
    }
    let few: Vec<ArrayRef> = columns.iter().map(|column| column.slice(3, 40)).collect();
    let apart = chain.rows(&few, 40, false).unwrap();
    for at_once in [1, 7] {
        let together = chain.rows(&few, at_once, true).unwrap();
        assert_same(&together.0, &apart.0, &format!("{what}, {at_once} at once"));
    }
}

/// The bits of all floats, so that no NaN is like another.
fn bits(batch: &RecordBatch) -> Vec<Vec<u32>> {
    let floats = batch.columns().iter().filter_map(|column| column.as_any().downcast_ref::<Float32Array>());
    floats.map(|column| column.values().iter().map(|value| value.to_bits()).collect()).collect()
}

fn assert_same(one: &RecordBatch, other: &RecordBatch, what: &str) {
    assert_eq!(one, other, "{what}");
    assert!(bits(one) == bits(other), "other bits of {what}");
}

#[test]
fn chains_give_the_same_together_and_apart() {
    with_driver("chains_give_the_same_together_and_apart", || {
        let runner = Runner::new();
        let columns = columns(3000);
        let named: Vec<_> = NAMES.into_iter().zip(&columns).collect();
        let schema = schema(&named);
        let product = row("p: f32", "x: f32, y: f32", "return Out(x * y);");
        let sum = row("s: f32", "p: f32, z: f32", "return Out(p + z);");
        let nans = row("q: f32", "y: f32", "return Out((y - y) / (y - y));");
        let seen = row("seen: u32", "q: f32", "return Out(bitcast<u32>(q));");
        let partly = row("v: f32, v_valid: bool", "x: f32, z: f32", "return Out(x + z, z > 0.0);");
        let of_partly = row("w: f32", "v: f32, n: i32", "return Out(v * f32(n));");
        let asks = row("had: bool, v2: f32", "v: f32, v_valid: bool", "return Out(v_valid, v);");
        let of_flag = row("t: i32", "had: bool, flag: bool", "return Out(select(1, 2, had) + select(10, 20, flag));");
        let positive = row("keep: bool", "y: f32", "return Out(y > 0.0);");
        let some = row("k: i32, keep: bool", "small: i32, n: i32", "return Out(small + n, (n & 4) == 0);");
        let lists = row("turned: vec3<f32>", "list: vec3<f32>", "return Out(list.zyx);");
        let of_lists =
            row("first: f32", "turned: vec3<f32>, flag: bool", "return Out(select(turned.x, turned.z, flag));");
        let none = row("keep: bool", "y: f32", "return Out(y > 1e9);");
        let wide = row("wide: i64, yes: bool", "n: i32, y: f32", "return Out(i64(n) << 33u, y > 0.0 && n > 0);");
        let of_wide = row("narrow: i32", "wide: i64", "return Out(i32(wide >> 34u));");
        let replaced = row("x: f32", "x: f32, p: f32", "return Out(x * 1.1 + p);");
        let table: [(&str, Vec<&str>); 12] = [
            ("product and sum", vec![&product, &sum]),
            ("NaNs are one", vec![&nans, &seen]),
            ("nulls go on", vec![&partly, &of_partly]),
            ("validity is asked for", vec![&partly, &asks, &of_flag]),
            ("a mask between", vec![&product, &positive, &sum]),
            ("masks over columns of all widths", vec![&partly, &some, &lists, &positive, &of_lists, &asks, &of_flag]),
            ("texts after a mask", vec![&positive, SPACES, &some, &product]),
            ("texts before and after a mask", vec![SPACES, &positive, &partly]),
            ("no row is left", vec![&product, &none, &sum, &lists]),
            ("64 bits and booleans", vec![&wide, &some, &of_wide]),
            ("a column takes the place of another", vec![&product, &replaced, &positive, &replaced]),
            ("the last one picks", vec![&product, &sum, &positive]),
        ];
        for (what, texts) in table {
            assert_alike(&runner.chain(&texts, &schema), &columns, what);
        }
    });
}

/// A chain of random kernels over floats: each reads two columns that are there, and writes one or picks rows.
fn random_chain(random: &mut Random) -> Vec<String> {
    let mut names = ["x", "y", "z"].map(str::to_owned).to_vec();
    let length = 2 + random.below(6);
    let kernels = (0..length).map(|number| {
        let [a, b] = [0; 2].map(|_| names[random.below(names.len())].clone());
        let (a, b) = if a == b { ("x".to_owned(), "y".to_owned()) } else { (a, b) };
        let parameters = format!("{a}: f32, {b}: f32");
        let w = format!("w{number}");
        match random.below(7) {
            0 => row("keep: bool", &parameters, &format!("return Out({a} < {b} * 3.0);")),
            1 => row(&format!("{a}: f32"), &parameters, &format!("return Out({a} * 0.7 + {b});")),
            kind => {
                let value =
                    [format!("{a} * {b}"), format!("{a} + {b}"), format!("{a} / ({b} - {b})")][kind % 3].clone();
                let (out, more) = if kind == 6 {
                    (format!("{w}: f32, {w}_valid: bool"), format!(", {a} > 0.0"))
                } else {
                    (format!("{w}: f32"), String::new())
                };
                names.push(w);
                row(&out, &parameters, &format!("return Out({value}{more});"))
            }
        }
    });
    kernels.collect()
}

#[test]
fn random_chains_give_the_same_together_and_apart() {
    with_driver("random_chains_give_the_same_together_and_apart", || {
        let runner = Runner::new();
        let columns = columns(1500);
        let named: Vec<_> = NAMES.into_iter().zip(&columns).collect();
        let schema = schema(&named);
        let mut random = Random(42);
        for _ in 0..12 {
            let texts = random_chain(&mut random);
            assert_alike(&runner.chain(&texts, &schema), &columns, &texts.join("\n"));
        }
    });
}

#[test]
fn a_chain_of_eight_moves_the_bytes_of_one_stage() {
    with_driver("a_chain_of_eight_moves_the_bytes_of_one_stage", || {
        let runner = Runner::new();
        let column: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..100_000));
        let schema = schema(&[("x", &column)]);
        let texts: Vec<String> =
            (0..8).map(|number| row("x: u32", "x: u32", &format!("return Out(x * 3u + {number}u);"))).collect();
        let moved = |texts: &[String]| {
            let chain = runner.chain(texts, &schema);
            let before = runner.kernels.traffic();
            let (rows, _) = chain.rows(std::slice::from_ref(&column), 8192, true).unwrap();
            let after = runner.kernels.traffic();
            (values::<UInt32Type>(&rows, "x"), [after[0] - before[0], after[1] - before[1]])
        };
        let (_, one) = moved(&texts[..1]);
        let (rows, eight) = moved(&texts);
        assert_eq!(rows[1], (0..8).fold(1u32, |x, number| x * 3 + number));
        assert!(one.iter().all(|bytes| *bytes > 400_000), "{one:?}");
        for (one, eight) in one.into_iter().zip(eight) {
            assert!(eight < one + 1000, "{one} bytes by one stage, {eight} by eight");
        }
    });
}

#[test]
fn a_fault_is_that_of_its_stage_and_row() {
    with_driver("a_fault_is_that_of_its_stage_and_row", || {
        let runner = Runner::new();
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let schema = schema(&[("x", &column)]);
        let even = row("keep: bool", "x: i64", "return Out((x & 1) == 0);");
        let endless = row("y: i64", "x: i64", "var y = x; while x == 600 { y += x; } return Out(y);");
        let next = row("w: i64", "y: i64", "return Out(y + 1);");
        let chain = runner.chain(&[even, endless, next], &schema);
        for together in [true, false] {
            let error = chain.rows(std::slice::from_ref(&column), 64, together).unwrap_err();
            assert_eq!(error.stage, "stage 1");
            assert!(error.to_string().contains("in row 301 a loop does not end in line 2"), "{error}");
            assert_eq!(error.rows.unwrap().rows, 300..301);
        }
    });
}
