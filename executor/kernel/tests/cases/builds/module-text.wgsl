// columns: text Utf8
struct Batch { rows: u32 }
var<storage, read> text_offsets: array<u32>;
var<storage, read> text_bytes: array<u32>;
var<storage, read_write> spaces: array<u32>;
var<uniform> batch: Batch;
fn byte(at: u32) -> u32 { return (text_bytes[at / 4u] >> (8u * (at % 4u))) & 255u; }
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    var count = 0u;
    for (var i = text_offsets[at.x]; i < text_offsets[at.x + 1u]; i++) {
        if byte(i) == 32u { count += 1u; }
    }
    spaces[at.x] = count;
}
