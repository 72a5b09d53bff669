// columns: x Int32, v 3 Float32, t Utf8
var<storage, read> x: array<i32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { let y = x[at.x]; }
