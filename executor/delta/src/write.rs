//! Adding a version to a table.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_schema::{DataType, Fields};
use bytes::Bytes;
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::schema::StructType;
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::transaction::{CommitResult, CommittedTransaction, Transaction, UpdateTableOperation};
use delta_kernel::{KernelError, KernelResult, SnapshotRef};
use serde_json::{Value, json};

use crate::engine::Rows;
use crate::error::DeltaError;
use crate::table::{LOG, Table};
use crate::types::{Column, columns};

/// Who writes, in the history of tables.
const WRITER: &str = concat!("flowc/", env!("CARGO_PKG_VERSION"));

/// A data file that was written, and that no version has yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its path below the table's folder.
    pub path: String,
    /// The text of its value per partition column; none for nulls.
    pub partition: BTreeMap<String, Option<String>>,
    /// Its bytes.
    pub size: u64,
    /// Its rows.
    pub rows: u64,
}

/// What a version is to add.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// Who adds it, and the number of their change: the table keeps the last one of each who adds.
    pub app: (&'c str, i64),
    /// Files to add.
    pub files: &'c [NewFile],
    /// Whether all other files leave the table.
    pub replaces: bool,
}

/// Commits of a log after which a checkpoint is written, unless the table says it (`delta.checkpointInterval`).
const CHECKPOINT_INTERVAL: u64 = 10;

/// Whether a version was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there. If a checkpoint was due and could not be written, why.
    Yes(Option<String>),
    /// Somebody else has added one meanwhile.
    Overtaken,
}

/// The newest version of a table, as who adds the next one sees it.
pub struct Head {
    table: Table,
    snapshot: SnapshotRef,
    /// The table's columns.
    pub columns: Vec<Column>,
    /// The names of its partition columns.
    pub partition_by: Vec<String>,
    /// The number of the last change of who asks.
    pub applied: Option<i64>,
    /// Whether the table tells which rows each version has changed (`delta.enableChangeDataFeed`). Then one version can't add files and
    /// remove others.
    pub tells_changes: bool,
}

impl Table {
    /// The newest version, for who is to add one under the name `app`; none if there is no table.
    ///
    /// # Errors
    /// If the log can't be read, or the table can't be written.
    pub fn head(&self, app: &str) -> Result<Option<Head>, DeltaError> {
        if !self.exists()? {
            return Ok(None);
        }
        let snapshot = self.snapshot(None)?;
        let properties = snapshot.table_properties();
        if properties.column_mapping_mode.is_some_and(|mode| mode != ColumnMappingMode::None) {
            return Err(DeltaError::Unwritable {
                reason: "its columns are mapped (`delta.columnMapping.mode`)".to_owned(),
            });
        }
        if properties.set_transaction_retention_duration.is_some() {
            let reason = "it forgets who has written what (`delta.setTransactionRetentionDuration`)".to_owned();
            return Err(DeltaError::Unwritable { reason });
        }
        let columns = columns(&snapshot.schema(), ColumnMappingMode::None)?;
        let applied = snapshot.get_app_id_version(app, &self.engine())?;
        let tells_changes = properties.enable_change_data_feed == Some(true);
        let mut head =
            Head { table: self.clone(), snapshot, columns, partition_by: Vec::new(), applied, tells_changes };
        let transaction = head.transaction().map_err(|error| unwritable(error.into(), tells_changes))?;
        // What is said of the table here no file needs to be written for.
        transaction.write_state()?;
        head.partition_by = transaction.logical_partition_columns().to_vec();
        Ok(Some(head))
    }

    /// Makes the table, with its first version. `fields` are its columns, in types that [`crate::table_type`] gives.
    ///
    /// # Errors
    /// If the log can't be written.
    pub fn create(&self, fields: &Fields, partition_by: &[String], change: &Change<'_>) -> Result<Added, DeltaError> {
        let schema = StructType::try_new(crate::types::kernel_fields(fields)?.into_fields())?;
        let schema = serde_json::to_string(&schema).map_err(KernelError::MalformedJson)?;
        let now = now();
        let commit = json!({
            "timestamp": now, "operation": "CREATE TABLE AS SELECT", "operationParameters": {}, "engineInfo": WRITER,
            // Tells this commit from others of the same rows.
            "txnId": token(),
        });
        let metadata = json!({
            "id": uuid::Uuid::new_v4().to_string(), "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
            "partitionColumns": partition_by, "configuration": {}, "createdTime": now,
        });
        let transaction = json!({"appId": change.app.0, "version": change.app.1, "lastUpdated": now});
        let mut actions =
            vec![json!({"commitInfo": commit}), json!({"protocol": protocol(fields)}), json!({"metaData": metadata})];
        for file in change.files {
            let mut row = self.row(file)?;
            row["stats"] = Value::String(row["stats"].to_string());
            row["dataChange"] = Value::Bool(true);
            actions.push(json!({"add": row}));
        }
        actions.push(json!({"txn": transaction}));
        let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
        let url = self.storage.root.join(&format!("{LOG}/{:020}.json", 0)).map_err(KernelError::from)?;
        Ok(if self.storage.create(&url, Bytes::from(text))? { Added::Yes(None) } else { Added::Overtaken })
    }

