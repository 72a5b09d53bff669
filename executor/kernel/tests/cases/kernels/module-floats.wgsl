// columns: unit Float32, v 384 Float32, wide Float64
// bind: price = unit
// gives: copy Float64
struct Batch { rows: u32 }
var<storage, read> price: array<f32>;
var<storage, read> v: array<array<f32, 384>>;
var<storage, read> wide: array<vec2<u32>>;
var<storage, read_write> dot: array<f32>;
var<storage, read_write> copy: array<vec2<u32>>;
var<uniform> batch: Batch;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    var sum = 0.0;
    for (var i = 0u; i < 384u; i++) { sum = sum + v[at.x][i] * price[at.x]; }
    dot[at.x] = sum;
    copy[at.x] = wide[at.x];
}
