//! Records of Apache Avro.
//!
//! `arrow-avro` reads and writes the bytes, in types of its own (*native* ones: enums are dictionaries, UUIDs are bytes). [`values`] converts
//! between these and the types of columns, exactly or not at all.

pub(crate) mod columns;
pub mod container;
pub(crate) mod container_encoder;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod schema_of;
mod values;

#[cfg(test)]
mod tests;
