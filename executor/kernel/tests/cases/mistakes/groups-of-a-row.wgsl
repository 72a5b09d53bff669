// columns: x Int32
// groups: x
struct Out { y: i32 }
fn row(x: i32) -> Out { return Out(x); }
