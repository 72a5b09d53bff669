// columns: a Int32
// gives: b Int64, c Date32
struct Out { b: i32 }
fn row(a: i32) -> Out { return Out(a); }
