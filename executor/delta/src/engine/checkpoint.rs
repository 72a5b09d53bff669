//! Actions as a file of Parquet: what a checkpoint is.

use std::sync::{Arc, LazyLock};

use arrow_json::ReaderBuilder;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

/// Writes rows of actions. A field that the protocol does not have is an error: it would be lost.
///
/// # Errors
/// If a row has other fields, or values of other types.
pub(super) fn encoded<E>(batches: impl Iterator<Item = Result<Vec<Value>, E>>) -> Result<Bytes, E>
where
    E: From<Unencoded>,
{
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let writer = ArrowWriter::try_new(Vec::new(), SCHEMA.clone(), Some(properties));
    let mut writer = writer.map_err(Unencoded::from)?;
    for rows in batches {
        let rows = rows?;
        let reader = ReaderBuilder::new(SCHEMA.clone()).with_batch_size(rows.len().max(1));
        let decoder = reader.with_strict_mode(true).with_coerce_primitive(true).build_decoder();
        let mut decoder = decoder.map_err(Unencoded::from)?;
        decoder.serialize(&rows).map_err(Unencoded::from)?;
        if let Some(batch) = decoder.flush().map_err(Unencoded::from)? {
            writer.write(&batch).map_err(Unencoded::from)?;
        }
    }
    Ok(writer.into_inner().map_err(Unencoded::from)?.into())
}

/// Why actions could not be encoded.
#[derive(Debug)]
pub(super) struct Unencoded(pub(super) String);

impl From<ArrowError> for Unencoded {
    fn from(error: ArrowError) -> Self {
        Self(error.to_string())
    }
}

impl From<ParquetError> for Unencoded {
    fn from(error: ParquetError) -> Self {
        Self(error.to_string())
    }
}

/// The actions of a checkpoint, with all fields that the protocol gives them.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let deletion = structure([
        text("storageType"),
        text("pathOrInlineDv"),
        int("offset"),
        int("sizeInBytes"),
        long("cardinality"),
    ]);
    let file = |own: &[Field]| {
        let shared = [
            text("path"),
            map("partitionValues"),
            long("size"),
            truth("dataChange"),
            text("stats"),
            map("tags"),
            Field::new("deletionVector", deletion.clone(), true),
            long("baseRowId"),
            long("defaultRowCommitVersion"),
        ];
        structure(shared.into_iter().chain(own.iter().cloned()))
    };
    let format = structure([text("provider"), map("options")]);
    let metadata = structure([
        text("id"),
        text("name"),
        text("description"),
        Field::new("format", format, true),
        text("schemaString"),
        texts("partitionColumns"),
        long("createdTime"),
        map("configuration"),
    ]);
    let protocol =
        structure([int("minReaderVersion"), int("minWriterVersion"), texts("readerFeatures"), texts("writerFeatures")]);
    let actions = [
        ("txn", structure([text("appId"), long("version"), long("lastUpdated")])),
        ("add", file(&[long("modificationTime"), text("clusteringProvider")])),
        ("remove", file(&[long("deletionTimestamp"), truth("extendedFileMetadata")])),
        ("metaData", metadata),
        ("protocol", protocol),
        ("domainMetadata", structure([text("domain"), text("configuration"), truth("removed")])),
        ("sidecar", structure([text("path"), long("sizeInBytes"), long("modificationTime"), map("tags")])),
        ("checkpointMetadata", structure([long("version"), map("tags")])),
    ];
    let action = |(name, data_type)| Field::new(name, data_type, true);
    Arc::new(Schema::new(actions.into_iter().map(action).collect::<Vec<_>>()))
});

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn long(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn int(name: &str) -> Field {
    Field::new(name, DataType::Int32, true)
}

fn truth(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

fn texts(name: &str) -> Field {
    Field::new(name, DataType::List(Arc::new(text("element"))), true)
}

fn map(name: &str) -> Field {
    let entry = structure([Field::new("key", DataType::Utf8, false), text("value")]);
    Field::new(name, DataType::Map(Arc::new(Field::new("key_value", entry, false)), false), true)
}

fn structure(fields: impl IntoIterator<Item = Field>) -> DataType {
    DataType::Struct(fields.into_iter().collect::<Fields>())
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use serde_json::json;

    use super::super::parquet::rows;
    use super::*;

    fn back(actions: Vec<Value>) -> Result<Vec<Value>, Unencoded> {
        let bytes = encoded(std::iter::once(Ok::<_, Unencoded>(actions)))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        Ok(reader.flat_map(|batch| rows(&batch.unwrap()).unwrap().0).collect())
    }

    #[test]
    fn actions_come_back_as_they_were() {
        let file = json!({
            "path": "p=a/b.parquet", "partitionValues": {"p": "a", "q": null}, "size": 5_000_000_000_i64, "dataChange": false,
            "stats": "{\"numRecords\":3}", "tags": {"a": "b"}, "baseRowId": 7, "defaultRowCommitVersion": 2,
            "deletionVector": {"storageType": "u", "pathOrInlineDv": "x", "offset": 4, "sizeInBytes": 40, "cardinality": 6},
        });
        let with = |more: Value| {
            let (mut file, Value::Object(more)) = (file.clone(), more) else { panic!() };
            file.as_object_mut().unwrap().extend(more);
            file
        };
        let actions = vec![
            json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["a"], "writerFeatures": []}}),
            json!({"metaData": {
                "id": "i", "name": "n", "format": {"provider": "parquet", "options": {}}, "schemaString": "{}",
                "partitionColumns": ["p", "q"], "createdTime": 1, "configuration": {"delta.checkpointInterval": "3"},
            }}),
            json!({"txn": {"appId": "a", "version": 9, "lastUpdated": 4}}),
            json!({"add": with(json!({"modificationTime": 3, "clusteringProvider": "c"}))}),
            json!({"remove": with(json!({"deletionTimestamp": 3, "extendedFileMetadata": true}))}),
            json!({"domainMetadata": {"domain": "d", "configuration": "{}", "removed": false}}),
            json!({"checkpointMetadata": {"version": 10}}),
        ];
        assert_eq!(back(actions.clone()).unwrap(), actions);
        assert!(back(Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for action in
            [json!({"wonder": {"a": 1}}), json!({"txn": {"appId": "a", "wonder": 1}}), json!({"txn": {"version": "x"}})]
        {
            assert!(back(vec![action.clone()]).is_err(), "{action}");
        }
    }
}
