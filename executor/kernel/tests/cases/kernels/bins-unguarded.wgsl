// columns: x UInt32
struct Batch { rows: u32 }
var<storage, read> x: array<u32>;
var<storage, read_write> n: array<atomic<u32>, 8>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    var bin = 0u;
    if at.x < batch.rows { bin = x[at.x] % 8u; }
    let before = atomicAdd(&n[bin], 1u);
    let after = before + 1u;
}
