// columns: price Int32
// bind: prise = price, pric = price
// gives: total Date32
// drops: cost
struct Out { b: i32 }
fn row(prise: i32) -> Out { return Out(prise); }
