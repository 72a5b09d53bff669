// columns: x Int32, v 3 Float32, t Utf8
var<storage, read_write> y: array<i32>;
@compute @workgroup_size(64) fn run(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = 1; }
