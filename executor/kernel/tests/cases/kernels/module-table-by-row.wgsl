// columns: price Float32
struct Batch { rows: u32 }
struct Table { rows: u32, start: u32, end: u32 }
const PIECE = 4096u;
var<storage, read>       price:       array<f32>;
var<storage, read>       table_price: array<f32>;
var<storage, read_write> below:       array<u32>;
var<uniform>             batch:       Batch;
var<uniform>             table:       Table;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    for (var i = table.start; i < table.end; i++) {
        below[at.x] += u32(price[at.x] < table_price[at.x]);
    }
}
