//! A part of a source, opened: the one way in for every format.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use flowc_planner::key::RawDigest;
use flowc_planner::plan::{Compression, Format, SourceSpec};
use flowc_platform::FileStamp;

#[cfg(any(feature = "databases", feature = "kafka"))]
use crate::arriving::Arriving;
#[cfg(feature = "avro")]
use crate::columnar::avro::AvroFile;
use crate::columnar::ipc::IpcFile;
use crate::columnar::parquet::ParquetFile;
#[cfg(feature = "delta")]
use crate::delta::TableFile;
use crate::error::SourceError;
use crate::fields::project;
use crate::files::list::SourceFile;
use crate::files::marks::bom_length;
use crate::files::origin::Origin;
use crate::files::partitions::{FolderColumns, explain_missing, unread_names};
#[cfg(feature = "objects")]
use crate::files::spool::plain_view;
use crate::files::spool::{open_plain, spool};
use crate::files::view::View;
#[cfg(feature = "kafka")]
use crate::log::BlockFile;
#[cfg(feature = "objects")]
use crate::objects::RemoteFile;
use crate::reader::{Rows, SegmentReader};
use crate::segment::{AtHand, RawSegment};
use crate::text::csv::CsvLayout;
use crate::text::dialect;
use crate::text::file::{TextFile, TextFormat};
use crate::text::json;
use crate::text::sift::Sift;
use crate::values::texts::plain as plain_schema;
use crate::whole;

/// A source file, opened for scanning and reading. Compressed and unseekable files have been written plain to an
/// unlinked file first. Several threads may read from it at once.
pub struct OpenFile {
    view: View,
    schema: SchemaRef,
    /// Which of the schema's columns are in the names of the file's folders.
    folders: FolderColumns,
    /// Holds the other columns.
    content: Content,
    stamp: FileStamp,
    /// What was opened, to look at again; none for what is no file of this machine.
    origin: Option<Origin>,
    /// Whether the plain bytes lie in a file of our own.
    spooled: bool,
    /// Whether its bytes come from elsewhere, and are kept while it is open.
    fetched: bool,
    /// Names of columns in folders that nothing reads, unless the pipeline's text says that nothing shall.
    unread_folders: Vec<String>,
}

enum Content {
    Text(TextFile),
    Parquet(ParquetFile),
    Ipc(IpcFile),
    #[cfg(feature = "avro")]
    Avro(AvroFile),
    Whole,
    #[cfg(feature = "kafka")]
    Block(BlockFile),
    #[cfg(any(feature = "databases", feature = "kafka"))]
    Arriving(Arriving),
    #[cfg(feature = "delta")]
    Table(TableFile),
}

impl OpenFile {
    /// Opens a file. `spool`: an existing folder for what must be decompressed.
    ///
    /// # Errors
    /// If the file can't be read or unpacked, or does not have the columns.
    pub fn open(
        file: &SourceFile,
        spec: &SourceSpec,
        schema: &SchemaRef,
        spool: &Path,
    ) -> Result<OpenFile, SourceError> {
        let (view, origin) = open_plain(file, spec.compression, spool)?;
        let stamp = FileStamp::of_file(&origin).map_err(SourceError::io(&file.name, "stat it"))?;
        let spooled = spec.compression.of(&file.name) != Compression::None;
        let opened =
            Self::with(view, spec, schema, stamp, Some(Origin { file: origin, path: file.path.clone(), stamp }))?;
        Ok(OpenFile { spooled, ..opened })
    }

    /// Takes all bytes of a part, wherever they come from. `name` stands for it in messages and rejects; `stamp` is what it was polled
    /// with, if it has one.
    pub(crate) fn of_reader(
        input: impl Read + Send,
        name: &str,
        stamp: Option<FileStamp>,
        spec: &SourceSpec,
        schema: &SchemaRef,
        folder: &Path,
    ) -> Result<OpenFile, SourceError> {
        let file = spool(input, spec.compression.of(name), folder, name)?;
        let of_spool = || FileStamp::of_file(&file).map_err(SourceError::io(name, "stat it"));
        let stamp = stamp.map_or_else(of_spool, Ok)?;
        Self::with(View::new(Arc::new(file), name)?, spec, schema, stamp, None)
    }

