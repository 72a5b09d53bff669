struct Config {
    /// Added to each reading.
    offset: i32,
    /// The smallest value that a sensor can have.
    least: i32,
    /// The largest one.
    most: i32,
}
struct Out { value: i32, keep: bool }

/// Adds the offset, and leaves out what no sensor can have read. A reading that is missing is left out too.
fn row(raw: i32, config: Config) -> Out {
    let value = raw + config.offset;
    return Out(value, value >= config.least && value <= config.most);
}
