// columns: v 384 Float32
struct Out { b: f32 }
fn row(v: array<f32, 384>) -> Out { return Out(v[0]); }
