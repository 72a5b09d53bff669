// columns: a Int32
struct Out { b: i32 }
fn row(a: i32) -> Out { return Out(subgroupAdd(a)); }
