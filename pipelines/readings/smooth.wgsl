//! The sum of a row's value and those of its neighbours in the file, with the number of rows that this is of.

struct Batch { rows: u32 }
var<storage, read> value: array<i32>;
var<storage, read_write> sum: array<i32>;
var<storage, read_write> width: array<u32>;
var<uniform> batch: Batch;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    let first = select(at.x - 1u, 0u, at.x == 0u);
    let last = min(at.x + 1u, batch.rows - 1u);
    var total = 0;
    for (var row = first; row <= last; row++) { total += value[row]; }
    sum[at.x] = total;
    width[at.x] = last - first + 1u;
}
