// columns: a Int32
struct Options { rate: i32 }
struct Out { b: i32 }
fn row(a: i32, config: Options) -> Out { return Out(a * config.rate); }
