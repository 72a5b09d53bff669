// columns: a Int32
struct Out { keep: u32, b: i32, b_valid: i32 }
fn row(a: i32) -> Out { return Out(1u, a, 1); }