    /// What the log says of a file that is added.
    fn row(&self, file: &NewFile) -> KernelResult<Value> {
        let url = self.storage.url(&file.path)?;
        let path = url.as_str().strip_prefix(self.storage.root.as_str()).unwrap_or_default().to_owned();
        Ok(json!({
            "path": path, "partitionValues": file.partition, "size": file.size, "modificationTime": now(),
            "stats": {"numRecords": file.rows},
        }))
    }
}

impl Head {
    /// The number of the version.
    pub fn number(&self) -> u64 {
        self.snapshot.version()
    }

    fn transaction(&self) -> KernelResult<Transaction> {
        let builder = self.snapshot.clone().update_table(UpdateTableOperation::Write, WRITER, true);
        builder.build(&self.table.engine(), Box::new(FileSystemCommitter::new()))
    }

    /// Adds the next version.
    ///
    /// # Errors
    /// If the log can't be written, or the table does not take such a change.
    pub fn add(&self, change: &Change<'_>) -> Result<Added, DeltaError> {
        let engine = self.table.engine();
        let mode = if change.replaces { "Overwrite" } else { "Append" };
        let builder = self.snapshot.clone().update_table(UpdateTableOperation::Write, WRITER, true);
        let builder = builder.with_operation_parameters([("mode", Some(mode))]);
        let builder = builder.with_transaction_id(change.app.0, change.app.1);
        let mut transaction = builder.build(&engine, Box::new(FileSystemCommitter::new()))?;
        let rows = change.files.iter().map(|file| self.table.row(file)).collect::<KernelResult<Vec<_>>>()?;
        if !rows.is_empty() {
            transaction.add_files(Box::new(Rows(rows)));
        }
        if change.replaces {
            let scan = self.snapshot.clone().scan_builder().build()?;
            for found in scan.scan_metadata(&engine)? {
                transaction.remove_files(found?.scan_files);
            }
        }
        match transaction.commit(&engine)? {
            CommitResult::Committed(committed) => Ok(Added::Yes(self.checkpoint(&committed).err())),
            CommitResult::Conflicted(_) => Ok(Added::Overtaken),
            CommitResult::Retryable(failed) => Err(failed.error.into()),
        }
    }

    /// Writes a checkpoint of a version that was committed, if one is due. The version is there, whatever becomes of this.
    fn checkpoint(&self, committed: &CommittedTransaction) -> Result<(), String> {
        let properties = self.snapshot.table_properties();
        let interval = properties.checkpoint_interval.map_or(CHECKPOINT_INTERVAL, NonZero::get);
        let is_due = committed.post_commit_stats().commits_since_checkpoint >= interval;
        // Typed statistics are written by those who read them.
        let is_plain = properties.should_write_stats_as_json() && !properties.should_write_stats_as_struct();
        match committed.post_commit_snapshot() {
            Some(snapshot) if is_due && is_plain => {
                snapshot.checkpoint(&self.table.engine(), None).map(drop).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Why a table can't be written. Versions of the protocol before the seventh ask of writers whatever came with them, used or not.
fn unwritable(error: DeltaError, tells_changes: bool) -> DeltaError {
    let DeltaError::Unsupported { reason } = error else { return error };
    let feed = if tells_changes { "; its change data feed (`delta.enableChangeDataFeed`) made it 4" } else { "" };
    DeltaError::Unwritable {
        reason: format!(
            "{reason}. If the table does not use that, its log asks for it because its `delta.minWriterVersion` is 3 to 6, which ask for all that \
             came with them{feed}. Raise it to 7, where the log names what it uses, such as `changeDataFeed`"
        ),
    }
}

/// What readers and writers of a new table must know.
fn protocol(fields: &Fields) -> Value {
    let is_local = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, None));
    match fields.iter().any(|field| has(field.data_type(), &is_local)) {
        false => json!({"minReaderVersion": 1, "minWriterVersion": 2}),
        true => json!({
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz"],
            "writerFeatures": ["timestampNtz", "appendOnly", "invariants"],
        }),
    }
}

/// Whether a type is such, or one within it.
fn has(data_type: &DataType, is_such: &dyn Fn(&DataType) -> bool) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| has(field.data_type(), is_such)),
        DataType::List(item) | DataType::Map(item, _) => has(item.data_type(), is_such),
        leaf => is_such(leaf),
    }
}

