// columns: id Int64, price Float32, quantity Int32

/// The score of an order.
struct Config {
    /// Taken of each price.
    rate: f32,
    floor: i32,
}
struct Out { score: f32, keep: bool }

/// Scores orders,
/// and leaves small ones out.
fn row(price: f32, quantity: i32, config: Config) -> Out {
    return Out(price * f32(quantity) * config.rate, quantity >= config.floor);
}