    /// Opens an object of a store.
    #[cfg(feature = "objects")]
    pub(crate) fn of_remote(
        file: Arc<RemoteFile>,
        spec: &SourceSpec,
        schema: &SchemaRef,
        stamp: FileStamp,
        folder: &Path,
    ) -> Result<OpenFile, SourceError> {
        let spooled = spec.compression.of(file.name()) != Compression::None;
        let view = plain_view(View::of_remote(file), spec.compression, folder)?;
        Ok(OpenFile { spooled, fetched: true, ..Self::with(view, spec, schema, stamp, None)? })
    }

    /// Opens a file that is kept of what came from elsewhere.
    #[cfg(feature = "flights")]
    pub(crate) fn of_kept(
        view: View,
        spec: &SourceSpec,
        schema: &SchemaRef,
        stamp: FileStamp,
    ) -> Result<OpenFile, SourceError> {
        Ok(OpenFile { spooled: false, ..Self::with(view, spec, schema, stamp, None)? })
    }

    fn with(
        view: View,
        spec: &SourceSpec,
        schema: &SchemaRef,
        stamp: FileStamp,
        origin: Option<Origin>,
    ) -> Result<OpenFile, SourceError> {
        let folders = match spec.partitions {
            Some(true) => FolderColumns::read(view.name(), schema)?,
            _ => FolderColumns::unread(schema),
        };
        let unread_folders = if spec.partitions.is_none() { unread_names(view.name(), schema) } else { Vec::new() };
        let content = Content::open(&view, spec, &folders.own(schema));
        let content = content.map_err(|error| view.failure().unwrap_or_else(|| explain_missing(error, spec)))?;
        let (schema, spooled) = (schema.clone(), origin.is_none());
        Ok(OpenFile { view, schema, folders, content, stamp, spooled, fetched: false, origin, unread_folders })
    }

    /// What the store keeps of a source that can't be read again.
    #[cfg(any(feature = "databases", feature = "kafka"))]
    fn of_store(content: Content, view: View, schema: &SchemaRef, stamp: FileStamp) -> OpenFile {
        let (folders, schema) = (FolderColumns::unread(schema), schema.clone());
        let (origin, unread_folders) = (None, Vec::new());
        OpenFile { view, schema, folders, content, stamp, origin, spooled: false, fetched: false, unread_folders }
    }

    /// Opens a data file of a table. `constants`: the columns that it does not hold.
    #[cfg(feature = "delta")]
    pub(crate) fn of_table(
        file: TableFile,
        view: View,
        schema: &SchemaRef,
        constants: FolderColumns,
        stamp: FileStamp,
        origin: Option<Origin>,
    ) -> OpenFile {
        let (fetched, unread_folders, schema) = (origin.is_none(), Vec::new(), schema.clone());
        let content = Content::Table(file);
        OpenFile { view, schema, folders: constants, content, stamp, origin, spooled: false, fetched, unread_folders }
    }

    /// A block of a topic that is at hand.
    #[cfg(feature = "kafka")]
    pub(crate) fn of_block(block: BlockFile, view: View, schema: &SchemaRef, stamp: FileStamp) -> OpenFile {
        Self::of_store(Content::Block(block), view, schema, stamp)
    }

    /// Rows of a database that are at hand.
    #[cfg(feature = "databases")]
    pub(crate) fn of_snapshot(rows: IpcFile, view: View, schema: &SchemaRef, stamp: FileStamp) -> OpenFile {
        Self::of_store(Content::Ipc(rows), view, schema, stamp)
    }

    /// Rows that are on their way.
    #[cfg(any(feature = "databases", feature = "kafka"))]
    pub(crate) fn of_arriving(rows: Arriving, name: &str, schema: &SchemaRef, stamp: FileStamp) -> OpenFile {
        Self::of_store(Content::Arriving(rows), View::of_nothing(name), schema, stamp)
    }

    /// Whether its segments are found while it still comes: [`size`](Self::size) is known once all are found.
    pub fn is_arriving(&self) -> bool {
        match &self.content {
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Content::Arriving(_) => true,
            _ => false,
        }
    }

    /// The file's name, as matched.
    pub fn name(&self) -> &str {
        self.view.name()
    }

    /// Whether it had to be unpacked, or came from standard input: opening it again costs much, or can't be done.
    pub fn is_spooled(&self) -> bool {
        self.spooled
    }

