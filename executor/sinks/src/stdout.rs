//! Standard output: rows as they come, or aligned tables.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_columns::Rechunk;
use flowc_planner::plan::{Compression, Format, SinkSpec};

use crate::error::{At, SinkError};
use crate::formats::check::{check, resolved_compression};
use crate::formats::conform::conform;
use crate::formats::encode::{Encoder, Framing};
use crate::formats::handover::Handover;
use crate::sink::{Dataset, Finalized, Job, Remembered, RowWriter, Sink, Transaction, Written};
use crate::state::{Intact, SinkState, layout_digest, result_digest};
use crate::syncs::Syncs;

/// Stands for standard output in messages.
const NAME: &str = "standard output";

/// Standard output as a sink: rows are seen as soon as they are written, and can't be taken back.
pub(crate) struct StdoutSink {
    /// How rows are written.
    pub(crate) spec: SinkSpec,
}

impl Sink for StdoutSink {
    fn is_staged(&self) -> bool {
        false
    }

    fn place(&self) -> Vec<u8> {
        NAME.as_bytes().to_vec()
    }

    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32] {
        result_digest(&self.spec, &dataset.schema, dataset.segments)
    }

    fn is_intact(&self, _state: &SinkState) -> Intact {
        Intact::Missing(PathBuf::from(NAME))
    }

    fn open(&self, dataset: &Dataset<'_>, _earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        check(&self.spec, &dataset.schema)?;
        let job = Job { segments: (0..dataset.segments.len()).collect(), name: NAME.to_owned() };
        let (result, layout) = (self.result(dataset), layout_digest(&self.spec, &dataset.schema));
        let state = SinkState { result, layout, files: Vec::new(), manifest: None };
        Ok(Box::new(Printing { spec: self.spec.clone(), schema: dataset.schema.clone(), jobs: [job], state }))
    }
}

/// A dataset on its way to standard output.
struct Printing {
    spec: SinkSpec,
    schema: SchemaRef,
    jobs: [Job; 1],
    state: SinkState,
}

impl Transaction for Printing {
    fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    fn writer(&self, _job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        Ok(Box::new(StdoutWriter::new(&self.spec, self.schema.clone(), io::stdout())?))
    }

    fn prepare(&self, _syncs: &mut Syncs) -> Result<(), SinkError> {
        Ok(())
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        Ok(Finalized { state: self.state, written: Written::Files(0), untidy: None })
    }
}

impl<W: Write> RowWriter for StdoutWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        self.write(batch)
    }

    fn is_unread(&self) -> bool {
        self.is_unread()
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        (*self).finish().map(drop)
    }
}

/// Writes batches to standard output or to whatever stands for it. Arrow is written as a stream.
pub struct StdoutWriter<W: Write> {
    schema: SchemaRef,
    kind: Kind,
    out: Reader<W>,
}

/// Who reads what is written. One who has gone had what he wanted: that is no failure.
struct Reader<W> {
    out: W,
    gone: bool,
}

impl<W: Write> Reader<W> {
    fn hand(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if self.gone {
            return Ok(());
        }
        match self.out.write_all(bytes).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.gone = true,
            done => done.at(Path::new(NAME), "writing")?,
        }
        Ok(())
    }
}

enum Kind {
    /// Columns can be aligned only over rows that are there: so many at a time, each time under their names.
    Table { rows: Rechunk, begun: bool },
    /// What the encoder writes is handed on after each batch.
    Encoded(Box<Encoder<Handover>>, Handover),
}

impl<W: Write> StdoutWriter<W> {
    /// # Errors
    /// If the format can't hold the columns.
    pub fn new(spec: &SinkSpec, schema: SchemaRef, out: W) -> Result<Self, SinkError> {
        check(spec, &schema)?;
        Self::unchecked(&spec.format, resolved_compression(spec), schema, out)
    }

    /// For rows that somebody looks at: columns that no source could read back are shown as well.
    ///
    /// # Errors
    /// If the format has no words for a column's type.
    pub fn to_show(format: &Format, schema: SchemaRef, out: W) -> Result<Self, SinkError> {
        Self::unchecked(format, Compression::None, schema, out)
    }

    fn unchecked(format: &Format, compression: Compression, schema: SchemaRef, out: W) -> Result<Self, SinkError> {
        let kind = match format {
            Format::Table => Kind::Table { rows: Rechunk::new(schema.clone()), begun: false },
            format => {
                let (path, bytes) = (Path::new(NAME), Handover::default());
                let encoder = Encoder::new(format, compression, Framing::Stream, &schema, path, bytes.clone())?;
                Kind::Encoded(Box::new(encoder), bytes)
            }
        };
        Ok(Self { schema, kind, out: Reader { out, gone: false } })
    }

    /// Whether nobody reads any more. What is written then is dropped.
    pub fn is_unread(&self) -> bool {
        self.out.gone
    }

    /// Writes rows, in order.
    ///
    /// # Errors
    /// If a value does not fit the format, or the system refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let batch = conform(batch, &self.schema, Path::new(NAME))?;
        match &mut self.kind {
            Kind::Table { rows, begun } => {
                let full = rows.push(batch).map_err(|error| SinkError::encode(Path::new(NAME), 0, &error))?;
                for batch in full {
                    self.out.hand(&table(&self.schema, &[batch])?)?;
                    *begun = true;
                }
            }
            Kind::Encoded(encoder, bytes) => {
                encoder.write(&batch, Path::new(NAME))?;
                self.out.hand(&bytes.take())?;
            }
        }
        Ok(())
    }

    /// Writes what is left, flushes, and gives the output back.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn finish(mut self) -> Result<W, SinkError> {
        let path = Path::new(NAME);
        let rest = match self.kind {
            Kind::Encoded(encoder, _) => encoder.finish(path)?.take(),
            Kind::Table { rows, begun } => {
                let rest = rows.finish().map_err(|error| SinkError::encode(path, 0, &error))?;
                // Without rows there are still the names.
                if rest.is_some() || !begun { table(&self.schema, rest.as_slice())? } else { Vec::new() }
            }
        };
        self.out.hand(&rest)?;
        Ok(self.out.out)
    }
}

/// Rows as a table with a line end.
fn table(schema: &SchemaRef, rows: &[RecordBatch]) -> Result<Vec<u8>, SinkError> {
    let table = crate::formats::table::table(schema, rows, "", false);
    Ok(format!("{}\n", table.map_err(|error| SinkError::encode(Path::new(NAME), 0, &error))?).into_bytes())
}

/// Writes a whole dataset to standard output or to whatever stands for it.
///
/// # Errors
/// If the format can't hold the columns or a value, or the system refuses.
pub fn write_stdout<W: Write>(
    spec: &SinkSpec,
    schema: SchemaRef,
    batches: impl IntoIterator<Item = RecordBatch>,
    out: W,
) -> Result<W, SinkError> {
    let mut writer = StdoutWriter::new(spec, schema, out)?;
    for batch in batches {
        writer.write(&batch)?;
    }
    writer.finish()
}
