// columns: price Int32, sold Boolean?, kind UInt8, vector 4 Int32
//! Adds up what a row has.
struct Batch { rows: u32 }
struct Config { plus: i32 }
var<storage, read> price: array<i32>;
var<storage, read> sold: array<u32>;
var<storage, read> sold_valid: array<u32>;
var<storage, read> kind: array<u32>;
var<storage, read> vector: array<i32>;
var<storage, read_write> total: array<i32>;
var<storage, read_write> total_valid: array<u32>;
var<storage, read_write> keep: array<u32>;
var<storage, read> config: Config;
var<uniform> batch: Batch;
const WIDTH = 4u;
fn bit(words: u32, row: u32) -> u32 { return (words >> (row & 31u)) & 1u; }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    let kind_of = extractBits(kind[row / 4u], (row % 4u) * 8u, 8u);
    let own = price[row] + vector[row * WIDTH] + vector[row * WIDTH + 3u] + i32(kind_of);
    total[row] = own + config.plus;
    total_valid[row] = bit(sold_valid[row >> 5u], row);
    keep[row] = bit(sold[row >> 5u], row);
}
