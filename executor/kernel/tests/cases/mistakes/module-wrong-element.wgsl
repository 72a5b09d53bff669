// columns: x Int32, v 3 Float32, t Utf8
var<storage, read> x: array<f32>;
var<storage, read> v: array<array<f32, 4>>;
var<storage, read> t: array<u32>;
var<storage, read> x_offsets: array<u32>;
var<storage, read> x_valid: array<i32>;
var<storage, read_write> y: array<i32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = i32(x[at.x]); }
