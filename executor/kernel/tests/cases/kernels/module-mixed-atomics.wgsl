// columns: x UInt32
struct Batch { rows: u32 }
var<storage, read> x: array<u32>;
var<storage, read_write> y: array<atomic<u32>>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    atomicAdd(&y[x[at.x] % batch.rows], 1u);
    atomicMax(&y[x[at.x] / batch.rows], 7u);
}
