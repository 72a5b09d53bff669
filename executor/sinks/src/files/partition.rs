//! Partitions: rows to folders `column=value/`, hive style.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use flowc_codec::odd_time;
use flowc_planner::plan::SinkSpec;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::SinkError;
use crate::formats::plain::plain_array;
use crate::formats::types::is_scalar;

/// Bytes that file systems take as a name.
const LONGEST_NAME: usize = 255;

/// Stands for no value in the names of folders, as Hive began it; no reader knows another.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Indices of the partition columns, outermost first.
pub(crate) fn partition_columns(spec: &SinkSpec, schema: &Schema) -> Result<Vec<usize>, SinkError> {
    let mut columns = Vec::new();
    for name in &spec.partition_by {
        let refuse = |reason: &str| SinkError::Partition { column: name.clone(), reason: reason.to_owned() };
        let column = schema.index_of(name).map_err(|_| refuse("is not a column of the stream; name one that is"))?;
        if !is_scalar(schema.field(column).data_type()) {
            return Err(refuse("has a type that can't name folders; name a column of text, numbers, dates or times"));
        }
        if columns.contains(&column) {
            return Err(refuse("is named twice; name it once"));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// The columns that the files hold: all but the partition columns.
pub(crate) fn written_schema(spec: &SinkSpec, schema: &SchemaRef) -> Result<SchemaRef, SinkError> {
    let columns = partition_columns(spec, schema)?;
    if columns.is_empty() {
        return Ok(schema.clone());
    }
    let written = schema.fields().iter().enumerate().filter(|(i, _)| !columns.contains(i));
    let fields: Vec<_> = written.map(|(_, field)| field.clone()).collect();
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// A batch's rows by their partition's folder, in their order. The partition columns are left out.
/// `shown` is the sink's file, for messages.
pub(crate) fn split(
    batch: &RecordBatch,
    columns: &[usize],
    shown: &Path,
) -> Result<BTreeMap<String, RecordBatch>, SinkError> {
    let failed = |error: ArrowError| SinkError::batch(shown, &error);
    let mut rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (row, folder) in (0..).zip(folders(batch, columns, &failed)?) {
        rows.entry(folder).or_default().push(row);
    }
    let written: Vec<_> = (0..batch.num_columns()).filter(|i| !columns.contains(i)).collect();
    let rest = batch.project(&written).map_err(failed)?;
    let pick = |(folder, rows)| Ok((folder, take_record_batch(&rest, &UInt32Array::from(rows)).map_err(failed)?));
    rows.into_iter().map(pick).collect()
}

/// Per row, the folder that it belongs into.
fn folders(
    batch: &RecordBatch,
    columns: &[usize],
    failed: &impl Fn(ArrowError) -> SinkError,
) -> Result<Vec<String>, SinkError> {
    let mut folders = vec![String::new(); batch.num_rows()];
    for &column in columns {
        let schema = batch.schema();
        let name = schema.field(column).name();
        let encoded = encode(name);
        for (folder, value) in folders.iter_mut().zip(texts(name, batch.column(column), failed)?) {
            let value = value.as_deref();
            let text = value.map_or(NULL.to_owned(), encode);
            if encoded.len() + "=".len() + text.len() > LONGEST_NAME {
                return Err(too_long(name, value.unwrap_or_default()));
            }
            if !folder.is_empty() {
                folder.push('/');
            }
            folder.push_str(&encoded);
            folder.push('=');
            folder.push_str(&text);
        }
    }
    Ok(folders)
}

/// The values of a column as texts.
fn texts(
    name: &str,
    array: &ArrayRef,
    failed: &impl Fn(ArrowError) -> SinkError,
) -> Result<Vec<Option<String>>, SinkError> {
    let refuse = |reason: String| SinkError::Partition { column: name.to_owned(), reason };
    let array = plain_array(array).map_err(failed)?;
    if let Some((_, reason)) = odd_time(&array) {
        return Err(refuse(format!("has a value that can't name a folder: {reason}")));
    }
    let options = FormatOptions::new().with_display_error(false);
    let (nulls, texts) = (array.logical_nulls(), ArrayFormatter::try_new(&array, &options).map_err(failed)?);
    let text = |row: usize| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
        true => Ok(None),
        false => texts.value(row).try_to_string().map(Some).map_err(failed),
    };
    let texts = (0..array.len()).map(text).collect::<Result<Vec<_>, _>>()?;
    if texts.iter().flatten().any(|text| text == NULL) {
        let reason = format!("has the text `{NULL}`, which names the folder of no value; change it before the sink");
        return Err(refuse(reason));
    }
    Ok(texts)
}

fn too_long(column: &str, value: &str) -> SinkError {
    const SHOWN: usize = 40;
    let start: String = value.chars().take(SHOWN).collect();
    let reason = format!(
        "has the value {start:?}..., which makes a folder name of more than {LONGEST_NAME} bytes; partition by a column \
         with shorter values"
    );
    SinkError::Partition { column: column.to_owned(), reason }
}

/// Percent-encodes all but ASCII letters, digits and `-_.~`.
fn encode(text: &str) -> String {
    const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int32Array, StringArray};
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoding_has_an_inverse_and_never_leaves_the_folder(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(!encoded.contains('/'));
            prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), text);
        }
    }

    #[test]
    fn rows_keep_their_order_within_a_partition() {
        let keys = StringArray::from(vec![Some("a/b"), None, Some("a/b"), Some("")]);
        let batch = RecordBatch::try_from_iter([
            ("k", Arc::new(keys) as _),
            ("n", Arc::new(Int32Array::from(vec![1, 2, 3, 4])) as _),
        ])
        .unwrap();
        let parts = split(&batch, &[0], Path::new("o")).unwrap();
        let of = |folder: &str| parts[folder].column(0).clone();
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["k=", "k=__HIVE_DEFAULT_PARTITION__", "k=a%2Fb"]);
        assert_eq!(of("k=a%2Fb").as_ref(), &Int32Array::from(vec![1, 3]) as &dyn Array);
        assert_eq!(of("k=__HIVE_DEFAULT_PARTITION__").as_ref(), &Int32Array::from(vec![2]) as &dyn Array);
    }

    #[test]
    fn the_text_that_names_the_folder_of_no_value_is_refused() {
        let batch = RecordBatch::try_from_iter([
            ("k", Arc::new(StringArray::from(vec![NULL])) as _),
            ("n", Arc::new(Int32Array::from(vec![1])) as _),
        ]);
        let error = split(&batch.unwrap(), &[0], Path::new("o")).unwrap_err().to_string();
        assert!(error.starts_with("`partition-by` column `k` has the text `__HIVE_DEFAULT_PARTITION__`"), "{error}");
    }

    #[test]
    fn a_value_too_long_for_a_folder_is_told_by_its_start() {
        let split = |text: String| {
            let (keys, rest) = (StringArray::from(vec![text]), Int32Array::from(vec![1]));
            let batch = RecordBatch::try_from_iter([("k", Arc::new(keys) as _), ("n", Arc::new(rest) as _)]).unwrap();
            split(&batch, &[0], Path::new("o")).map(|parts| parts.len())
        };
        assert_eq!(split("a".repeat(253)).unwrap(), 1);
        let error = split("é".repeat(100)).unwrap_err().to_string();
        let start = "é".repeat(40);
        assert!(
            error.starts_with(&format!("`partition-by` column `k` has the value \"{start}\"..., which")),
            "{error}"
        );
    }
}
