// columns: a Float32
struct Out { b: f32 }
fn row(a: f32) -> Out { return Out(dpdx(a)); }
