//! The rows that a topic does not have yet: encoded while the run goes on, and appended when it commits.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_kafka::{ClusterError, WritableCluster, Writer};
use flowc_planner::plan::{Format, KafkaSink, SinkSpec};
use flowc_planner::quantity::count;
use flowc_platform::lock;

use super::anchor::{Anchor, AnchorPlace};
use super::encode::RecordEncoder;
use super::record;
use super::state::{State, failed};
use crate::error::SinkError;
use crate::formats::conform::conform;
use crate::pending::{Decided, EncodedRows, PendingSegments};
use crate::sink::{Dataset, Finalized, Job, RowWriter, Transaction, Written};
use crate::spool::{Piece, Spool};
use crate::state::layout_digest;
use crate::syncs::Syncs;

/// Bytes of records that wait in memory for a place in the spool.
const BUFFER: usize = 1 << 20;

/// Records that wait for the end of the run.
pub(super) struct TopicTransaction {
    cluster: Arc<dyn WritableCluster>,
    /// Had since before the anchor was read: whoever writes in between ends its transactions.
    writer: Box<dyn Writer>,
    kafka: KafkaSink,
    /// With the schema that records have.
    format: Format,
    /// The id of that schema in a registry, where records begin with it.
    id: Option<u32>,
    schema: SchemaRef,
    state: State,
    layout: [u8; 32],
    before: Anchor,
    /// What the topic does not have yet.
    pending: PendingSegments<Piece>,
    spool: Spool,
    /// What is to be appended, once that is decided.
    decided: Mutex<Option<Appending>>,
    /// For messages.
    shown: PathBuf,
}

/// What is to be appended, and what the topic has then.
struct Appending {
    decided: Decided<Piece>,
    after: Anchor,
}

impl TopicTransaction {
    pub(super) fn new(
        cluster: Arc<dyn WritableCluster>,
        shaping: &SinkSpec,
        kafka: &KafkaSink,
        (format, id): (Format, Option<u32>),
        dataset: &Dataset<'_>,
        state: State,
    ) -> Result<Self, SinkError> {
        let cause = |error: ClusterError| failed(kafka, &error);
        place(kafka).create(&*cluster).map_err(cause)?;
        let writer = cluster.writer(&kafka.id).map_err(cause)?;
        let before = last_anchor(&*cluster, kafka)?.filter(|anchor| anchor.topic_id == state.topic.id);
        let before = before.unwrap_or_else(|| Anchor { topic_id: state.topic.id.clone(), segments: Vec::new() });
        let layout = layout_digest(shaping, &dataset.schema);
        let pending = PendingSegments::new("flowc topic segment 1", &layout, dataset, &before.segments);
        Ok(Self {
            cluster,
            writer,
            kafka: kafka.clone(),
            format,
            id,
            schema: dataset.schema.clone(),
            state,
            layout,
            before,
            pending,
            decided: Mutex::default(),
            spool: Spool::new()?,
            shown: PathBuf::from(format!("topic `{}`", kafka.topic)),
        })
    }

    /// Decides what is new, once all jobs are done.
    fn appending(&self) -> Result<Appending, SinkError> {
        let decided =
            self.pending.decide(self.kafka.changed, (&self.spool, record::first), |lost| self.changed(lost))?;
        let segments = decided.segments.iter().filter(|segment| segment.rows > 0).cloned();
        let after = Anchor { topic_id: self.before.topic_id.clone(), segments: segments.collect() };
        Ok(Appending { decided, after })
    }

    fn changed(&self, lost: usize) -> SinkError {
        let lost = count(lost, "segment");
        let reason = format!(
            "of {lost} that were appended rows have changed or are gone, and a topic takes nothing back; name a new topic. \
             `on-change \"append\"` in `kafka` appends all rows of the segments that changed, also those that are there already"
        );
        failed(&self.kafka, &reason)
    }

    /// Appends what is new and what is known of it, in one transaction. The inner error is that of the cluster.
    fn append(&self, appending: &Appending) -> Result<Result<(), ClusterError>, SinkError> {
        if let Err(error) = self.writer.begin() {
            return Ok(Err(error));
        }
        for (encoded, skipped) in &appending.decided.new {
            if let Err(error) = self.append_job(encoded, *skipped)? {
                return Ok(Err(error));
            }
        }
        let noted = place(&self.kafka).append(&*self.writer, &appending.after);
        Ok(noted.and_then(|()| self.writer.commit()))
    }