    /// Whether its bytes come from elsewhere, and are kept while it is open: to open it again fetches them again.
    pub fn is_fetched(&self) -> bool {
        self.fetched
    }

    /// Bytes of the file, or of what is kept of the part.
    pub fn size(&self) -> u64 {
        match &self.content {
            #[cfg(feature = "kafka")]
            Content::Block(_) => self.view.length(),
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Content::Arriving(rows) => rows.bytes(),
            // Those of what is kept of rows, which had none where they were.
            Content::Ipc(_) if self.stamp.is_immutable() => self.view.length(),
            _ => self.stamp.size,
        }
    }

    /// The stamp of the file when it was opened.
    pub fn stamp(&self) -> FileStamp {
        self.stamp
    }

    /// The source's columns, which `projection` in [`read`](Self::read) counts.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Columns that the file has and the schema has not: nothing reads them.
    pub fn unknown_columns(&self) -> Vec<String> {
        let own = match &self.content {
            Content::Text(text) => text.unknown(),
            Content::Parquet(parquet) => parquet.unknown(),
            Content::Ipc(ipc) => ipc.unknown(),
            #[cfg(feature = "avro")]
            Content::Avro(avro) => avro.unknown(),
            Content::Whole => Vec::new(),
            #[cfg(feature = "kafka")]
            Content::Block(_) => Vec::new(),
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Content::Arriving(rows) => rows.unknown(),
            #[cfg(feature = "delta")]
            Content::Table(table) => table.unknown().to_vec(),
        };
        // A column that the folders have too is read from there.
        let own = own.into_iter().filter(|name| self.schema.index_of(name).is_err());
        own.chain(self.folders.unknown().iter().cloned()).collect()
    }

    /// Columns that the names of the file's folders have, and nothing reads; none where the pipeline's text says so.
    pub fn unread_folders(&self) -> &[String] {
        &self.unread_folders
    }

    /// A digest of the values in the names of the file's folders: they are values of its rows.
    pub fn folder_digest(&self) -> Option<RawDigest> {
        self.folders.digest()
    }

    /// Cuts the file into segments and digests their raw bytes, in one sequential pass. What is in memory of a segment
    /// comes along, for [`read`](Self::read), so that it is read once. After an error there is no more.
    ///
    /// # Errors
    /// An item is an error if the bytes can't be read, or are not of the format.
    pub fn segments(&self) -> impl Iterator<Item = Result<(RawSegment, Option<AtHand>), SourceError>> + Send + '_ {
        let alone = |segment: Result<RawSegment, SourceError>| segment.map(|segment| (segment, None));
        let with_bytes = |segment: Result<(RawSegment, Option<bytes::Bytes>), SourceError>| {
            segment.map(|(segment, bytes)| (segment, bytes.map(AtHand::Bytes)))
        };
        let segments: Box<dyn Iterator<Item = _> + Send + '_> = match &self.content {
            Content::Text(text) => Box::new(text.segments().map(with_bytes)),
            Content::Parquet(parquet) => Box::new(parquet.segments().map(alone)),
            Content::Ipc(ipc) => Box::new(ipc.segments().map(alone)),
            #[cfg(feature = "avro")]
            Content::Avro(avro) => Box::new(avro.segments().map(alone)),
            Content::Whole => Box::new(std::iter::once_with(|| whole::segment(&self.view)).map(with_bytes)),
            #[cfg(feature = "kafka")]
            Content::Block(block) => Box::new(block.segments().map(alone)),
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Content::Arriving(rows) => Box::new(rows.segments()),
            #[cfg(feature = "delta")]
            Content::Table(table) => Box::new(table.segments().map(alone)),
        };
        segments.map(|segment| segment.map(|(segment, at_hand)| (self.folders.complete(segment), at_hand)))
    }

    /// Reads a segment's rows: the columns of the schema that `projection` names, in its order. `at_hand` is what came
    /// with the segment, if it still is in memory; otherwise text is read again, and must be what it was.
    ///
    /// Under `bad-rows "fail"` only the columns that are read are checked; otherwise all are, because which rows there
    /// are must not depend on the projection.
    ///
    /// # Errors
    /// If the bytes are not what they were, or not of the format.
    pub fn read(
        &self,
        segment: &RawSegment,
        at_hand: Option<AtHand>,
        projection: &[usize],
    ) -> Result<SegmentReader, SourceError> {
        let own = self.folders.own_projection(projection);
        let rows = self.rows(segment, at_hand, &own)?;
        let schema = project(&self.folders.own(&self.schema), &own);
        let filler = self.folders.filler(&self.schema, projection);
        Ok(SegmentReader::new(self.view.name(), schema, rows, filler))
    }

    fn rows(&self, segment: &RawSegment, at_hand: Option<AtHand>, projection: &[usize]) -> Result<Rows, SourceError> {
        Ok(match &self.content {
            Content::Text(text) => {
                let bytes = at_hand.and_then(AtHand::bytes);
                Rows::Text(Box::new(Sift::new(text, segment, bytes, projection)?))
            }
            Content::Parquet(parquet) => Rows::Parquet(Box::new(parquet.read(segment, projection)?)),
            Content::Ipc(ipc) => Rows::Ipc(Box::new(ipc.read(segment, projection)?)),
            #[cfg(feature = "avro")]
            Content::Avro(avro) => Rows::Avro(Box::new(avro.read(segment, projection)?)),
            Content::Whole => {
                let (own, bytes) = (self.folders.own(&self.schema), at_hand.and_then(AtHand::bytes));
                Rows::One(Some(whole::read(&self.view, &own, segment, bytes, projection)?))
            }
            #[cfg(feature = "kafka")]
            Content::Block(block) => Rows::Records(Box::new(block.read(segment, projection)?)),
            #[cfg(any(feature = "databases", feature = "kafka"))]
            Content::Arriving(rows) => rows.read(segment, at_hand, projection)?,
            #[cfg(feature = "delta")]
            Content::Table(table) => Rows::Table(Box::new(table.read(segment, projection)?)),
        })
    }

    /// Fails if the file is no longer what was opened: written to, cut short, replaced or deleted. To be called when
    /// all that is needed has been read, before any of it is believed.
    ///
    /// # Errors
    /// If it is not, or can't be looked at.
    pub fn verify_unchanged(&self) -> Result<(), SourceError> {
        self.origin.as_ref().map_or(Ok(()), |origin| origin.verify_unchanged(&self.view))
    }
}

