// columns: a Int32
fn rows(a: i32) -> i32 { return a; }
