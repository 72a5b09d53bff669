// columns: x UInt32
struct Batch { rows: u32 }
var<storage, read> x: array<u32>;
var<storage, read_write> n: array<atomic<u32>, 8>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    atomicAdd(&n[0], 1u);
}
