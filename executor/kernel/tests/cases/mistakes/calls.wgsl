// columns: a Int32
struct Out { b: i32 }
fn f0(a: i32) -> i32 { return a * 3; }
fn f1(a: i32) -> i32 { return f0(f0(a)); }
fn f2(a: i32) -> i32 { return f1(f1(a)); }
fn f3(a: i32) -> i32 { return f2(f2(a)); }
fn f4(a: i32) -> i32 { return f3(f3(a)); }
fn f5(a: i32) -> i32 { return f4(f4(a)); }
fn f6(a: i32) -> i32 { return f5(f5(a)); }
fn f7(a: i32) -> i32 { return f6(f6(a)); }
fn f8(a: i32) -> i32 { return f7(f7(a)); }
fn f9(a: i32) -> i32 { return f8(f8(a)); }
fn f10(a: i32) -> i32 { return f9(f9(a)); }
fn f11(a: i32) -> i32 { return f10(f10(a)); }
fn f12(a: i32) -> i32 { return f11(f11(a)); }
fn f13(a: i32) -> i32 { return f12(f12(a)); }
fn f14(a: i32) -> i32 { return f13(f13(a)); }
fn f15(a: i32) -> i32 { return f14(f14(a)); }
fn f16(a: i32) -> i32 { return f15(f15(a)); }
fn f17(a: i32) -> i32 { return f16(f16(a)); }
fn f18(a: i32) -> i32 { return f17(f17(a)); }
fn f19(a: i32) -> i32 { return f18(f18(a)); }
fn row(a: i32) -> Out { return Out(f19(a)); }
