// columns: x Int32, v 3 Float32, t Utf8
var<storage, read_write> keep: array<i32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { keep[at.x] = 1; }
