//! What the tests of this crate share: files in a folder that goes, and whole sources read in one go.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::{BadRows, Compression, CsvDialect, Format, Location, SourceSpec};
use tempfile::TempDir;

use crate::{OpenFile, RawSegment, SourceError, SourceFile};

/// A folder of source files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> SourceFile {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        SourceFile { path, name: name.to_owned() }
    }

    pub(crate) fn open(
        &self,
        file: &SourceFile,
        spec: &SourceSpec,
        schema: &SchemaRef,
    ) -> Result<OpenFile, SourceError> {
        OpenFile::open(file, spec, schema, self.path())
    }

    /// Writes, opens and reads one file.
    pub(crate) fn read(
        &self,
        bytes: impl AsRef<[u8]>,
        spec: &SourceSpec,
        schema: &SchemaRef,
    ) -> Result<Table, SourceError> {
        let file = self.write("input", bytes);
        Table::read(&self.open(&file, spec, schema)?)
    }
}

pub(crate) fn spec(format: Format) -> SourceSpec {
    SourceSpec {
        location: Location::Stdin,
        format,
        compression: Compression::Auto,
        bad_rows: BadRows::Fail,
        declared: None,
        partitions: None,
    }
}

pub(crate) fn with_bad_rows(format: Format, bad_rows: BadRows) -> SourceSpec {
    SourceSpec { bad_rows, ..spec(format) }
}

pub(crate) fn csv() -> Format {
    Format::Csv(CsvDialect::default())
}

pub(crate) fn schema(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    let fields = fields.iter().map(|(name, data_type, nullable)| Field::new(*name, data_type.clone(), *nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A source's rows as text: a value is what Arrow prints, a null is `~`.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) rows: Vec<String>,
    pub(crate) rejects: Vec<String>,
    pub(crate) rejected: u64,
}

impl Table {
    pub(crate) fn read(file: &OpenFile) -> Result<Self, SourceError> {
        let mut table = Self { rows: Vec::new(), rejects: Vec::new(), rejected: 0 };
        for segment in file.segments() {
            let (segment, bytes) = segment?;
            table.add(file, &segment, bytes)?;
        }
        Ok(table)
    }

    fn add(&mut self, file: &OpenFile, segment: &RawSegment, bytes: Option<crate::AtHand>) -> Result<(), SourceError> {
        let columns: Vec<_> = (0..file.schema().fields().len()).collect();
        let mut reader = file.read(segment, bytes, &columns)?;
        let before = self.rows.len();
        for batch in &mut reader {
            self.rows.extend(text(&batch?));
        }
        if let Some(rows) = segment.rows {
            assert_eq!((self.rows.len() - before) as u64, rows);
        }
        self.rejected += reader.rejected();
        self.rejects.extend(reader.rejects()?.iter().flat_map(text));
        Ok(())
    }
}

/// What no column of a file takes: paths with the numbers of rows.
pub(crate) fn ignored(file: &OpenFile) -> Vec<String> {
    let columns: Vec<_> = (0..file.schema().fields().len()).collect();
    let mut ignored = crate::Ignored::default();
    for segment in file.segments() {
        let (segment, bytes) = segment.unwrap();
        let mut reader = file.read(&segment, bytes, &columns).unwrap();
        reader.by_ref().for_each(|batch| drop(batch.unwrap()));
        ignored.extend(&reader.take_ignored());
    }
    ignored.members().map(|(path, rows)| format!("{path} {rows}")).collect()
}

pub(crate) fn text(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("~");
    let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

pub(crate) fn segments(file: &OpenFile) -> Vec<RawSegment> {
    file.segments().map(|segment| segment.unwrap().0).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}
