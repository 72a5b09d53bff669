// columns: x Float32
// groups: x
struct Batch { rows: u32 }
var<storage, read> group: array<u32>;
var<storage, read_write> n: array<atomic<u32>>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    atomicAdd(&n[group[row]], 1u);
}
