struct Out { celsius: f32 }

/// The mean in degrees: a reading has 128 steps a degree.
fn row(sum: i32, width: u32) -> Out {
    return Out(f32(sum) / f32(width) / 128.0);
}
