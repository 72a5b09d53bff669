// columns: x Int32
struct Batch { rows: u32 }
var<storage, read> x: array<i32>;
var<storage, read_write> y: array<i32>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x; if row < batch.rows { y[batch.rows - 1u - row] = x[row]; }
}
