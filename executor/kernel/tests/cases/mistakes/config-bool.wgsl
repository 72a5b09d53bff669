// columns: a Int32
struct Config { loud: bool }
struct Out { b: i32 }
fn row(a: i32, config: Config) -> Out { return Out(select(a, 0, config.loud)); }
