// columns: x Int32, v 3 Float32, t Utf8
@group(0) @binding(0) var image: texture_2d<f32>;
var<storage, read_write> y: array<i32>;
struct Table { rows: array<i32, 4> }
var<storage, read> table: Table;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = 1; }
