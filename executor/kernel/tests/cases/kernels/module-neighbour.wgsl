// columns: price Int32
struct Batch { rows: u32 }
var<storage, read> price: array<i32>;
var<storage, read_write> change: array<i32>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    if row > 0u { change[row] = price[row] - price[row - 1u]; }
}