impl Content {
    fn open(view: &View, spec: &SourceSpec, schema: &SchemaRef) -> Result<Self, SourceError> {
        let plain = plain_schema(schema);
        let text =
            |format, start| Content::Text(TextFile::new(view.clone(), plain.clone(), format, spec.bad_rows, start));
        Ok(match &spec.format {
            Format::Csv(dialect) => {
                dialect::check_types(schema)?;
                let (layout, start) = CsvLayout::open(view, bom_length(view)?, dialect, &plain)?;
                text(TextFormat::Csv(Arc::new(layout)), start)
            }
            Format::JsonLines => {
                json::check_types(schema)?;
                text(TextFormat::JsonLines, bom_length(view)?)
            }
            Format::Lines => {
                check_fixed("lines", schema, &[DataType::Utf8])?;
                text(TextFormat::Lines, bom_length(view)?)
            }
            Format::Bytes => {
                check_fixed("bytes", schema, &[DataType::Utf8, DataType::Binary])?;
                Content::Whole
            }
            Format::Parquet => Content::Parquet(ParquetFile::open(view.clone(), schema.clone())?),
            Format::Arrow => Content::Ipc(IpcFile::open(view.clone(), schema.clone())?),
            Format::Table => return Err(SourceError::no_source()),
            #[cfg(feature = "avro")]
            Format::Avro(_) => Content::Avro(AvroFile::open(view.clone(), schema.clone())?),
            #[cfg(not(feature = "avro"))]
            Format::Avro(_) => return Err(SourceError::unbuilt()),
            records @ (Format::Protobuf(_) | Format::Debezium(_)) => {
                return Err(SourceError::of_records(records));
            }
        })
    }
}

/// Some formats give the same columns always; a declared schema may only name them anew.
fn check_fixed(format: &'static str, schema: &SchemaRef, types: &[DataType]) -> Result<(), SourceError> {
    if schema.fields().iter().map(|field| field.data_type()).eq(types) {
        return Ok(());
    }
    let types: Vec<_> = types.iter().map(ToString::to_string).collect();
    let reason = format!("it gives {} column(s), of type {}", types.len(), types.join(" and "));
    Err(SourceError::UnfitSchema { format, reason })
}

#[cfg(test)]
mod tests;
