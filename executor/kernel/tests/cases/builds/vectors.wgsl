// columns: v 3 Float32, w 4 Int8, n UInt32
struct Out { v: vec3<f32>, halves: array<u32, 4> }
fn row(v: vec3<f32>, w: vec4<i32>, n: u32) -> Out {
    var halves: array<u32, 4>;
    for (var i = 0u; i < 4u; i++) { halves[i] = u32(w[(i + n) % 4u]); }
    return Out(normalize(v), halves);
}
