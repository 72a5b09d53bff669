//! The Rust in the documents, compiled and tested.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::unwrap_used, reason = "documents show what matters")]

mod stages {
    include!(concat!(env!("OUT_DIR"), "/stages.rs"));
}

mod readme {
    include!(concat!(env!("OUT_DIR"), "/readme.rs"));
}
