//! What a version of a table holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::DataType;
use delta_kernel::actions::deletion_vector::DeletionVectorDescriptor;
use delta_kernel::expressions::Scalar;
use delta_kernel::scan::StatsOptions;
use delta_kernel::schema::DataType as KernelType;
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::{KernelError, Snapshot, SnapshotRef};
use flowc_objects::Client;
use serde_json::Value;
use url::Url;

use crate::engine::{LogEngine, Place, Rows, Storage};
use crate::error::DeltaError;
use crate::types::{Column, columns};

/// The folder of a log.
pub(crate) const LOG: &str = "_delta_log";

/// A Delta table, whatever its version.
#[derive(Clone)]
pub struct Table {
    pub(crate) storage: Arc<Storage>,
}

impl Table {
    /// The table in a folder of this machine.
    ///
    /// # Errors
    /// If the path is none that a URL can say.
    pub fn in_folder(path: &Path) -> Result<Self, DeltaError> {
        let path = without_links(path).map_err(|error| DeltaError::Other { reason: error.to_string() })?;
        let unsaid = |()| DeltaError::Other { reason: "its path can't be said as a URL".to_owned() };
        let root = Url::from_directory_path(&path).map_err(unsaid)?;
        Ok(Self { storage: Arc::new(Storage::new(Place::Folder(path), root)) })
    }

    /// The table in a bucket whose keys start with `root`, without a slash at its end. `scheme` and `bucket` name the bucket.
    ///
    /// # Errors
    /// If the bucket is none that a URL can say.
    pub fn in_bucket(client: Arc<Client>, scheme: &str, bucket: &str, root: &str) -> Result<Self, DeltaError> {
        let unsaid = |error: url::ParseError| DeltaError::Other { reason: error.to_string() };
        let mut url = Url::parse(&format!("{scheme}://{bucket}/")).map_err(unsaid)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(root.split('/')).push("");
        }
        Ok(Self { storage: Arc::new(Storage::new(Place::Bucket(client, root.to_owned()), url)) })
    }

    pub(crate) fn engine(&self) -> LogEngine {
        LogEngine(self.storage.clone())
    }

    /// A version of the table, the newest one if none is named.
    ///
    /// # Errors
    /// If there is no table or no such version, if the log can't be read, or needs what is not supported.
    pub fn version(&self, asked: Option<u64>) -> Result<Version, DeltaError> {
        let snapshot = self.snapshot(asked)?;
        let mapping = snapshot.table_properties().column_mapping_mode.unwrap_or(ColumnMappingMode::None);
        let schema = snapshot.schema();
        let columns = columns(&schema, mapping)?;
        let types = schema.fields().map(|field| field.data_type().clone()).collect();
        let number = snapshot.version();
        let mut files = self.files(snapshot)?;
        files.sort_by(|one, other| (one.written_ms, &one.path).cmp(&(other.written_ms, &other.path)));
        Ok(Version { table: self.clone(), number, columns, types, files })
    }

    pub(crate) fn snapshot(&self, asked: Option<u64>) -> Result<SnapshotRef, DeltaError> {
        let builder = Snapshot::builder_for(&self.storage.root);
        let builder = asked.into_iter().fold(builder, |builder, version| builder.at_version(version));
        builder.build(&self.engine()).map_err(|error| self.explained(error, asked))
    }

    /// Whether there is a log.
    ///
    /// # Errors
    /// If the folder can't be listed.
    pub fn exists(&self) -> Result<bool, DeltaError> {
        Ok(self.told()?.is_some())
    }

    /// The earliest version that the log tells, and the newest.
    fn told(&self) -> Result<Option<(u64, u64)>, DeltaError> {
        let files = self.storage.list(LOG)?;
        let names = files.iter().filter_map(|file| file.location.path_segments()?.next_back());
        let mut commits: Vec<u64> = Vec::new();
        let mut earliest: Option<u64> = None;
        for (version, kind) in names.filter_map(|name| name.split_once('.')) {
            let Ok(version) = version.parse::<u64>() else { continue };
            if kind == "json" {
                commits.push(version);
            }
            // A checkpoint tells all that was before it.
            if kind.starts_with("checkpoint.") || version == 0 {
                earliest = Some(earliest.map_or(version, |earliest| earliest.min(version)));
            }
        }
        Ok(earliest.zip(commits.into_iter().max().or(earliest)))
    }

    /// Why there is no snapshot.
    fn explained(&self, error: KernelError, asked: Option<u64>) -> DeltaError {
        match self.told() {
            Err(unlisted) => unlisted,
            Ok(None) => DeltaError::NoTable,
            Ok(Some((earliest, newest))) => match asked {
                Some(asked) if !(earliest..=newest).contains(&asked) => {
                    DeltaError::NoVersion { asked, earliest, newest }
                }
                _ => error.into(),
            },
        }
    }

    fn files(&self, snapshot: SnapshotRef) -> Result<Vec<DataFile>, DeltaError> {
        let scan = snapshot.scan_builder().without_row_transforms().with_stats(StatsOptions::none()).build()?;
        let mut files = Vec::new();
        for found in scan.scan_metadata(&self.engine())? {
            let rows = found?.scan_files.apply_selection_vector()?;
            for row in &Rows::of(&*rows)?.0 {
                files.extend(DataFile::of_row(row, &self.storage).transpose()?);
            }
        }
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut contents = self.storage.contents(&paths)?;
        files.iter_mut().for_each(|file| file.content = contents.remove(&file.path));
        Ok(files)
    }
}

