//! A version of a Delta table as a source.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use arrow_schema::{Schema, SchemaRef};
use flowc_delta::{Column, DataFile, DeltaError, Table, Version};
use flowc_objects::{Bucket, Client, ObjectError, access};
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::{DeltaSource, DeltaTable, ObjectAddress, TablePlace};
use flowc_platform::{FileStamp, lock};

use super::file::{TableFile, column};
use crate::columnar::convert::convert;
use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::files::origin::Origin;
use crate::files::partitions::FolderColumns;
use crate::files::view::View;
use crate::objects::{RemoteFile, failed};
use crate::source::{Folders, Polled, Source, SourcePart};

/// Versions that this process has read, by what was asked for: who opens a part may not be who found it, and the table may have a newer
/// version by then.
static READ: LazyLock<Mutex<HashMap<String, VecDeque<Arc<ReadVersion>>>>> = LazyLock::new(Mutex::default);
/// How many versions of a table are remembered.
const REMEMBERED: usize = 4;

/// A version, with its files by their stamps.
struct ReadVersion {
    version: Version,
    files: HashMap<FileStamp, usize>,
}

/// A version of a table.
pub(crate) struct DeltaTableSource {
    source: DeltaSource,
    /// The folder that relative paths start from.
    base: PathBuf,
    /// The bucket, once it was asked.
    client: Mutex<Option<Arc<Client>>>,
}

impl DeltaTableSource {
    /// Asks no service yet.
    pub(crate) fn new(source: DeltaSource, base: &Path) -> Self {
        Self { source, base: base.to_owned(), client: Mutex::default() }
    }

    /// Its name in messages.
    fn name(&self) -> String {
        self.source.table.place.to_string()
    }

    fn failed(&self, error: DeltaError) -> SourceError {
        match error {
            DeltaError::Object(error) => failed(&self.name(), error),
            error => SourceError::Delta { table: self.name(), reason: error.to_string() },
        }
    }

    fn client(&self, address: &ObjectAddress) -> Result<Arc<Client>, SourceError> {
        let mut client = lock(&self.client);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let DeltaTable { place: _, region, endpoint, anonymous } = &self.source.table;
        let access = access(address, region.as_deref(), endpoint.as_deref(), *anonymous);
        let opened = Arc::new(Client::open(&access).map_err(|error| failed(&self.name(), error))?);
        Ok(client.insert(opened).clone())
    }

    fn table(&self) -> Result<Table, SourceError> {
        let table = match &self.source.table.place {
            TablePlace::Folder(path) => Table::in_folder(&self.base.join(path)),
            TablePlace::Objects(address) => {
                let ObjectAddress { scheme, bucket, key } = address;
                Table::in_bucket(self.client(address)?, scheme.name(), bucket, key)
            }
        };
        table.map_err(|error| self.failed(error))
    }

    /// What is asked for.
    fn asked(&self) -> String {
        let DeltaSource { table, version } = &self.source;
        let DeltaTable { place, region: _, endpoint, anonymous: _ } = table;
        let place = match place {
            TablePlace::Folder(path) => self.base.join(path).to_string_lossy().into_owned(),
            TablePlace::Objects(address) => address.to_string(),
        };
        canonical_json(&serde_json::json!([place, endpoint, version]))
    }

    /// Reads the version.
    fn read(&self) -> Result<Arc<ReadVersion>, SourceError> {
        let version = self.table()?.version(self.source.version).map_err(|error| self.failed(error))?;
        let files = version.files.iter().enumerate().map(|(place, file)| (self.stamp(&version, file), place)).collect();
        let version = Arc::new(ReadVersion { version, files });
        let mut read = lock(&READ);
        let versions = read.entry(self.asked()).or_default();
        versions.push_front(version.clone());
        versions.truncate(REMEMBERED);
        Ok(version)
    }

    /// The version that was read last.
    fn last(&self) -> Result<Arc<ReadVersion>, SourceError> {
        let last = lock(&READ).get(&self.asked()).and_then(|versions| versions.front().cloned());
        last.map_or_else(|| self.read(), Ok)
    }

    /// While it stands, a file has the same rows: the columns that the table finds in it are in the stamp, too.
    fn stamp(&self, version: &Version, file: &DataFile) -> FileStamp {
        let mut hasher = KeyHasher::new("flowc delta file 1");
        hasher.bytes(self.asked().as_bytes()).bytes(file.identity().as_bytes());
        for column in &version.columns {
            hasher.digest(&column.digest());
        }
        let [a, b, c, d, e, f, g, h, ..] = hasher.finish();
        FileStamp::of_immutable(u64::from_le_bytes([a, b, c, d, e, f, g, h]), file.size)
    }

    fn part(&self, version: &Version, file: &DataFile) -> SourcePart {
        let name = format!("{}/{}", self.name().trim_end_matches('/'), file.path);
        SourcePart { name, path: None, stamp: Some(self.stamp(version, file)) }
    }

