//! Commits, which are JSON, an action a line.

use std::sync::Arc;

use bytes::Bytes;
use delta_kernel::schema::{DataType, SchemaRef, StructType};
use delta_kernel::{
    EngineData, FileMeta, FilteredEngineData, JsonHandler, KernelError, KernelResult, KernelResultIterator,
    PredicateRef,
};
use serde_json::Value;
use url::Url;

use super::rows::{Rows, name_file};
use super::storage::Storage;

/// Reads and writes files of JSON.
pub(crate) struct Json(pub(crate) Arc<Storage>);

impl JsonHandler for Json {
    fn parse_json(&self, _: Box<dyn EngineData>, _: SchemaRef) -> KernelResult<Box<dyn EngineData>> {
        Err(KernelError::unsupported("statistics of data files are not read"))
    }

    fn read_json_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _: Option<PredicateRef>,
    ) -> KernelResult<KernelResultIterator<'static, Box<dyn EngineData>>> {
        let (storage, files) = (self.0.clone(), files.to_vec());
        let read = move |file: FileMeta| {
            let bytes = storage.read_commit(&file.location)?;
            let read = rows(&bytes, &schema);
            let mut rows = read.map_err(|(line, error)| damaged(&storage, &file.location, line, &error))?;
            name_file(&mut rows, &schema, &file.location);
            Ok(Box::new(Rows(rows)) as Box<dyn EngineData>)
        };
        Ok(Box::new(files.into_iter().map(read)))
    }

    fn write_json_file(
        &self,
        path: &Url,
        data: KernelResultIterator<'_, FilteredEngineData>,
        overwrite: bool,
    ) -> KernelResult<u64> {
        let mut text = Vec::new();
        for batch in data {
            let rows = batch?.apply_selection_vector()?;
            for row in &Rows::of(&*rows)?.0 {
                serde_json::to_writer(&mut text, row).map_err(KernelError::MalformedJson)?;
                text.push(b'\n');
            }
        }
        let size = text.len() as u64;
        delta_kernel::StorageHandler::put(&*self.0, path, Bytes::from(text), overwrite)?;
        Ok(size)
    }
}

/// The actions of a commit. An error comes with the line that is none.
fn rows(bytes: &[u8], schema: &StructType) -> Result<Vec<Value>, (usize, serde_json::Error)> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let row = |(number, line): (usize, &[u8])| {
        let mut value = serde_json::from_slice(line).map_err(|error| (number + 1, error))?;
        prune(&mut value, schema);
        Ok(value)
    };
    lines.map(row).collect()
}

fn damaged(storage: &Storage, file: &Url, line: usize, error: &serde_json::Error) -> KernelError {
    let file = storage.relative(file).unwrap_or_default();
    KernelError::generic(format!("{file}, line {line}, is damaged: {error}"))
}

/// Leaves the fields of a schema, which are few of those that actions have.
fn prune(value: &mut Value, schema: &StructType) {
    let Value::Object(fields) = value else { return };
    fields.retain(|name, _| schema.contains(name));
    for (name, value) in fields {
        if let Some(DataType::Struct(inner)) = schema.field(name).map(|field| field.data_type()) {
            prune(value, inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use delta_kernel::schema::StructField;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_the_fields_that_are_asked_for() {
        let path = StructType::try_new([StructField::nullable("path", DataType::STRING)]).unwrap();
        let schema = StructType::try_new([StructField::nullable("add", path)]).unwrap();
        let text = b"{\"add\":{\"path\":\"a\",\"stats\":\"long\"}}\n\n{\"commitInfo\":{}}\r\n";
        assert_eq!(rows(text, &schema).unwrap(), [json!({"add": {"path": "a"}}), json!({})]);
        assert_eq!(rows(b"{}\n{\"add\":", &schema).unwrap_err().0, 2);
    }
}
