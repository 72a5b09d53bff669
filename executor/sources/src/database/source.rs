//! Rows of a database as a source.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::SystemTime;

use arrow_schema::SchemaRef;
use flowc_adbc::{Connection, DatabaseError, Vendor, access, plain_schema, unreadable};
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::{Database, DatabaseRows, DatabaseSource as Spec};
use flowc_platform::{FileStamp, lock};

use super::cursor::Range;
use super::select::{self, Select};
use super::snapshot::{self, SnapshotWriter};
use crate::columnar::conform::match_columns;
use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::source::{Folders, Polled, Source, SourcePart};

/// Snapshots that this process has begun. Of others the rows are kept, or are gone: what a database says now is no answer to what it
/// said then.
static BEGUN: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

/// Rows of a database.
pub(crate) struct DatabaseSource {
    source: Spec,
    /// The folder that relative paths start from.
    base: PathBuf,
}

impl DatabaseSource {
    /// Connects when the database is first asked.
    pub(crate) fn new(source: Spec, base: &Path) -> Self {
        Self { source, base: base.to_owned() }
    }

    fn connect(&self) -> Result<Connection, SourceError> {
        let access = access(&self.source.database, &self.base, false).map_err(|error| self.failed(error))?;
        Connection::open(access).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: DatabaseError) -> SourceError {
        match error {
            DatabaseError::Secret { secret, reason } => SourceError::Secret { secret, reason },
            error => self.refused(error.to_string()),
        }
    }

    fn refused(&self, reason: String) -> SourceError {
        SourceError::Database { database: self.name(), reason }
    }

    /// The rows in few words, for messages.
    fn name(&self) -> String {
        let Database { driver, .. } = &self.source.database;
        match &self.source.rows {
            DatabaseRows::Table { table, .. } => format!("{driver} table {table}"),
            DatabaseRows::Query { .. } => format!("{driver} query"),
        }
    }

    /// Whether rows that were found before are taken as they are.
    fn stands(&self, known: &Polled) -> bool {
        let now = SystemTime::now();
        let ages = known.parts.iter().filter_map(|part| part.stamp?.age(now));
        let youngest = ages.min().and_then(|age| u64::try_from(age.as_millis()).ok());
        youngest.is_some_and(|age| self.source.cache.takes(age))
    }

    /// A part whose rows are read now.
    fn begin(&self, range: Option<&Range>) -> SourcePart {
        let now = SystemTime::now();
        // Seeded by the system.
        let identity = RandomState::new().hash_one(now);
        lock(&BEGUN).insert(identity);
        let range = range.map_or_else(String::new, |range| format!(" {}", range.name()));
        let stamp = Some(FileStamp::of_snapshot(identity, now));
        SourcePart { name: format!("{}{range}", self.name()), path: None, stamp }
    }

    /// What is known, and the rows beyond it.
    fn poll_cursor(&self, cursor: &str, known: &Polled) -> Result<Polled, SourceError> {
        let Spec { rows, .. } = &self.source;
        let last = known.parts.last().and_then(|part| Range::of_name(&part.name));
        let mut connection = self.connect()?;
        let vendor = connection.vendor().clone();
        let Select { sql, parameters } = select::without_cursor(rows, cursor);
        let mut without = connection.query(&sql, parameters.as_ref()).map_err(|error| self.failed(error))?;
        while let Some(batch) = without.next().map_err(|error| self.failed(error))? {
            if batch.num_rows() > 0 {
                return Err(self.refused(format!(
                    "the cursor `{cursor}` is null in some rows, which would never be read; leave those out in a `query`, or name a \
                     column without nulls"
                )));
            }
        }
        let unbound = || self.refused(format!("the range of the cursor `{cursor}` is damaged"));
        let Select { sql, parameters } = select::largest(rows, cursor, last.as_ref(), &vendor).ok_or_else(unbound)?;
        let mut largest = connection.query(&sql, parameters.as_ref()).map_err(|error| self.failed(error))?;
        let mut next = None;
        while let Some(batch) = largest.next().map_err(|error| self.failed(error))? {
            next =
                Range::next(last.as_ref(), &batch).map_err(|reason| self.refused(format!("`{cursor}`: {reason}")))?;
        }
        let parts = known.parts.iter().cloned().chain(next.map(|range| self.begin(Some(&range)))).collect();
        Ok(Polled { parts, folders: None })
    }

