//! The index: an SQLite database in WAL mode, so that several processes may read and write at once and a killed one
//! leaves nothing half-done.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowc_planner::key::{ColumnKey, ContentDigest, RowsKey};
use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ToSql, params};

use crate::bulk;
use crate::damage::Extent;
use crate::error::io_at;
use crate::group::Group;
use crate::memo::Entry;
use crate::{Location, ObjectId, StoreError, StoredColumn};

const LAYOUT: &str = "
    CREATE TABLE IF NOT EXISTS columns (
        key BLOB PRIMARY KEY, content BLOB NOT NULL, rows INTEGER NOT NULL, object BLOB NOT NULL,
        offset INTEGER NOT NULL, length INTEGER NOT NULL, place INTEGER NOT NULL, checked INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS columns_by_content ON columns (content);
    CREATE INDEX IF NOT EXISTS columns_by_place ON columns (object, offset, place);
    CREATE TABLE IF NOT EXISTS row_counts (key BLOB PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tombstones (key BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS memos (
        kind INTEGER NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
";

/// Bytes of the log from which on it is moved into the database when an index is closed: who opens an index after all others closed
/// it reads all of the log.
const LONG_LOG: u64 = 512 << 10;

/// How many KiB of pages are kept in memory, if the database has as many.
const CACHE_KIB: i64 = 64 << 10;

/// Pages of the log from which on it is moved into the database while the index is in use.
const LOG_PAGES: i64 = 16 << 10;

/// How long to wait for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(30);

const COLUMN: &str = "content, rows, object, offset, length, place, checked";

/// The version of facts that end with a seal. Those of 1 have none.
const SEALED: u8 = 2;

/// The open database.
pub(crate) struct Index {
    pub(crate) connection: Connection,
    path: PathBuf,
    is_read_only: bool,
}

impl Drop for Index {
    fn drop(&mut self) {
        // What stays in the log is moved by another one.
        let _ = self.move_long_log();
    }
}

impl Index {
    /// Opens or creates it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let index = Self::connect(path)?;
        if index.is_empty()? {
            // Of two that make an empty one at once SQLite refuses one, without waiting.
            let _held = hold(path)?;
            index.lay_out()?;
        }
        Ok(index)
    }

    fn connect(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(|e| at(path, e))?;
        let index = Self { connection, path: path.to_owned(), is_read_only: false };
        index.prepare().map_err(|e| at(path, e))?;
        Ok(index)
    }

    /// Puts an empty one in the place of one that is damaged, unless another process was faster.
    pub(crate) fn replace(path: &Path) -> Result<Self, StoreError> {
        let _held = hold(path)?;
        if let Ok(index) = Self::connect(path)
            && index.lay_out().is_ok()
            && index.is_sound()
        {
            return Ok(index);
        }
        for extension in ["sqlite", "sqlite-wal", "sqlite-shm"] {
            let file = path.with_extension(extension);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_at("remove", &file)(error));
                }
                _ => {}
            }
        }
        let index = Self::connect(path)?;
        index.lay_out()?;
        Ok(index)
    }

    fn is_sound(&self) -> bool {
        let check = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        check.is_ok_and(|found| found == "ok") && self.counts().is_ok()
    }

    /// Opens it without writing anything; `None` if there is none.
    ///
    /// SQLite needs to write beside a database in WAL mode unless it is told that nobody changes it. Where no log lies
    /// beside it that is true at this moment; content digests guard against a writer that comes later.
    pub(crate) fn open_read_only(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let has_log = std::fs::metadata(path.with_extension("sqlite-wal")).is_ok_and(|log| log.len() > 0);
        let text = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file:{text}?mode=ro{}", if has_log { "" } else { "&immutable=1" });
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(uri, flags).map_err(|e| at(path, e))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Some(Self { connection, path: path.to_owned(), is_read_only: true }))
    }

    /// Moves the log into the database if it is long. Others that use the index are not waited for.
    fn move_long_log(&self) -> rusqlite::Result<()> {
        let log = std::fs::metadata(self.path.with_extension("sqlite-wal")).map_or(0, |log| log.len());
        if self.is_read_only || log < LONG_LOG {
            return Ok(());
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(PATIENCE)?;
        // Moving the log into the database takes three syncs, which the log puts off until it is long.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        self.connection.set_prepared_statement_cache_capacity(64);
        // Keys are digests, so a commit touches pages all over the tables. With SQLite's own 2 MB most of them are read again for each
        // key; with its short log each commit moves the pages of all earlier ones.
        self.connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        self.connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
    }

    fn is_empty(&self) -> Result<bool, StoreError> {
        let version = self.connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        Ok(version.map_err(|e| self.error(e))? == 0)
    }

    /// Makes the tables, unless they are there.
    fn lay_out(&self) -> Result<(), StoreError> {
        if !self.is_empty()? {
            return Ok(());
        }
        // Nothing can be lost half-way yet: what a crash leaves is empty, or replaced as damaged. So all steps are synced at once, in the end.
        let lay_out = || {
            self.connection.pragma_update(None, "synchronous", "off")?;
            self.connection.pragma_update(None, "journal_mode", "wal")?;
            self.connection.execute_batch(&format!("BEGIN IMMEDIATE; {LAYOUT} PRAGMA user_version = 1; COMMIT;"))?;
            self.connection.pragma_update(None, "synchronous", "full")?;
            self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        };
        lay_out().map_err(|e| self.error(e))
    }

    /// Names the place of an error.
    pub(crate) fn error(&self, error: rusqlite::Error) -> StoreError {
        at(&self.path, error)
    }

    /// Looks up columns, all in one read transaction.
    pub(crate) fn columns(&self, keys: &[&ColumnKey]) -> Result<Vec<Option<StoredColumn>>, StoreError> {
        let keys: Vec<&[u8; 32]> = keys.iter().map(|key| key.as_bytes()).collect();
        let found = bulk::find(&self.connection, &format!("SELECT {COLUMN}, key FROM columns"), &keys, |row| {
            Ok((row.get(7)?, stored_column(row)?))
        });
        found.map_err(|e| self.error(e))
    }

    /// Looks up rows, all in one read transaction.
    pub(crate) fn rows(&self, keys: &[&RowsKey]) -> Result<Vec<Option<u64>>, StoreError> {
        let keys: Vec<&[u8; 32]> = keys.iter().map(|key| key.as_bytes()).collect();
        let found = bulk::find(&self.connection, "SELECT rows, key FROM row_counts", &keys, |row| {
            let key = row.get(1)?;
            Ok((key, counted(&key, row.get_ref(0)?)))
        });
        Ok(found.map_err(|e| self.error(e))?.into_iter().map(Option::flatten).collect())
    }

    /// Any column with this content.
    pub(crate) fn by_content(&self, content: &ContentDigest) -> Result<Option<StoredColumn>, StoreError> {
        let query = || {
            let sql = format!("SELECT {COLUMN} FROM columns WHERE content = ? LIMIT 1");
            let mut find = self.connection.prepare_cached(&sql)?;
            find.query_row([content.as_bytes()], stored_column).optional()
        };
        query().map_err(|e| self.error(e))
    }

    /// Whether garbage collection removed a result of this key.
    pub(crate) fn has_tombstone(&self, key: &ColumnKey) -> Result<bool, StoreError> {
        let query = || {
            let mut find = self.connection.prepare_cached("SELECT 1 FROM tombstones WHERE key = ?")?;
            find.exists([key.as_bytes()])
        };
        query().map_err(|e| self.error(e))
    }

    /// A remembered fact.
    pub(crate) fn memo(&self, kind: u8, key: &[u8; 32]) -> Result<Option<Entry>, StoreError> {
        let query = || {
            let sql = "SELECT version, value FROM memos WHERE kind = ? AND key = ?";
            self.connection.prepare_cached(sql)?.query_row(params![kind, key], entry).optional()
        };
        query().map_err(|e| self.error(e))
    }

    /// All remembered facts of a kind.
    pub(crate) fn memos(&self, kind: u8) -> Result<Vec<([u8; 32], Entry)>, StoreError> {
        let query = || {
            let mut find = self.connection.prepare_cached("SELECT version, value, key FROM memos WHERE kind = ?")?;
            let found = find.query_map([kind], |row| Ok((row.get(2)?, entry(row)?)))?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        query().map_err(|e| self.error(e))
    }

    /// Writes a group in one transaction. Who comes first with a key wins; gives the objects of those who did.
    pub(crate) fn commit(&self, group: &Group) -> Result<Vec<ObjectId>, StoreError> {
        // Objects are synced before the commit that names them, so that commit must last through a power cut too. Facts
        // alone can be found out again.
        let level = if group.columns.is_empty() { "normal" } else { "full" };
        let write = || {
            self.connection.pragma_update(None, "synchronous", level)?;
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let earlier = self.insert(group)?;
            self.connection.execute_batch("COMMIT")?;
            Ok(earlier)
        };
        self.all_or_nothing(write)
    }

    /// Removes what lies in a place that turned out to be damaged.
    pub(crate) fn forget(&self, extent: Extent, place: &Location) -> Result<(), StoreError> {
        let (object, offset) = (place.object.0, place.offset as i64);
        let remove = |lies_there: &str, place: &[&dyn ToSql]| {
            self.connection.execute(&format!("DELETE FROM columns WHERE {lies_there}"), place).map(|_| ())
        };
        self.all_or_nothing(|| match extent {
            Extent::Column => remove("object = ? AND offset = ? AND place = ?", params![object, offset, place.column]),
            Extent::Segment => remove("object = ? AND offset = ?", params![object, offset]),
            Extent::Object => remove("object = ?", params![object]),
        })
    }

    /// All results.
    pub(crate) fn all(&self) -> Result<Vec<(ColumnKey, StoredColumn)>, StoreError> {
        let query = || {
            let mut all = self.connection.prepare(&format!("SELECT {COLUMN}, key FROM columns"))?;
            let found = all.query_map([], |row| Ok((ColumnKey::new(row.get(7)?), stored_column(row)?)))?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        query().map_err(|e| self.error(e))
    }

    /// Every stored column once, in the order of places.
    pub(crate) fn all_places(&self) -> Result<Vec<StoredColumn>, StoreError> {
        let query = || {
            let sql = format!("SELECT DISTINCT {COLUMN} FROM columns ORDER BY object, offset, place");
            let mut all = self.connection.prepare(&sql)?;
            let found = all.query_map([], stored_column)?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        query().map_err(|e| self.error(e))
    }

    /// Numbers of results, of row counts, of memos and of tombstones.
    pub(crate) fn counts(&self) -> Result<[u64; 4], StoreError> {
        let query = |table| {
            let sql = format!("SELECT count(*) FROM {table}");
            self.connection.query_row(&sql, [], |row| unsigned(row, 0)).map_err(|e| self.error(e))
        };
        Ok([query("columns")?, query("row_counts")?, query("memos")?, query("tombstones")?])
    }

    /// Removes results, leaving tombstones, and all row counts but those to keep, where these are given.
    pub(crate) fn evict(&self, columns: &[ColumnKey], keep_rows: Option<&HashSet<RowsKey>>) -> Result<(), StoreError> {
        self.all_or_nothing(|| {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let mut remove = self.connection.prepare_cached("DELETE FROM columns WHERE key = ?")?;
            let mut bury = self.connection.prepare_cached("INSERT OR IGNORE INTO tombstones VALUES (?)")?;
            for key in columns {
                remove.execute([key.as_bytes()])?;
                bury.execute([key.as_bytes()])?;
            }
            if let Some(keep_rows) = keep_rows {
                self.evict_rows(keep_rows)?;
            }
            self.connection.execute_batch("COMMIT")
        })
    }

    fn evict_rows(&self, keep: &HashSet<RowsKey>) -> rusqlite::Result<()> {
        let mut all = self.connection.prepare("SELECT key FROM row_counts")?;
        let all = all.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 32]>>>()?;
        let mut remove = self.connection.prepare_cached("DELETE FROM row_counts WHERE key = ?")?;
        for key in all.iter().filter(|key| !keep.contains(&RowsKey::new(**key))) {
            remove.execute([key])?;
        }
        Ok(())
    }

    /// Segment files were copied into another object.
    pub(crate) fn relocate(&self, from: ObjectId, to: ObjectId, moved: &[Moved]) -> Result<(), StoreError> {
        self.all_or_nothing(|| {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let sql = "UPDATE columns SET object = ?, offset = ? WHERE object = ? AND offset = ?";
            let mut update = self.connection.prepare_cached(sql)?;
            for part in moved {
                update.execute(params![to.0, part.to_offset as i64, from.0, part.offset as i64])?;
            }
            self.connection.execute_batch("COMMIT")
        })
    }

    /// Gives the room of removed rows back.
    pub(crate) fn shrink(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(|e| self.error(e))
    }

    /// Runs statements; rolls back an open transaction if one of them fails.
    pub(crate) fn all_or_nothing<T>(&self, write: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, StoreError> {
        write().map_err(|error| {
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            self.error(error)
        })
    }

    fn insert(&self, group: &Group) -> rusqlite::Result<Vec<ObjectId>> {
        let sql = format!("INSERT OR IGNORE INTO columns (key, {COLUMN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
        let mut column = self.connection.prepare_cached(&sql)?;
        let mut revive = self.connection.prepare_cached("DELETE FROM tombstones WHERE key = ?")?;
        let any_tombstone = self.connection.prepare_cached("SELECT 1 FROM tombstones LIMIT 1")?.exists([])?;
        let mut holder = self.connection.prepare_cached("SELECT object FROM columns WHERE key = ?")?;
        let mut earlier = Vec::new();
        // In the order of keys a page is touched once.
        let mut columns: Vec<_> = group.columns.iter().collect();
        columns.sort_unstable_by_key(|(key, _)| *key.as_bytes());
        for (key, stored) in columns {
            let place = &stored.location;
            let inserted = column.execute(params![
                key.as_bytes(),
                stored.content.as_bytes(),
                stored.rows as i64,
                place.object.0,
                place.offset as i64,
                place.length as i64,
                place.column,
                place.check as i64,
            ])?;
            if inserted == 0 {
                earlier.push(ObjectId(holder.query_row([key.as_bytes()], |row| row.get(0))?));
            }
            if any_tombstone {
                revive.execute([key.as_bytes()])?;
            }
        }
        // One that is damaged is not found, and gives way.
        let mut count = self.connection.prepare_cached("INSERT OR REPLACE INTO row_counts VALUES (?, ?)")?;
        let mut rows: Vec<_> = group.rows.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key.as_bytes());
        for (key, rows) in rows {
            count.execute(params![key.as_bytes(), count_of(key.as_bytes(), *rows)])?;
        }
        self.insert_memos(group)?;
        Ok(earlier)
    }

    fn insert_memos(&self, group: &Group) -> rusqlite::Result<()> {
        let mut remember = self.connection.prepare_cached("INSERT OR REPLACE INTO memos VALUES (?, ?, ?, ?)")?;
        let mut forget = self.connection.prepare_cached("DELETE FROM memos WHERE kind = ? AND key = ?")?;
        for ((kind, key), value) in &group.memos {
            match value {
                Some(value) => remember.execute(params![kind, key, SEALED, value])?,
                None => forget.execute(params![kind, key])?,
            };
        }
        Ok(())
    }
}

/// A segment file in its new place.
pub(crate) struct Moved {
    /// Where it was in the old object.
    pub(crate) offset: u64,
    /// Where it is in the new one.
    pub(crate) to_offset: u64,
}

/// Whether an error shows that the index is not what SQLite wrote.
pub(crate) fn is_damaged(error: &StoreError) -> bool {
    use rusqlite::Error;
    let StoreError::Index { source, .. } = error else { return false };
    match source {
        Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) => true,
        // The last one: a table is not there.
        other => matches!(
            other.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
        ),
    }
}

/// Lets one process at a time make an index.
fn hold(path: &Path) -> Result<Option<flowc_platform::Lock>, StoreError> {
    let lock = path.with_extension("lock");
    flowc_platform::lock_exclusive(&lock, true).map_err(io_at("lock", &lock))
}

/// Names the place of an SQLite error, and tells "full" and "read-only" from the rest.
fn at(path: &Path, source: rusqlite::Error) -> StoreError {
    // The file of shared memory can't grow.
    let is_short_of_memory = source.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE);
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(path.to_owned()),
        _ if is_short_of_memory => StoreError::DiskFull(path.to_owned()),
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly(path.to_owned()),
        _ => StoreError::Index { path: path.to_owned(), source },
    }
}