/// What no other has: names of files are made of it.
pub fn token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{Field, TimeUnit};

    use super::*;

    fn fields() -> Fields {
        Fields::from(vec![Field::new("n", DataType::Int64, true), Field::new("p", DataType::Utf8, true)])
    }

    fn file(path: &str, partition: Option<&str>) -> NewFile {
        let partition = [("p".to_owned(), partition.map(str::to_owned))].into();
        NewFile { path: path.to_owned(), partition, size: 10, rows: 3 }
    }

    fn paths(table: &Table) -> Vec<String> {
        let mut paths: Vec<_> = table.version(None).unwrap().files.into_iter().map(|file| file.path).collect();
        paths.sort();
        paths
    }

    #[test]
    fn versions_follow_one_another_and_note_who_wrote_them() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::in_folder(folder.path()).unwrap();
        assert!(table.head("a").unwrap().is_none());
        let change = |number, files, replaces| Change { app: ("a", number), files, replaces };
        let first = [file("p=x y/a%20b.parquet", Some("x y"))];
        assert_eq!(table.create(&fields(), &["p".to_owned()], &change(1, &first, false)).unwrap(), Added::Yes(None));
        assert_eq!(table.create(&fields(), &[], &change(1, &[], false)).unwrap(), Added::Overtaken);
        let (head, other) = (table.head("a").unwrap().unwrap(), table.head("b").unwrap().unwrap());
        assert_eq!((head.number(), head.applied, other.applied), (0, Some(1), None));
        assert_eq!((head.partition_by.as_slice(), head.columns.len()), (&["p".to_owned()][..], 2));
        let second = [file("p=__HIVE_DEFAULT_PARTITION__/b.parquet", None)];
        assert_eq!(head.add(&change(2, &second, false)).unwrap(), Added::Yes(None));
        assert_eq!(other.add(&Change { app: ("b", 1), ..change(1, &second, false) }).unwrap(), Added::Overtaken);
        assert_eq!(paths(&table), ["p=__HIVE_DEFAULT_PARTITION__/b.parquet", "p=x y/a%20b.parquet"]);
        let head = table.head("a").unwrap().unwrap();
        assert_eq!(head.applied, Some(2));
        assert_eq!(head.add(&change(3, &first, true)).unwrap(), Added::Yes(None));
        assert_eq!(paths(&table), ["p=x y/a%20b.parquet"]);
        let version = table.version(None).unwrap();
        let (text, value) = version.partition_value(&version.files[0], &version.columns[1]).unwrap().unwrap();
        assert_eq!((text.as_deref(), value.len()), (Some("x y"), 1));
        assert!(matches!(table.version(Some(9)), Err(DeltaError::NoVersion { asked: 9, earliest: 0, newest: 2 })));
    }

    #[test]
    fn a_log_gets_checkpoints_and_needs_no_commits_before_them() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::in_folder(folder.path()).unwrap();
        let change = |number, files| Change { app: ("a", number), files, replaces: number == 14 };
        let files: Vec<_> = (0..25).map(|number| [file(&format!("p=a/{number}.parquet"), Some("a"))]).collect();
        table.create(&fields(), &["p".to_owned()], &change(0, &files[0])).unwrap();
        for (number, added) in (0..).zip(&files).skip(1) {
            let head = table.head("a").unwrap().unwrap();
            assert_eq!(head.applied, Some(number - 1));
            assert_eq!(head.add(&change(number, added)).unwrap(), Added::Yes(None));
        }
        let log = folder.path().join(LOG);
        let (found, before) = (paths(&table), table.version(Some(13)).unwrap().files.len());
        assert_eq!((found.len(), before), (11, 14));
        let checkpoints: Vec<_> =
            (0..25).filter(|n| log.join(format!("{n:020}.checkpoint.parquet")).exists()).collect();
        assert_eq!(checkpoints, [10, 20]);
        (0..20).for_each(|number| std::fs::remove_file(log.join(format!("{number:020}.json"))).unwrap());
        assert_eq!(paths(&table), found);
        let head = table.head("a").unwrap().unwrap();
        assert_eq!((head.number(), head.applied, head.partition_by.as_slice()), (24, Some(24), &["p".to_owned()][..]));
        let hint = std::fs::read_to_string(log.join("_last_checkpoint")).unwrap();
        let hint: Value = serde_json::from_str(&hint).unwrap();
        assert_eq!((&hint["version"], &hint["numOfAddFiles"]), (&json!(20), &json!(7)));
    }

    #[test]
    fn a_new_table_names_the_features_that_its_types_need() {
        let of =
            |data_type| protocol(&Fields::from(vec![Field::new("t", data_type, true)]))["minReaderVersion"].clone();
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(of(DataType::Int64), 1);
        assert_eq!(of(local.clone()), 3);
        assert_eq!(of(DataType::List(Arc::new(Field::new_list_field(local, true)))), 3);
    }
}
