//! Rows to data files: in the table's types, a file per partition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use flowc_delta::{NewFile, table_type};
use flowc_planner::plan::{Compression, Format};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::NamedTempFile;

use super::place::Place;
use crate::error::SinkError;
use crate::formats::encode::{Encoder, Framing};

/// The most partitions that one segment's rows may be in: each has an open file.
const MOST_PARTITIONS: usize = 1000;
/// How times without a zone are written in partitions.
const LOCAL_TIME: &str = "%Y-%m-%d %H:%M:%S%.6f";
/// Stands for no value in the names of folders.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// How rows become those of a table.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The table's columns that the rows have, in the rows' order, in the table's types.
    pub(super) schema: SchemaRef,
    /// The places of the partition columns, outermost first.
    pub(super) partition: Vec<usize>,
    /// The columns that data files hold.
    stored: Vec<usize>,
}

impl Layout {
    pub(super) fn new(schema: SchemaRef, partition: Vec<usize>) -> Self {
        let stored = (0..schema.fields().len()).filter(|column| !partition.contains(column)).collect();
        Self { schema, partition, stored }
    }

    fn stored(&self) -> SchemaRef {
        let fields: Vec<FieldRef> = self.stored.iter().map(|&column| self.schema.fields()[column].clone()).collect();
        Schema::new(fields).into()
    }
}

/// The columns of a dataset in the types of tables.
///
/// # Errors
/// The first column that tables have no type for, and what to do.
pub(super) fn table_schema(schema: &Schema) -> Result<SchemaRef, String> {
    let field = |field: &FieldRef| {
        let data_type =
            table_type(field.data_type()).map_err(|reason| format!("the column `{}`: {reason}", field.name()))?;
        Ok(arrow_schema::Field::new(field.name(), data_type, field.is_nullable()))
    };
    Ok(Schema::new(schema.fields().iter().map(field).collect::<Result<Vec<_>, String>>()?).into())
}

/// Refuses columns that no table holds.
///
/// # Errors
/// Which column, and what to do.
pub(crate) fn check(partition_by: &[String], schema: &Schema) -> Result<(), String> {
    let schema = table_schema(schema)?;
    let mut seen = BTreeSet::new();
    // Readers of tables do not tell cases apart.
    if let Some(field) = schema.fields().iter().find(|field| !seen.insert(field.name().to_lowercase())) {
        let name = field.name();
        return Err(format!(
            "there are two columns `{name}`, which Delta tables do not tell apart; rename one before the sink"
        ));
    }
    for name in partition_by {
        let data_type = schema.field_with_name(name).map(arrow_schema::Field::data_type);
        if let Ok(DataType::Float32 | DataType::Float64 | DataType::Binary) = data_type {
            return Err(format!(
                "`partition-by` column `{name}` has a type that partitions of Delta tables are not made by; name another"
            ));
        }
    }
    Ok(())
}

/// Writes the rows of one job.
pub(super) struct FileSet<'f> {
    place: &'f Place,
    layout: &'f Layout,
    /// How the names of the files end, in their folders.
    name: String,
    shown: &'f Path,
    open: BTreeMap<Vec<Option<String>>, Encoder<NamedTempFile>>,
    /// Rows so far.
    rows: u64,
}

impl<'f> FileSet<'f> {
    pub(super) fn new(place: &'f Place, layout: &'f Layout, name: String, shown: &'f Path) -> Self {
        Self { place, layout, name, shown, open: BTreeMap::new(), rows: 0 }
    }

