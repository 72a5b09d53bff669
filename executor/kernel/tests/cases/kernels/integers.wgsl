// columns: a Int8, b UInt16?, c Boolean, d Date32, e Int64?
// gives: d Date32, due Timestamp(µs)
struct Config { weights: vec4<f32>, plus: i32 }
struct Out { d: i32, due: i64, sum: u32, flag: bool }
fn row(a: i32, b: u32, c: bool, d: i32, e: i64, config: Config) -> Out {
    var sum = b;
    for (var i = 0; i < a; i++) { sum += u32(i) ^ 7u; }
    return Out(d + config.plus, e, select(sum, 0u, c), c);
}
