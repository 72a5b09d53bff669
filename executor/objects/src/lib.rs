//! Object stores, as readers and writers of objects see them. `object_store` lives here alone.
//!
//! [`Bucket`] is all that readers ask of a bucket, a container or a web server; [`Client`] asks the service, and writes too.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod bucket;
mod client;
mod error;
mod profile;
mod transport;

pub use access::access;
pub use bucket::{Access, Bucket, Object, Service, Take};
pub use client::{Client, Condition, Undeleted, Unfinished, Upload};
pub use error::ObjectError;
