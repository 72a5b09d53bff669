// columns: x Int32, v 3 Float32, t Utf8
@vertex fn main() -> @builtin(position) vec4<f32> { return vec4<f32>(); }
