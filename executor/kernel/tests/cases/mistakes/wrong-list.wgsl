// columns: v 384 Float32, w 8 Int8
struct Out { b: f32 }
fn row(v: array<f32, 383>, w: vec4<i32>) -> Out { return Out(v[0]); }
