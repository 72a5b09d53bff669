// columns: x Int32, v 3 Float32, t Utf8
struct Config { a: i32 }
var<storage, read_write> config: Config;
var<storage, read_write> y: array<i32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3<u32>) { y[at.x] = config.a; }
