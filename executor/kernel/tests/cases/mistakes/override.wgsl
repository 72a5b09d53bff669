// columns: a Int32
override scale: i32 = 2;
struct Out { b: i32 }
fn row(a: i32) -> Out { return Out(a * scale); }
