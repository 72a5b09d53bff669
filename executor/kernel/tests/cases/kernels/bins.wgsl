// columns: size UInt32, price Float32
// gives: count UInt64
struct Batch { rows: u32 }
var<storage, read> size: array<u32>;
var<storage, read_write> count: array<atomic<u32>, 10>;
var<storage, read_write> largest: array<atomic<i32>, 10>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    let bin = min(size[row] / 100u, 9u);
    atomicAdd(&count[bin], 1u);
    atomicMax(&largest[bin], i32(size[row]));
}
