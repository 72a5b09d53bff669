//! Bytes as `flow.lock`: what can be read is printed and read again, and is the same.

use flowc_planner::{Lock, lock::check_schema};

pub(crate) fn parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Lock::parse(text) {
        Ok(lock) => {
            assert_eq!(Lock::parse(&lock.to_string()).as_ref(), Ok(&lock));
            for (name, schema) in &lock.sources {
                assert!(check_schema(name, "file", schema, schema).is_ok() || has_twins(schema));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Whether two columns have the same name: the first of them is meant.
fn has_twins(schema: &arrow_schema::Schema) -> bool {
    let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}
