// How many rows each group has. flowc numbers the groups of the rows that are together; a column says which one a row is in.

struct Batch { rows: u32 }

var<storage, read> group: array<u32>;
var<storage, read_write> count: array<atomic<u32>>;
var<uniform> batch: Batch;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    atomicAdd(&count[group[row]], 1u);
}
