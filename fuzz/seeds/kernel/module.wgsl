struct Batch { rows: u32 }
struct Config { plus: i32 }
var<storage, read> a: array<i32>;
var<storage, read> c: array<u32>;
var<storage, read> c_valid: array<u32>;
var<storage, read> t_offsets: array<u32>;
var<storage, read> t_bytes: array<u32>;
var<storage, read> v: array<array<f32, 3>>;
var<storage, read> w: array<vec4<u32>>;
var<storage, read_write> sum: array<i32>;
var<storage, read_write> sum_valid: array<u32>;
var<storage, read_write> keep: array<u32>;
var<storage, read_write> bins: array<atomic<u32>>;
var<storage, read> config: Config;
var<uniform> batch: Batch;
var<workgroup> part: array<i32, 64>;
struct At { @builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) own: u32 }
fn bit(word: u32, row: u32) -> u32 { return (word >> (row & 31u)) & 1u; }
@compute @workgroup_size(64)
fn main(at: At) {
    let row = at.id.x;
    part[at.own] = select(0, a[min(row, batch.rows - 1u)], row < batch.rows);
    workgroupBarrier();
    for (var step = 32u; step > 0u; step >>= 1u) {
        if at.own < step { part[at.own] += part[at.own + step]; }
        workgroupBarrier();
    }
    if row >= batch.rows { return; }
    var end = t_offsets[row + 1u];
    loop {
        if end <= t_offsets[row] { break; }
        end -= 1u;
        atomicAdd(&bins[t_bytes[end / 4u] % arrayLength(&bins)], 1u);
        continuing { break if end == 7u; }
    }
    sum[row] = part[0] + config.plus + i32(v[row][2]) + i32(w[row].w);
    sum_valid[row] = bit(c_valid[row / 32u], row);
    keep[row] = extractBits(c[row >> 5u], row % 32u, 1u);
}
