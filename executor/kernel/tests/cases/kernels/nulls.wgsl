// columns: a Int32?, b Int32?, c Int32, d_valid Boolean?
struct Out { a: i32, a_valid: bool, b: i32 }
fn row(a: i32, a_valid: bool, b: i32, c: i32, c_valid: bool, d_valid: bool) -> Out {
    return Out(select(c, a, a_valid), d_valid && c_valid, b);
}
