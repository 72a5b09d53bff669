// columns: x Int32, v 3 Float32, t Utf8
var<storage, read_write> y: array<i32>;
@compute @workgroup_size(64) fn count(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = 1; }
@compute @workgroup_size(64) fn emit(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = 1; }
