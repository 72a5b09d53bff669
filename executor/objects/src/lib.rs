//! Object stores, as readers of objects see them. `object_store` lives here alone.
//!
//! [`Bucket`] is all that flowc asks of a bucket, a container or a web server; [`Client`] asks the service.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bucket;
mod client;
mod error;
mod profile;

pub use bucket::{Access, Bucket, Object, Service, Take};
pub use client::Client;
pub use error::ObjectError;
