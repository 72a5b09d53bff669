// How many values are in each of some ranges. `BINS`, `Word` and `bin_of` come before this text: a number from 0, which is below all
// ranges, to BINS + 1, which is above them. VALUE stands for the value of a row.

struct Batch { rows: u32 }

var<storage, read> value: array<Word>;
var<storage, read> value_valid: array<u32>;
var<storage, read_write> count: array<atomic<u32>, BINS + 3u>;
var<uniform> batch: Batch;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    var bin = BINS + 2u;
    if ((value_valid[row / 32u] >> (row % 32u)) & 1u) == 1u { bin = bin_of(VALUE); }
    atomicAdd(&count[bin], 1u);
}
