// columns: a Int32
struct Out { b: i32 }
var<storage, read> table: array<i32>;
fn row(a: i32) -> Out { return Out(table[a]); }
