// columns: id Int64?, x UInt32
// groups: id
struct Batch { rows: u32 }
var<storage, read> group: array<u32>;
var<storage, read> x: array<u32>;
var<storage, read_write> n: array<atomic<u32>>;
var<uniform> batch: Batch;
fn count(group: u32, value: u32) {
    let before = atomicAdd(&n[group], value);
    let after = before + 1u;
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x > batch.rows { return; }
    count(group[at.x], x[at.x]);
}
