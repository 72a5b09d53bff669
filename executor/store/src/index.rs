//! The index: an SQLite database in WAL mode, so that several processes may read and write at once and a killed one
//! leaves nothing half-done.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowc_planner::key::{ColumnKey, ContentDigest, RowsKey};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ToSql, params};

use crate::bulk;
use crate::damage::Extent;
use crate::group::Group;
use crate::{Location, Memo, ObjectId, StoreError, StoredColumn};

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

/// How long to wait for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(30);

const COLUMN: &str = "content, rows, object, offset, length, place, checked";

/// A fact's key and its encoded value.
type MemoEntry = ([u8; 32], Vec<u8>);

/// The open database.
pub(crate) struct Index {
    pub(crate) connection: Connection,
    path: PathBuf,
}

impl Index {
    /// Opens or creates it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(|e| at(path, e))?;
        let index = Self { connection, path: path.to_owned() };
        index.prepare().map_err(|e| at(path, e))?;
        Ok(index)
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
        Ok(Some(Self { connection, path: path.to_owned() }))
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(PATIENCE)?;
        self.connection.set_prepared_statement_cache_capacity(64);
        let tables: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if tables == 0 {
            self.connection.pragma_update(None, "journal_mode", "wal")?;
            self.connection.execute_batch(&format!("BEGIN IMMEDIATE; {LAYOUT} PRAGMA user_version = 1; COMMIT;"))?;
        }
        Ok(())
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
            Ok((row.get(1)?, unsigned(row, 0)?))
        });
        found.map_err(|e| self.error(e))
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

    /// A remembered value, if it has the current version.
    pub(crate) fn memo(&self, kind: Memo, key: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let query = || {
            let mut find =
                self.connection.prepare_cached("SELECT value FROM memos WHERE kind = ? AND key = ? AND version = ?")?;
            find.query_row(params![kind as u8, key, kind.version()], |row| row.get(0)).optional()
        };
        query().map_err(|e| self.error(e))
    }

    /// All remembered values of a kind and the current version.
    pub(crate) fn memos(&self, kind: Memo) -> Result<Vec<MemoEntry>, StoreError> {
        let query = || {
            let mut find =
                self.connection.prepare_cached("SELECT key, value FROM memos WHERE kind = ? AND version = ?")?;
            let found = find.query_map(params![kind as u8, kind.version()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            found.collect::<rusqlite::Result<Vec<_>>>()
        };
        query().map_err(|e| self.error(e))
    }

    /// Writes a group in one transaction. Who comes first with a key wins.
    pub(crate) fn commit(&self, group: &Group) -> Result<(), StoreError> {
        // Objects are synced before the commit that names them, so that commit must last through a power cut too. Facts
        // alone can be found out again.
        let level = if group.columns.is_empty() { "normal" } else { "full" };
        let write = || {
            self.connection.pragma_update(None, "synchronous", level)?;
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.insert(group)?;
            self.connection.execute_batch("COMMIT")
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

    /// Removes results, leaving tombstones, and all row counts but those to keep.
    pub(crate) fn evict(&self, columns: &[ColumnKey], keep_rows: &HashSet<RowsKey>) -> Result<(), StoreError> {
        self.all_or_nothing(|| {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let mut remove = self.connection.prepare_cached("DELETE FROM columns WHERE key = ?")?;
            let mut bury = self.connection.prepare_cached("INSERT OR IGNORE INTO tombstones VALUES (?)")?;
            for key in columns {
                remove.execute([key.as_bytes()])?;
                bury.execute([key.as_bytes()])?;
            }
            let mut all = self.connection.prepare("SELECT key FROM row_counts")?;
            let all = all.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 32]>>>()?;
            let mut remove = self.connection.prepare_cached("DELETE FROM row_counts WHERE key = ?")?;
            for key in all.iter().filter(|key| !keep_rows.contains(&RowsKey::new(**key))) {
                remove.execute([key])?;
            }
            self.connection.execute_batch("COMMIT")
        })
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

    fn insert(&self, group: &Group) -> rusqlite::Result<()> {
        let sql = format!("INSERT OR IGNORE INTO columns (key, {COLUMN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
        let mut column = self.connection.prepare_cached(&sql)?;
        let mut revive = self.connection.prepare_cached("DELETE FROM tombstones WHERE key = ?")?;
        let any_tombstone = self.connection.prepare_cached("SELECT 1 FROM tombstones LIMIT 1")?.exists([])?;
        for (key, stored) in &group.columns {
            let place = &stored.location;
            column.execute(params![
                key.as_bytes(),
                stored.content.as_bytes(),
                stored.rows as i64,
                place.object.0,
                place.offset as i64,
                place.length as i64,
                place.column,
                place.check as i64,
            ])?;
            if any_tombstone {
                revive.execute([key.as_bytes()])?;
            }
        }
        let mut count = self.connection.prepare_cached("INSERT OR IGNORE INTO row_counts VALUES (?, ?)")?;
        for (key, rows) in &group.rows {
            count.execute(params![key.as_bytes(), *rows as i64])?;
        }
        self.insert_memos(group)
    }

    fn insert_memos(&self, group: &Group) -> rusqlite::Result<()> {
        let mut remember = self.connection.prepare_cached("INSERT OR REPLACE INTO memos VALUES (?, ?, ?, ?)")?;
        let mut forget = self.connection.prepare_cached("DELETE FROM memos WHERE kind = ? AND key = ?")?;
        for ((kind, key), value) in &group.memos {
            match value {
                Some(value) => remember.execute(params![*kind as u8, key, kind.version(), value])?,
                None => forget.execute(params![*kind as u8, key])?,
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

/// Names the place of an SQLite error, and tells "full" and "read-only" from the rest.
fn at(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(path.to_owned()),
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly(path.to_owned()),
        _ => StoreError::Index { path: path.to_owned(), source },
    }
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
