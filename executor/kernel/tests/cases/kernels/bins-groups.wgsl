// columns: customer Int64?, amount Int32
// groups: customer
struct Batch { rows: u32 }
var<storage, read> group: array<u32>;
var<storage, read> amount: array<i32>;
var<storage, read_write> sum: array<atomic<i32>>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    atomicAdd(&sum[group[row]], amount[row]);
}