    /// The version that has a part, and the part's file.
    fn find(&self, part: &SourcePart) -> Result<(Arc<ReadVersion>, DataFile), SourceError> {
        let found = |read: Arc<ReadVersion>| {
            let file = read.version.files.get(*read.files.get(&part.stamp?)?)?.clone();
            Some((read, file))
        };
        let read: Vec<_> = lock(&READ).get(&self.asked()).into_iter().flatten().cloned().collect();
        if let Some(found) = read.into_iter().find_map(found) {
            return Ok(found);
        }
        let what = "it is not in the table any more";
        found(self.read()?).ok_or_else(|| SourceError::Changed { file: part.name.clone(), what })
    }

    /// A data file as it is stored, and what is there on this machine.
    fn view(&self, part: &SourcePart, file: &DataFile, spool: &Path) -> Result<(View, Option<Origin>), SourceError> {
        let (view, origin) = match &self.source.table.place {
            TablePlace::Folder(path) => {
                let path = self.base.join(path).join(&file.path);
                let opened = File::open(&path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => self.failed(DeltaError::Missing { path: file.path.clone() }),
                    _ => SourceError::io(&part.name, "open it")(error),
                })?;
                let stamp = FileStamp::of_file(&opened).map_err(SourceError::io(&part.name, "stat it"))?;
                let again = opened.try_clone().map_err(SourceError::io(&part.name, "open it"))?;
                (View::new(Arc::new(opened), &part.name)?, Some(Origin { file: again, path, stamp }))
            }
            TablePlace::Objects(address) => {
                let client = self.client(address)?;
                let object = client.find(&format!("{}/{}", address.key, file.path)).map_err(|error| match error {
                    ObjectError::NoObject => self.failed(DeltaError::Missing { path: file.path.clone() }),
                    error => failed(&part.name, error),
                })?;
                (View::of_remote(Arc::new(RemoteFile::new(client, object, &part.name, spool)?)), None)
            }
        };
        if view.length() != file.size {
            let reason = format!("it has {} bytes, and the table's log says {}", view.length(), file.size);
            return Err(SourceError::Damaged { file: part.name.clone(), format: "data file", reason });
        }
        Ok((view, origin))
    }

    /// The columns that a data file does not hold: those of partitions, and those that were added to the table later.
    fn constants(
        &self,
        version: &Version,
        file: &DataFile,
        schema: &Schema,
        held: &[bool],
    ) -> Result<FolderColumns, SourceError> {
        let constant = |(field, held): (&Arc<arrow_schema::Field>, &bool)| {
            let own = column(&self.name(), &version.columns, field)?;
            let told = version.partition_value(file, own).map_err(|error| self.failed(error))?;
            let (text, value) = match (told, held) {
                (Some((text, value)), _) => (text, value),
                (None, true) => return Ok(None),
                (None, false) => (None, arrow_array::new_null_array(own.field.data_type(), 1)),
            };
            if value.null_count() > 0 && !field.is_nullable() {
                let (file, column) = (file.path.clone(), field.name().clone());
                return Err(SourceError::UnexpectedNull { file, row: 1, column });
            }
            let refused = |error: arrow_schema::ArrowError| SourceError::Arrow {
                file: file.path.clone(),
                reason: error.to_string(),
            };
            Ok(Some((text, convert(&value, field.data_type()).map_err(refused)?)))
        };
        let values = schema.fields().iter().zip(held).map(constant).collect::<Result<_, _>>()?;
        Ok(FolderColumns::of_table(values))
    }
}

impl Source for DeltaTableSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        let DeltaSource { table, version } = &self.source;
        let DeltaTable { place, region: _, endpoint, anonymous: _ } = table;
        let read = serde_json::json!({ "place": place, "endpoint": endpoint, "version": version });
        hasher.bytes(b"flowc delta 1").bytes(canonical_json(&read).as_bytes());
    }

    fn poll(&self, _known: &Polled) -> Result<Polled, SourceError> {
        let read = self.read()?;
        let version = &read.version;
        let parts = version.files.iter().map(|file| self.part(version, file)).collect();
        Ok(Polled { parts, folders: None })
    }

    fn version(&self) -> Option<u64> {
        let read = lock(&READ);
        read.get(&self.asked())?.front().map(|last| last.version.number)
    }

    fn infer_schema(&self, _parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        let read = self.last()?;
        Ok(Arc::new(Schema::new(read.version.columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>())))
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        let (read, file) = self.find(part)?;
        let version = &read.version;
        let deleted = version.deleted_rows(&file).map_err(|error| self.failed(error))?;
        let (view, origin) = self.view(part, &file, &folders.spool)?;
        let is_told = |column: &Column| file.is_partitioned_by(column);
        let opened = TableFile::open(view.clone(), &version.columns, schema, deleted.into(), is_told);
        let (content, held) = opened.map_err(|error| view.failure().unwrap_or(error))?;
        let constants = self.constants(version, &file, schema, &held)?;
        let stamp = part.stamp.unwrap_or_else(|| FileStamp::of_immutable(0, file.size));
        Ok(OpenFile::of_table(content, view, schema, constants, stamp, origin))
    }
}
