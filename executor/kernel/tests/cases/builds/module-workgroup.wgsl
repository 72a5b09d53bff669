// columns: x Int32
struct Batch { rows: u32 }
var<storage, read> x: array<i32>;
var<storage, read_write> most: array<i32>;
var<uniform> batch: Batch;
var<workgroup> shared_x: array<i32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    shared_x[own] = select(0, x[min(at.x, batch.rows - 1u)], at.x < batch.rows);
    workgroupBarrier();
    for (var step = 32u; step > 0u; step = step >> 1u) {
        if own < step { shared_x[own] = max(shared_x[own], shared_x[own + step]); }
        workgroupBarrier();
    }
    if at.x < batch.rows { most[at.x] = shared_x[0]; }
}
