// columns: x Int32
struct Batch { rows: u32 }
var<storage, read> x: array<i32>;
var<storage, read_write> most: array<i32>;
var<uniform> batch: Batch;
var<workgroup> shared_x: array<i32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    if at.x >= batch.rows { return; }
    shared_x[own] = x[at.x];
    workgroupBarrier();
    most[at.x] = shared_x[0];
}
