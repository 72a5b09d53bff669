//! Schemas as encapsulated Arrow IPC messages, the form in which stages are told and tell them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow_schema::{ArrowError, Schema};

/// Writes a schema message.
///
/// # Errors
/// If the schema can't be written as one.
pub fn encode(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default();
    let mut dictionaries = DictionaryTracker::new(false);
    let generator = IpcDataGenerator::default();
    let message = generator.schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options);
    let mut bytes = Vec::new();
    write_message(&mut bytes, message, &options)?;
    Ok(bytes)
}

/// Reads a schema message that a stage wrote.
///
/// # Errors
/// If the bytes are none, in words for people.
pub fn decode(bytes: &[u8]) -> Result<Schema, String> {
    // arrow-ipc panics on some well-formed messages whose types make no sense. Nothing is shared with the closure.
    match catch_unwind(AssertUnwindSafe(|| try_schema_from_ipc_buffer(bytes))) {
        Ok(Ok(schema)) => Ok(schema),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it has a type that Arrow does not know".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;

    #[test]
    fn a_schema_comes_back() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", DataType::List(Field::new("item", dictionary, true).into()), true)
                .with_metadata([("unit".to_owned(), "m".to_owned())].into()),
        ]);
        assert_eq!(decode(&encode(&schema).unwrap()).unwrap(), schema);
    }

    #[test]
    fn bytes_that_are_no_schema_are_refused() {
        let good = encode(&Schema::new(vec![Field::new("a", DataType::Utf8, true)])).unwrap();
        for end in 0..good.len() - 8 {
            assert!(decode(&good[..end]).is_err(), "the first {end} bytes");
        }
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0xff;
            let _ = decode(&bad);
        }
    }
}