/// The path without links on the way, as far as there is something: the kernel takes them away from what it hands over.
fn without_links(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    Ok(match there {
        Some((above, true_path)) => true_path.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
        None => path,
    })
}

/// A version of a table.
pub struct Version {
    table: Table,
    /// Its number.
    pub number: u64,
    /// Its columns, those of partitions among them.
    pub columns: Vec<Column>,
    /// The types of the columns, as the log has them.
    types: Vec<KernelType>,
    /// Its data files, those that were written first before others.
    pub files: Vec<DataFile>,
}

/// A data file of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its path below the table's folder.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub written_ms: i64,
    /// What its partition is, by the names that columns have in data files.
    partition: serde_json::Map<String, Value>,
    /// Which of its rows are deleted, as the log says it.
    deletion: Option<Value>,
    /// What tells its content from what others write to its path; none if it is not there.
    content: Option<String>,
}

impl DataFile {
    /// A file that a scan found; none of a row that is none.
    fn of_row(row: &Value, storage: &Storage) -> Option<Result<Self, DeltaError>> {
        let path = row.get("path")?.as_str()?;
        let url = storage.root.join(path).map_err(KernelError::from);
        let path = match url.and_then(|url| storage.relative(&url)) {
            Ok(path) => path,
            Err(error) => return Some(Err(error.into())),
        };
        let number = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or(0);
        let partition = row.get("fileConstantValues").and_then(|values| values.get("partitionValues")?.as_object());
        Some(Ok(Self {
            path,
            size: u64::try_from(number("size")).unwrap_or(0),
            written_ms: number("modificationTime"),
            partition: partition.cloned().unwrap_or_default(),
            deletion: row.get("deletionVector").filter(|deletion| !deletion.is_null()).cloned(),
            content: None,
        }))
    }

    /// Whether the log has the value of a column in all rows of the file. The file may hold the column, too.
    pub fn is_partitioned_by(&self, column: &Column) -> bool {
        self.partition.contains_key(&column.stored)
    }

    /// What tells the rows of this file from those of others, and of itself in other versions. Tools do not write a data file again, but
    /// a table that was made anew may name its files as the one before did.
    pub fn identity(&self) -> String {
        let (path, size, written) = (&self.path, self.size, self.written_ms);
        serde_json::json!([path, size, written, self.partition, self.deletion, self.content]).to_string()
    }
}

impl Version {
    /// The numbers of a file's rows that are deleted, ascending.
    ///
    /// # Errors
    /// If the deletion vector can't be read.
    pub fn deleted_rows(&self, file: &DataFile) -> Result<Vec<u64>, DeltaError> {
        let Some(deletion) = &file.deletion else { return Ok(Vec::new()) };
        let described: DeletionVectorDescriptor =
            serde_json::from_value(deletion.clone()).map_err(KernelError::MalformedJson)?;
        Ok(described.row_indexes(self.table.storage.clone(), &self.table.storage.root)?)
    }

    /// The value of a partition column in a file: its text in the log, none for a null, and itself in the one row of a column. None if it
    /// is none of the file's partition columns.
    ///
    /// # Errors
    /// If it is no value of the column's type.
    pub fn partition_value(
        &self,
        file: &DataFile,
        of: &Column,
    ) -> Result<Option<(Option<String>, ArrayRef)>, DeltaError> {
        let Some(value) = file.partition.get(&of.stored) else { return Ok(None) };
        let place = self.columns.iter().position(|column| column == of);
        let Some(data_type) = place.and_then(|place| self.types.get(place)) else { return Ok(None) };
        let wrong = || DeltaError::PartitionValue {
            column: of.field.name().clone(),
            value: value.as_str().unwrap_or_default().to_owned(),
            expected: of.field.data_type().to_string(),
        };
        let scalar = match (value, data_type.as_primitive_opt()) {
            (Value::Null, _) => Scalar::Null(data_type.clone()),
            // The protocol writes nulls so, also those of texts.
            (Value::String(text), _) if text.is_empty() => Scalar::Null(data_type.clone()),
            (Value::String(text), Some(primitive)) => primitive.parse_scalar(text).map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        let text = value.as_str().filter(|_| !scalar.is_null()).map(str::to_owned);
        one_row(&scalar, of.field.data_type()).map(|value| Some((text, value))).ok_or_else(wrong)
    }
}

/// A value as a column of one row.
fn one_row(scalar: &Scalar, data_type: &DataType) -> Option<ArrayRef> {
    Some(match scalar {
        Scalar::Null(_) => new_null_array(data_type, 1),
        Scalar::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        Scalar::Binary(bytes) => Arc::new(BinaryArray::from(vec![bytes.as_slice()])),
        Scalar::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
        Scalar::Byte(value) => Arc::new(Int8Array::from(vec![*value])),
        Scalar::Short(value) => Arc::new(Int16Array::from(vec![*value])),
        Scalar::Integer(value) => Arc::new(Int32Array::from(vec![*value])),
        Scalar::Long(value) => Arc::new(Int64Array::from(vec![*value])),
        Scalar::Float(value) => Arc::new(Float32Array::from(vec![*value])),
        Scalar::Double(value) => Arc::new(Float64Array::from(vec![*value])),
        Scalar::Date(days) => Arc::new(Date32Array::from(vec![*days])),
        Scalar::Timestamp(micros) | Scalar::TimestampNtz(micros) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*micros]).with_data_type(data_type.clone()))
        }
        Scalar::Decimal(value) => Arc::new(Decimal128Array::from(vec![value.bits()]).with_data_type(data_type.clone())),
        _ => return None,
    })
}
