// The rows of a table whose vectors are nearest to that of a row. Constants, `Lanes` and what is done with them come before this text.

struct Batch { rows: u32 }
struct Table { rows: u32, start: u32, end: u32 }

var<storage, read> vector: array<array<Lanes, LANES>>;
var<storage, read> vector_valid: array<u32>;
var<storage, read> table_vector: array<array<Lanes, LANES>>;
var<storage, read> table_vector_valid: array<u32>;
// Best first. While pieces of the table are left, numbers of rows count from 1, and 0 is nothing.
var<storage, read_write> nearest: array<array<u32, K>>;
var<storage, read_write> nearest_valid: array<u32>;
var<storage, read_write> score: array<array<Score, K>>;
var<storage, read_write> score_valid: array<u32>;
var<uniform> batch: Batch;
var<uniform> table: Table;

// Puts a row of the table where it belongs. Of equal scores the row that came first stays first.
fn offer(row: u32, other: u32, value: Score) {
    let place = rank(value);
    if nearest[row][K - 1u] != 0u && rank(score[row][K - 1u]) >= place { return; }
    var at = K - 1u;
    loop {
        if at == 0u { break; }
        let above = nearest[row][at - 1u];
        if above != 0u && rank(score[row][at - 1u]) >= place { break; }
        nearest[row][at] = above;
        score[row][at] = score[row][at - 1u];
        at -= 1u;
    }
    nearest[row][at] = other + 1u;
    score[row][at] = value;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let row = invocation.x;
    if row >= batch.rows { return; }
    if ((vector_valid[row / 32u] >> (row % 32u)) & 1u) == 0u { return; }
    nearest_valid[row] = 1u;
    score_valid[row] = 1u;
    var own = ZERO;
    for (var d = 0u; d < LANES; d++) { own += length_of(vector[row][d]); }
    // Four rows at once, so that a vector is read once for four.
    for (var first = table.start; first < table.end; first += 4u) {
        let last = table.end - 1u;
        let b = min(first + 1u, last);
        let c = min(first + 2u, last);
        let e = min(first + 3u, last);
        var sums = array<Sum, 4>(ZERO, ZERO, ZERO, ZERO);
        var lengths = array<Sum, 4>(ZERO, ZERO, ZERO, ZERO);
        for (var d = 0u; d < LANES; d++) {
            let mine = vector[row][d];
            let theirs = array<Lanes, 4>(table_vector[first][d], table_vector[b][d], table_vector[c][d], table_vector[e][d]);
            sums[0] += of_two(mine, theirs[0]);
            sums[1] += of_two(mine, theirs[1]);
            sums[2] += of_two(mine, theirs[2]);
            sums[3] += of_two(mine, theirs[3]);
            lengths[0] += length_of(theirs[0]);
            lengths[1] += length_of(theirs[1]);
            lengths[2] += length_of(theirs[2]);
            lengths[3] += length_of(theirs[3]);
        }
        for (var i = 0u; i < 4u; i++) {
            let other = first + i;
            if other < table.end && ((table_vector_valid[other / 32u] >> (other % 32u)) & 1u) == 1u {
                offer(row, other, score_of(total(sums[i]), total(own), total(lengths[i])));
            }
        }
    }
    if table.end == table.rows {
        for (var i = 0u; i < K; i++) { nearest[row][i] -= 1u; }
    }
}
