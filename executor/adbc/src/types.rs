//! Which of the types that drivers give are ours.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// Marks values of a type that Arrow does not have, whose bytes only the database understands.
const OPAQUE: &str = "arrow.opaque";
const EXTENSION: &str = "ARROW:extension:name";
const EXTENSION_DETAILS: &str = "ARROW:extension:metadata";
/// Where the driver of PostgreSQL says which type a column has there.
const POSTGRESQL_TYPE: &str = "ADBC:postgresql:typname";

/// The columns without what drivers note beside their names and types.
pub fn plain_schema(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| Field::new(field.name(), plain_type(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

/// A type without what drivers note within it.
pub fn plain_type(data_type: &DataType) -> DataType {
    let plain =
        |field: &Arc<Field>| Arc::new(Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()));
    match data_type {
        DataType::List(item) => DataType::List(plain(item)),
        DataType::LargeList(item) => DataType::LargeList(plain(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        other => other.clone(),
    }
}

/// The first column whose values only the database understands, with the name that its type has there.
pub fn unreadable(schema: &Schema) -> Option<(String, String)> {
    schema.fields().iter().find_map(|field| Some((field.name().clone(), opaque(field)?)))
}

fn opaque(field: &Field) -> Option<String> {
    let metadata = field.metadata();
    let is_bytes = matches!(field.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let named = metadata.get(POSTGRESQL_TYPE).filter(|name| is_bytes && *name != "bytea");
    if let Some(name) = named {
        return Some(name.clone());
    }
    if is_bytes && metadata.get(EXTENSION).is_some_and(|name| name == OPAQUE) {
        let details =
            metadata.get(EXTENSION_DETAILS).and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let name = details.as_ref().and_then(|details| details["type_name"].as_str()).unwrap_or("unknown");
        return Some(name.to_owned());
    }
    match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => opaque(item),
        DataType::Struct(fields) => fields.iter().find_map(|field| opaque(field)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(data_type: DataType, notes: &[(&str, &str)]) -> Field {
        let notes = notes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Field::new("c", data_type, true).with_metadata(notes)
    }

    #[test]
    fn bytes_of_another_type_are_found_at_any_depth() {
        let opaque = noted(DataType::Binary, &[(EXTENSION, OPAQUE), (EXTENSION_DETAILS, "{\"type_name\":\"inet\"}")]);
        let other = noted(DataType::Binary, &[(POSTGRESQL_TYPE, "tsvector")]);
        let list = Field::new("list", DataType::List(Arc::new(opaque.clone())), true);
        let names = |field: Field| unreadable(&Schema::new(vec![field]));
        assert_eq!(names(opaque), Some(("c".to_owned(), "inet".to_owned())));
        assert_eq!(names(other), Some(("c".to_owned(), "tsvector".to_owned())));
        assert_eq!(names(list), Some(("list".to_owned(), "inet".to_owned())));
        assert_eq!(names(noted(DataType::Binary, &[(POSTGRESQL_TYPE, "bytea")])), None);
        assert_eq!(names(noted(DataType::Utf8, &[(POSTGRESQL_TYPE, "numeric")])), None);
    }
}
