// columns: code FixedSizeBinary(5)
struct Batch { rows: u32 }
var<storage, read> code: array<u32>;
var<storage, read_write> y: array<u32>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    y[at.x] = code[at.x];
}
