// columns: bin UInt32
struct Batch { rows: u32 }
var<storage, read> bin: array<u32>;
var<storage, read_write> seen: array<atomic<u32>>;
var<uniform> batch: Batch;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x < batch.rows { atomicAdd(&seen[bin[at.x] % batch.rows], 1u); }
}
