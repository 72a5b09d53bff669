//! Schemas that are made of others.

use std::sync::Arc;

use arrow_schema::{DataType, Schema, SchemaRef};

/// The schema of some columns of a schema, in the order given.
pub(crate) fn project(schema: &SchemaRef, projection: &[usize]) -> SchemaRef {
    let fields: Vec<_> = projection.iter().map(|&column| schema.fields()[column].clone()).collect();
    Arc::new(Schema::new(fields))
}

/// The schema with each type replaced.
pub(crate) fn map_types(schema: &SchemaRef, map: impl Fn(&DataType) -> DataType) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(map(field.data_type())));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