    /// Writes rows, which have the dataset's columns.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let failed = |error: ArrowError| SinkError::batch(self.shown, &error);
        let rows = self.of_table(batch)?;
        let stored = rows.project(&self.layout.stored).map_err(failed)?;
        if self.layout.partition.is_empty() {
            self.write_into(Vec::new(), &stored)?;
        } else {
            let mut parts: BTreeMap<Vec<Option<String>>, Vec<u32>> = BTreeMap::new();
            for (row, values) in (0..).zip(self.values(&rows)?) {
                parts.entry(values).or_default().push(row);
            }
            for (values, places) in parts {
                let part = take_record_batch(&stored, &UInt32Array::from(places));
                self.write_into(values, &part.map_err(failed)?)?;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn write_into(&mut self, values: Vec<Option<String>>, rows: &RecordBatch) -> Result<(), SinkError> {
        if !self.open.contains_key(&values) {
            if self.open.len() >= MOST_PARTITIONS {
                return Err(SinkError::TooManyPartitions { limit: MOST_PARTITIONS });
            }
            let staged = self.place.table.stage().map_err(|error| self.place.failed(error))?;
            let stored = self.layout.stored();
            let encoder =
                Encoder::new(&Format::Parquet, Compression::None, Framing::File, &stored, self.shown, staged)?;
            self.open.insert(values.clone(), encoder);
        }
        match self.open.get_mut(&values) {
            Some(encoder) => encoder.write(rows, self.shown),
            None => Ok(()),
        }
    }

    /// The rows in the table's types.
    fn of_table(&self, batch: &RecordBatch) -> Result<RecordBatch, SinkError> {
        let column = |(column, field): (&ArrayRef, &FieldRef)| {
            let wrong = |row: usize, reason: String| SinkError::Value {
                path: self.shown.to_owned(),
                row: self.rows + row as u64 + 1,
                column: field.name().clone(),
                reason,
            };
            let cast = exact(column, field.data_type()).map_err(|error| {
                let fails = |row: &usize| exact(&column.slice(*row, 1), field.data_type()).is_err();
                wrong((0..column.len()).find(fails).unwrap_or(0), error.to_string())
            })?;
            let nulls = cast.logical_nulls().filter(|nulls| !field.is_nullable() && nulls.null_count() > 0);
            match nulls.and_then(|nulls| nulls.iter().position(|is_valid| !is_valid)) {
                Some(row) => Err(wrong(row, "the table's column takes no nulls".to_owned())),
                None => Ok(cast),
            }
        };
        let columns = batch.columns().iter().zip(self.layout.schema.fields()).map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.layout.schema.clone(), columns, &options)
            .map_err(|error| SinkError::batch(self.shown, &error))
    }

    /// Per row, the texts of its partition.
    fn values(&self, rows: &RecordBatch) -> Result<Vec<Vec<Option<String>>>, SinkError> {
        let mut values = vec![Vec::with_capacity(self.layout.partition.len()); rows.num_rows()];
        for &place in &self.layout.partition {
            let (column, field) = (rows.column(place), self.layout.schema.field(place));
            let failed = |error: ArrowError| SinkError::batch(self.shown, &error);
            let options = FormatOptions::new().with_display_error(false).with_timestamp_format(Some(LOCAL_TIME));
            let (texts, nulls) = (ArrayFormatter::try_new(column, &options).map_err(failed)?, column.logical_nulls());
            for (row, values) in values.iter_mut().enumerate() {
                let text = match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    true => None,
                    false => Some(texts.value(row).try_to_string().map_err(failed)?),
                };
                if text.as_deref() == Some("") {
                    let reason =
                        "has an empty text, which tables take for no value; change it before the sink".to_owned();
                    return Err(SinkError::Partition { column: field.name().clone(), reason });
                }
                values.push(text);
            }
        }
        Ok(values)
    }

    /// Puts the files into the table's folder. `taken` is told of each that lies there.
    pub(super) fn finish(self, taken: &mut dyn FnMut(NewFile)) -> Result<(), SinkError> {
        for (number, (values, encoder)) in self.open.into_iter().enumerate() {
            let rows = encoder.rows();
            let names = self.layout.partition.iter().map(|&place| self.layout.schema.field(place).name());
            let partition: Vec<(&String, Option<String>)> = names.zip(values).collect();
            let folders = partition.iter().map(|(name, value)| format!("{}/", folder(name, value.as_deref())));
            // Values may look alike in the names of folders: the log says what they are.
            let path = format!("{}part-{number:05}-{}", folders.collect::<String>(), self.name);
            let staged = encoder.finish(self.shown)?;
            let size = self.place.table.place(staged, &path).map_err(|error| self.place.failed(error))?;
            let partition = partition.into_iter().map(|(name, value)| (name.clone(), value)).collect();
            taken(NewFile { path, partition, size, rows });
        }
        Ok(())
    }
}

/// The same values in a type of tables.
fn exact(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == to {
        return Ok(column.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(column, to, &options)?;
    // Times may be finer than the table's.
    if matches!(column.data_type(), DataType::Timestamp(..))
        && *cast_with_options(&cast, column.data_type(), &options)? != **column
    {
        return Err(ArrowError::CastError(
            "Delta tables hold times to the microsecond, and this one is finer".to_owned(),
        ));
    }
    Ok(cast)
}

/// The folder of a partition. What is too long for a file system is cut: the log says what it is.
fn folder(column: &str, value: Option<&str>) -> String {
    const LONGEST: usize = 200;
    let whole = format!("{}={}", encode(column), value.map_or(NULL.to_owned(), encode));
    if whole.len() <= LONGEST {
        return whole;
    }
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let mut name = String::new();
    for letter in format!("{column}={}", value.unwrap_or(NULL)).chars() {
        let letter = if letter == '=' { "=".to_owned() } else { encode(letter.encode_utf8(&mut [0; 4])) };
        if name.len() + letter.len() + 17 > LONGEST {
            break;
        }
        name.push_str(&letter);
    }
    format!("{name}-{}", &hash[..16])
}

/// Percent-encodes all but ASCII letters, digits and `-_.~`.
fn encode(text: &str) -> String {
    const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, &ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_names_that_file_systems_take() {
        assert_eq!(folder("c", Some("a b")), "c=a%20b");
        assert_eq!(folder("c", None), "c=__HIVE_DEFAULT_PARTITION__");
        for text in ["é".repeat(40), "é".repeat(41), "x".repeat(500), "漢".repeat(100)] {
            let name = folder("c", Some(&text));
            assert!(name.len() <= 200 && percent_encoding::percent_decode_str(&name).decode_utf8().is_ok(), "{name}");
        }
        assert_ne!(folder("c", Some(&"x".repeat(500))), folder("c", Some(&"x".repeat(501))));
    }
}
