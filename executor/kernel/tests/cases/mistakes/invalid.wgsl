// columns: a Int32
struct Out { b: f32 }
fn helper(a: i32) -> f32 { if a > 1 { return 1.0; } }
fn row(a: i32) -> Out { return Out(helper(a)); }
