// columns: price Int32
// bind: a = prise
struct Out { b: i32 }
fn row(a: i32) -> Out { return Out(a); }
