// columns: price Float64, quantity Int64, name Utf8, flag Boolean
struct Out { b: i32 }
fn row(price: f32, quantity: i32, name: u32, flag: u32) -> Out { return Out(i32(price)); }
