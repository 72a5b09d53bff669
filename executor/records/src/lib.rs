//! Records of logs whose format has a schema of its own, and the registries that keep these.
//!
//! A format here is pure: from a schema to columns, from bytes to rows and back ([`AvroDecoder`], [`AvroEncoder`], [`ProtobufDecoder`],
//! [`ProtobufEncoder`], [`ipc`], [`avro_container`], [`ContainerEncoder`]). [`RegistryClient`] alone asks the network; what it was told of an id is kept ([`WriterSchemas`]), since an id means
//! one schema for ever.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod avro;
mod fault;
pub mod ipc;
mod protobuf;
mod registry;
mod schemas;
#[cfg(test)]
mod testing;

pub use avro::columns::columns as avro_columns;
pub use avro::container as avro_container;
pub use avro::container_encoder::{ContainerEncoder, EncodeError};
pub use avro::decode::AvroDecoder;
pub use avro::encode::AvroEncoder;
pub use avro::schema_of::schema_of_columns;
pub use fault::{Fault, SchemaError, ValueError};
pub use protobuf::columns::{Message, columns as protobuf_columns};
pub use protobuf::decode::ProtobufDecoder;
pub use protobuf::encode::ProtobufEncoder;
pub use protobuf::texts::{CompiledTexts, compile_texts};
pub use registry::{Registered, RegistryClient, RegistryError};
pub use schemas::{SchemaById, WriterSchemas};
