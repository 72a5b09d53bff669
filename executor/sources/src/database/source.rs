//! Rows of a database as a source.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::SystemTime;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, Field, SchemaRef};
use flowc_adbc::{Connection, DatabaseError, Vendor, access, plain_schema, unreadable};
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::{Database, DatabaseRows, DatabaseSource as Spec, Split};
use flowc_platform::{FileStamp, lock};

use super::cursor::Range;
use super::select::{self, Select};
use super::snapshot::{self, ArrivingRows, SnapshotWriter};
use crate::arriving::{Arriving, Handing};
use crate::columnar::conform::match_columns;
use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::files::view::View;
use crate::source::{Folders, Polled, Source, SourcePart};
use crate::turn::turn;

/// Snapshots that this process has begun. Of others the rows are kept, or are gone: what a database says now is no answer to what it
/// said then.
static BEGUN: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);

/// Rows of a database.
#[derive(Clone)]
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
        Connection::open_to_read(access).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: DatabaseError) -> SourceError {
        failed(&self.name(), error)
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
        youngest.is_some_and(|age| self.source.keep.takes(age))
    }

    /// A part whose rows are read now.
    fn begin(&self, range: Option<&Range>) -> SourcePart {
        let now = SystemTime::now();
        // Seeded by the system.
        let identity = RandomState::new().hash_one(now);
        lock(&BEGUN).insert(identity);
        let range = range.map(Range::name).unwrap_or_default();
        let stamp = Some(FileStamp::of_snapshot(identity, now));
        SourcePart { name: self.name() + &range, path: None, stamp }
    }

    /// The range that a part is of.
    fn range(&self, part: &SourcePart) -> Option<Range> {
        Range::of_name(&part.name, &self.name())
    }

    /// What is known, and the rows beyond it.
    fn poll_cursor(&self, cursor: &str, known: &Polled) -> Result<Vec<SourcePart>, SourceError> {
        let last = known.parts.last().and_then(|part| self.range(part));
        let mut connection = self.connect()?;
        self.check_values(cursor, &mut connection)?;
        let select = select::largest(&self.source.rows, cursor, last.as_ref(), connection.vendor());
        let damaged = || self.refused(format!("the range of the cursor `{cursor}` is damaged"));
        let largest = self.row(select.ok_or_else(damaged)?, &mut connection)?;
        let next = largest.map(|largest| Range::next(last.as_ref(), &largest)).transpose();
        let next = next.map_err(|reason| self.refused(format!("`{cursor}`: {reason}")))?.flatten();
        Ok(known.parts.iter().cloned().chain(next.map(|range| self.begin(Some(&range)))).collect())
    }

    /// The ranges of the rows that there are now.
    fn poll_split(&self, Split { column, most }: &Split) -> Result<Vec<SourcePart>, SourceError> {
        let mut connection = self.connect()?;
        self.check_values(column, &mut connection)?;
        let bounds = self.row(select::bounds(&self.source.rows, column), &mut connection)?;
        let ranges = bounds.map_or(Ok(Vec::new()), |bounds| Range::split(&bounds, *most));
        let ranges = ranges.map_err(|reason| self.refused(format!("`{column}`: {reason}")))?;
        Ok(ranges.iter().map(|range| self.begin(Some(range))).collect())
    }

    /// Refuses a column with nulls, which are in no range.
    fn check_values(&self, column: &str, connection: &mut Connection) -> Result<(), SourceError> {
        let found = self.row(select::without_cursor(&self.source.rows, column), connection);
        match found.map_err(|error| self.without_column(column, connection).unwrap_or(error))? {
            None => Ok(()),
            Some(_) => Err(self.refused(format!(
                "the column `{column}` is null in some rows, which would never be read; leave those out in a `query`, or name a column \
                 without nulls"
            ))),
        }
    }

    /// What is wrong with a column that the rows do not have; none if they have it, or if nobody can tell.
    fn without_column(&self, column: &str, connection: &mut Connection) -> Option<SourceError> {
        let Select { sql, parameters } = select::all(&self.source.rows);
        let found = connection.columns(&sql, parameters.as_ref()).ok()?;
        let names: Vec<String> = found.fields().iter().map(|field| format!("`{}`", field.name())).collect();
        let is_there = found.column_with_name(column).is_some();
        let node = if self.source.cursor.is_some() { "cursor" } else { "split" };
        (!is_there).then(|| {
            self.refused(format!(
                "`{node}` names the column `{column}`, which the rows do not have; they have {}",
                names.join(", ")
            ))
        })
    }

    /// The row that a query gives, if it gives one.
    fn row(&self, select: Select, connection: &mut Connection) -> Result<Option<RecordBatch>, SourceError> {
        let mut rows = connection.query(&select.sql, select.parameters.as_ref()).map_err(|error| self.failed(error))?;
        let mut row = None;
        while let Some(batch) = rows.next().map_err(|error| self.failed(error))? {
            row = Some(batch).filter(|batch| batch.num_rows() > 0).or(row);
        }
        Ok(row)
    }

    /// The query for a part, and the values of its parameters.
    fn select(&self, part: &SourcePart, connection: &Connection) -> Option<Select> {
        let Spec { rows, cursor, split, .. } = &self.source;
        match cursor.as_ref().or(split.as_ref().map(|split| &split.column)) {
            None => Some(select::all(rows)),
            Some(column) => select::range(rows, column, &self.range(part)?, connection.vendor()),
        }
    }

    /// Reads the rows of a part, keeps them and hands them on; gives the bytes that they are kept in, or nothing if they were kept already.
    fn arrive(
        &self,
        part: &SourcePart,
        place: &Path,
        wanted: &SchemaRef,
        handing: &Handing,
    ) -> Result<Option<u64>, SourceError> {
        let turn = turn(place);
        let _turn = lock(&turn);
        if flowc_platform::is_sealed(place) {
            return Ok(None);
        }
        if !part.stamp.is_some_and(|stamp| lock(&BEGUN).contains(&stamp.inode)) {
            let what = "what was kept of it was removed from the store, or damaged";
            return Err(SourceError::Changed { file: part.name.clone(), what });
        }
        self.fetch(part, place, wanted, handing).map(Some)
    }

    fn fetch(
        &self,
        part: &SourcePart,
        place: &Path,
        wanted: &SchemaRef,
        handing: &Handing,
    ) -> Result<u64, SourceError> {
        let failed = |error| failed(&part.name, error);
        let written = SourceError::io(&part.name, "keep its rows");
        let mut connection = self.connect()?;
        let select = self.select(part, &connection);
        let select = select.ok_or_else(|| self.refused("its range is damaged".to_owned()))?;
        let is_typed = *connection.vendor() != Vendor::Sqlite;
        let Select { sql, parameters } = &select;
        let mut rows = connection.query(sql, parameters.as_ref()).map_err(failed)?;
        let found = self.readable(rows.schema())?;
        let schema = if is_typed { found } else { snapshot::without_values(&found, wanted) };
        // Why the driver has refused a value, or told another type.
        let explained = |error: SourceError| {
            let unlike = select::unlike(&select, wanted).filter(|_| !is_typed);
            unlike.and_then(|unlike| self.unlike(unlike, wanted).ok().flatten()).unwrap_or(error)
        };
        match_columns(&part.name, &schema, wanted).map_err(explained)?;
        let is_as_wanted = |field: &Arc<Field>| {
            schema.field_with_name(field.name()).is_ok_and(|found| found.data_type() == field.data_type())
        };
        let unlike = match wanted.fields().iter().all(is_as_wanted) {
            _ if is_typed => None,
            true => select::changed(&select, wanted),
            false => select::unlike(&select, wanted),
        };
        let (name, found) = (part.name.clone(), schema.clone());
        let arriving = ArrivingRows { name, found, wanted: wanted.clone(), place: place.to_owned() };
        if arriving.may_be_handed_on() {
            handing.begin(Box::new(arriving));
        }
        std::thread::scope(|scope| {
            // The other connection is giving rows meanwhile.
            let checked = unlike.map(|unlike| scope.spawn(|| self.unlike(unlike, wanted)));
            let mut writer = SnapshotWriter::create(place, &schema).map_err(&written)?;
            let mut hand_on = |segment| handing.hand_on(segment);
            let mut keep = || -> Result<(), SourceError> {
                while let Some(batch) = rows.next().map_err(|error| explained(failed(error)))? {
                    let batch = snapshot::plain(&batch, &schema, &part.name).map_err(explained)?;
                    writer.push(&batch, &mut hand_on).map_err(&written)?;
                }
                Ok(())
            };
            let kept = keep();
            // What a value is counts more than what came of it.
            let checked =
                checked.map(|checked| checked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            checked.transpose()?.flatten().map_or(Ok(()), Err)?;
            kept?;
            writer.finish(&mut hand_on).map_err(&written)
        })
    }

    /// What is to be said of a value that has another type than its column, if the query for one finds it.
    fn unlike(&self, unlike: Select, columns: &SchemaRef) -> Result<Option<SourceError>, SourceError> {
        let Some(row) = self.row(unlike, &mut self.connect()?)? else { return Ok(None) };
        let place = row.column(0).as_primitive_opt::<Int64Type>().map_or(0, |place| place.value(0));
        let found = row.column(1).as_string_opt::<i32>().map_or("another", |found| found.value(0));
        let column = usize::try_from(place).ok().and_then(|place| columns.fields().get(place));
        let (name, data_type) = column.map_or(("", &DataType::Null), |column| (column.name(), column.data_type()));
        Ok(Some(self.refused(format!(
            "the column `{name}` is {data_type}, and has a value of SQLite's type `{found}`, which would be changed; read it by a `query` that \
             casts it, such as `CAST({name} AS TEXT)`"
        ))))
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

/// An error about rows of a name.
fn failed(rows: &str, error: DatabaseError) -> SourceError {
    match error {
        DatabaseError::Secret { secret, reason } => SourceError::Secret { secret, reason },
        error => SourceError::Database { database: rows.to_owned(), reason: error.to_string() },
    }
}

impl Source for DatabaseSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        let Spec { database, rows, cursor, split, keep } = &self.source;
        let Database { driver, uri, options, secrets, reads: _ } = database;
        let read = serde_json::json!({
            "driver": driver, "uri": uri, "options": options, "secrets": secrets, "rows": rows, "cursor": cursor, "split": split, "pin": keep.pin(),
        });
        hasher.bytes(b"flowc rows 1").bytes(canonical_json(&read).as_bytes());
    }

    /// Asks the database only where there are ranges, and only if what is known does not stand any more.
    fn poll(&self, known: &Polled) -> Result<Polled, SourceError> {
        if self.stands(known) {
            // Nothing can change while it is pinned.
            let folders = self.source.keep.pin().is_some().then(Vec::new);
            return Ok(Polled { parts: known.parts.clone(), folders });
        }
        let parts = match (&self.source.cursor, &self.source.split) {
            (Some(cursor), _) => self.poll_cursor(cursor, known)?,
            (None, Some(split)) => self.poll_split(split)?,
            (None, None) => vec![self.begin(None)],
        };
        Ok(Polled { parts, folders: None })
    }

    /// What the database gave last, whether or not a run would ask it again.
    fn last_read(&self, known: &Polled) -> Option<Polled> {
        (!known.parts.is_empty()).then(|| known.clone())
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
        let kept = match View::of_sealed(&place, &part.name) {
            Ok(view) => snapshot::of_view(view, schema)?,
            Err(_) => {
                let (source, part_of_it) = (self.clone(), part.clone());
                let (to, wanted) = (place.clone(), schema.clone());
                let fetch = move |handing: &Handing| source.arrive(&part_of_it, &to, &wanted, handing);
                match Arriving::begin(&part.name, fetch)? {
                    Some(arriving) => return Ok(OpenFile::of_arriving(arriving, &part.name, schema, stamp)),
                    None => snapshot::open(&place, &part.name, schema)?,
                }
            }
        };
        Ok(OpenFile::of_snapshot(kept.0, kept.1, schema, stamp))
    }

    fn kept(&self, part: &SourcePart) -> Option<String> {
        part.stamp.map(Self::snapshot_name)
    }
}
