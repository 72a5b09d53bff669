// columns: a Float32
struct Out { m: mat2x2<f32>, b: array<vec2<f32>, 2> }
fn row(a: f32) -> Out { return Out(); }
