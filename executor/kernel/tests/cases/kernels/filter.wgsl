// columns: a Int32, raw Utf8
// drops: raw
struct Out { keep: bool }
fn row(a: i32) -> Out { return Out(a > 3); }