/// A number of rows with its check: nothing else would show that it is damaged.
fn count_of(key: &[u8; 32], rows: u64) -> [u8; 16] {
    let rows = rows.to_le_bytes();
    let mut count = [0; 16];
    count[..8].copy_from_slice(&rows);
    count[8..].copy_from_slice(&blake3::keyed_hash(key, &rows).as_bytes()[..8]);
    count
}

/// Reads a number of rows; none if it is damaged. Earlier versions of flowc kept it without a check.
fn counted(key: &[u8; 32], value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(rows) => Some(rows as u64),
        ValueRef::Blob(count) => {
            let rows = u64::from_le_bytes(count.get(..8)?.try_into().ok()?);
            (count == count_of(key, rows)).then_some(rows)
        }
        _ => None,
    }
}

/// Reads version and value of a fact.
fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let kind = if row.get::<_, u8>(0)? == SEALED { Entry::Sealed } else { Entry::Unsealed };
    row.get(1).map(kind)
}

/// Reads a non-negative number. SQLite's are signed.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

/// Reads the columns listed in [`COLUMN`].
pub(crate) fn stored_column(row: &Row<'_>) -> rusqlite::Result<StoredColumn> {
    Ok(StoredColumn {
        content: ContentDigest::new(row.get(0)?),
        rows: unsigned(row, 1)?,
        location: Location {
            object: ObjectId(row.get(2)?),
            offset: unsigned(row, 3)?,
            length: unsigned(row, 4)?,
            column: row.get(5)?,
            check: unsigned(row, 6)?,
        },
    })
}
