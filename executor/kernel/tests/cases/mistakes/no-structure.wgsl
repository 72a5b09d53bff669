// columns: a Int32
fn row(a: i32) -> i32 { return a; }
