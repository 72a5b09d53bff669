// columns: a Int32
// gives: b Utf8
struct Out { b: i32 }
fn row(a: i32) -> Out { return Out(a); }
