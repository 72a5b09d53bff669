struct Batch { rows: u32 }
var<storage, read> a: array<i32>;
var<storage, read_write> sum: array<i32>;
var<uniform> batch: Batch;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x < batch.rows && at.x > 0u { sum[at.x] = a[at.x] - a[at.x - 1u]; }
}
