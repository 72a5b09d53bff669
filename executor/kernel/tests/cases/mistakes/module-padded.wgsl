// columns: x Int32, v 3 Float32, t Utf8
var<storage, read> v: array<vec3<f32>>;
var<storage, read_write> w: array<vec3<f32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { w[at.x] = v[at.x]; }
