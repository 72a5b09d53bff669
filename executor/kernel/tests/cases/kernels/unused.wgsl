// columns: a Int64, b Float32?
struct Out { c: i32 }
fn row(a: i64, b: f32) -> Out { return Out(7); }