    fn append_job(
        &self,
        encoded: &EncodedRows<Piece>,
        mut skipped: u64,
    ) -> Result<Result<(), ClusterError>, SinkError> {
        for piece in &encoded.pieces {
            let bytes = self.spool.get(piece)?;
            let mut rest = &bytes[..];
            while let Some(record) = record::take(&mut rest) {
                if skipped > 0 {
                    skipped -= 1;
                } else if let Err(error) = self.writer.append(&self.kafka.topic, record) {
                    return Ok(Err(error));
                }
            }
            if !rest.is_empty() {
                return Err(failed(&self.kafka, &"the temporary file with its records is damaged; run again"));
            }
        }
        Ok(Ok(()))
    }

    /// Whether a transaction was committed though something has failed: another writer ends what is undecided, and the anchor tells. Not
    /// if another run has taken the id, since that writer would end the other run's transaction.
    fn is_committed(&self, error: &ClusterError, after: &Anchor) -> bool {
        let ends = || self.cluster.writer(&self.kafka.id).is_ok();
        let is_taken = matches!(error, ClusterError::Fenced { .. });
        !is_taken
            && ends()
            && last_anchor(&*self.cluster, &self.kafka).is_ok_and(|anchor| anchor.as_ref() == Some(after))
    }
}

impl Transaction for TopicTransaction {
    fn jobs(&self) -> &[Job] {
        self.pending.jobs()
    }

    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        let partitions = self.state.topic.partitions.len();
        let (format, id, parts) = (&self.format, self.id, &self.kafka.parts);
        let encoder = RecordEncoder::new(format, id, parts, &self.schema, partitions, &self.shown)?;
        let encoded = self.pending.begin();
        let (hasher, waiting) = (blake3::Hasher::new(), Vec::new());
        Ok(Box::new(RecordWriter { of: self, job, encoder, encoded, hasher, waiting }))
    }

    fn prepare(&self, _syncs: &mut Syncs) -> Result<(), SinkError> {
        *lock(&self.decided) = Some(self.appending()?);
        Ok(())
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        let appending = lock(&self.decided).take().ok_or(SinkError::Incomplete { job: 0 })?;
        let records = appending.decided.records();
        if records > 0 || appending.after != self.before {
            match self.append(&appending)? {
                Err(error) if !self.is_committed(&error, &appending.after) => return Err(failed(&self.kafka, &error)),
                _ => {}
            }
        }
        let rows = appending.after.segments.iter().map(|segment| segment.rows).sum();
        Ok(Finalized {
            state: self.state.finished(&self.kafka, self.layout, rows),
            written: Written::Records(records),
            untidy: None,
        })
    }
}

fn place(kafka: &KafkaSink) -> AnchorPlace<'_> {
    AnchorPlace { anchor: &kafka.anchor, name: format!("{}/{}", kafka.id, kafka.topic) }
}

/// What was committed last.
fn last_anchor(cluster: &dyn WritableCluster, kafka: &KafkaSink) -> Result<Option<Anchor>, SinkError> {
    let failed =
        |reason: &dyn std::fmt::Display| failed(kafka, &format!("its anchor topic `{}`: {reason}", kafka.anchor));
    place(kafka).read(cluster).map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

/// Writes the records of one job.
struct RecordWriter<'t> {
    of: &'t TopicTransaction,
    job: usize,
    encoder: RecordEncoder<'t>,
    encoded: EncodedRows<Piece>,
    hasher: blake3::Hasher,
    /// Records that are not in the spool yet.
    waiting: Vec<u8>,
}

impl RecordWriter<'_> {
    fn spool(&mut self) -> Result<(), SinkError> {
        self.hasher.update(&self.waiting);
        if !self.waiting.is_empty() {
            self.encoded.pieces.push(self.of.spool.put(&self.waiting)?);
        }
        self.waiting.clear();
        Ok(())
    }
}

impl RowWriter for RecordWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let batch = conform(batch, &self.of.schema, &self.of.shown)?;
        let Self { encoder, encoded, waiting, .. } = self;
        encoder.encode(&batch, &mut |record| {
            record::put(record, waiting);
            encoded.rows += 1;
        })?;
        if self.waiting.len() >= BUFFER { self.spool() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.spool()?;
        self.encoded.digest = *self.hasher.finalize().as_bytes();
        if self.of.pending.are_rows_told() {
            self.encoded.told.clone_from(&self.encoded.pieces);
        }
        let Self { of, job, encoded, .. } = *self;
        of.pending.take(job, encoded);
        Ok(())
    }
}
