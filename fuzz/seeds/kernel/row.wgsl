/// Adds up.
struct Config {
    /// Of each.
    rate: f32,
    weights: array<vec2<i32>, 2>,
}
struct Out { sum: i32, sum_valid: bool, keep: bool, list: array<u32, 3>, e: u64 }
const LIMIT = 9i;
var<private> total: i32;
fn helper(x: i32, list: ptr<function, array<u32, 3>>) -> i32 {
    for (var i = 0; i < x; i++) { (*list)[i] = u32(i) << u32(x); total += i; if i == LIMIT { break; } }
    switch x { case 1, 2: { return 3; } default: { return -x / 2; } }
}
fn row(a: i32, b: f32, c: bool, c_valid: bool, d: i32, e: u64, v: vec3<f32>, config: Config) -> Out {
    var list: array<u32, 3>;
    let sum = helper(a, &list) + d + config.weights[a & 1].y;
    return Out(sum + i32(b * v[d] * config.rate), c_valid && c, sum > 3, list, e);
}