    /// The query for a part, and the values of its parameters.
    fn select(&self, part: &SourcePart, connection: &Connection) -> Option<Select> {
        let Spec { rows, cursor, .. } = &self.source;
        match cursor {
            None => Some(select::all(rows)),
            Some(cursor) => select::range(rows, cursor, &Range::of_name(&part.name)?, connection.vendor()),
        }
    }

    /// Reads the rows of a part, and keeps them.
    fn fetch(&self, part: &SourcePart, place: &Path, wanted: &SchemaRef) -> Result<(), SourceError> {
        let failed = |error| self.failed(error);
        let written = SourceError::io(&part.name, "keep its rows");
        let mut connection = self.connect()?;
        let select = self.select(part, &connection);
        let Select { sql, parameters } = select.ok_or_else(|| self.refused("its range is damaged".to_owned()))?;
        let is_typed = *connection.vendor() != Vendor::Sqlite;
        let mut rows = connection.query(&sql, parameters.as_ref()).map_err(failed)?;
        let found = self.readable(rows.schema())?;
        let schema = if is_typed { found } else { snapshot::without_values(&found, wanted) };
        match_columns(&part.name, &schema, wanted)?;
        let mut writer = SnapshotWriter::create(place, &schema).map_err(&written)?;
        while let Some(batch) = rows.next().map_err(failed)? {
            let batch = snapshot::plain(&batch, &schema, &part.name)?;
            writer.push(&batch).map_err(&written)?;
        }
        writer.finish().map_err(&written)
    }

    /// The columns, if Arrow has types for all of them.
    fn readable(&self, schema: &SchemaRef) -> Result<SchemaRef, SourceError> {
        match unreadable(schema) {
            None => Ok(plain_schema(schema)),
            Some((column, data_type)) => Err(self.refused(format!(
                "the column `{column}` has the type {data_type}, which Arrow does not have; read it by a `query` that casts it: \
                 `CAST({column} AS text)`"
            ))),
        }
    }

    /// Where the rows of a part are kept.
    fn snapshot_name(stamp: FileStamp) -> String {
        format!("{:016x}-rows", stamp.inode)
    }
}

impl Source for DatabaseSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        let Spec { database, rows, cursor, cache: _ } = &self.source;
        let Database { driver, uri, options, secrets, reads: _ } = database;
        let read = serde_json::json!({
            "driver": driver, "uri": uri, "options": options, "secrets": secrets, "rows": rows, "cursor": cursor,
        });
        hasher.bytes(b"flowc rows 1").bytes(canonical_json(&read).as_bytes());
    }

    /// Asks the database only where there is a cursor, and only if what is known does not stand any more.
    fn poll(&self, known: &Polled) -> Result<Polled, SourceError> {
        if self.stands(known) {
            // Nothing can change while it is pinned.
            let folders = self.source.cache.is_pinned().then(Vec::new);
            return Ok(Polled { parts: known.parts.clone(), folders });
        }
        match &self.source.cursor {
            Some(cursor) => self.poll_cursor(cursor, known),
            None => Ok(Polled { parts: vec![self.begin(None)], folders: None }),
        }
    }

    fn infer_schema(&self, _parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        let Select { sql, parameters } = select::all(&self.source.rows);
        let mut connection = self.connect()?;
        let schema = connection.columns(&sql, parameters.as_ref()).map_err(|error| self.failed(error))?;
        self.readable(&schema)
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        let stamp = part.stamp.ok_or_else(|| self.refused(format!("`{}` is no part of it", part.name)))?;
        let place = folders.blocks.join(Self::snapshot_name(stamp));
        if !flowc_platform::is_sealed(&place) {
            if !lock(&BEGUN).contains(&stamp.inode) {
                let what = "what was kept of it was removed from the store, or damaged";
                return Err(SourceError::Changed { file: part.name.clone(), what });
            }
            self.fetch(part, &place, schema)?;
        }
        let (file, view) = snapshot::open(&place, &part.name, schema)?;
        Ok(OpenFile::of_snapshot(file, view, schema, stamp))
    }

    fn kept(&self, part: &SourcePart) -> Option<String> {
        part.stamp.map(Self::snapshot_name)
    }
}
