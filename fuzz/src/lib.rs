//! Fuzz targets: functions of any bytes that must not panic, whatever the bytes are. They also check what has to hold of
//! whatever is accepted: it comes back, or is the same read twice.
//!
//! `cargo xtask fuzz` mutates bytes, led by coverage. The files in `seeds/` are where it begins; those that once broke
//! something are among them, and `cargo test` runs all of them.

#![allow(clippy::unwrap_used, reason = "a panic is how a fuzz target reports")]

mod arrays;
mod bytes;
mod flight;
mod kernel;
mod lock;
mod packed;
mod plan;
mod read;
mod recipe;
mod sink;
mod store;

/// A way for bytes to come in.
pub struct Target {
    /// Its name, and that of its folder of seeds.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "arrays", run: arrays::import },
    Target { name: "arrow", run: read::arrow },
    Target { name: "block", run: flight::block },
    Target { name: "containerfile", run: recipe::parse },
    Target { name: "csv", run: read::csv },
    Target { name: "flight", run: flight::messages },
    Target { name: "gzip", run: read::gzip },
    Target { name: "json-lines", run: read::json_lines },
    Target { name: "kernel", run: kernel::build },
    Target { name: "lines", run: read::lines },
    Target { name: "lock", run: lock::parse },
    Target { name: "opening", run: flight::opening },
    Target { name: "packed-json", run: packed::json },
    Target { name: "packed-parquet", run: packed::parquet },
    Target { name: "parquet", run: read::parquet },
    Target { name: "plan", run: plan::plan },
    Target { name: "sink", run: sink::state },
    Target { name: "store", run: store::damage },
    Target { name: "zstd", run: read::zstd },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
