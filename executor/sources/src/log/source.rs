//! A range of a topic as a source: a part per block.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use arrow_schema::SchemaRef;
use flowc_kafka::{Client, Cluster, ClusterError, Record, Topic, TopicSettings};
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::{Format, KafkaTopic, Position, SourceSpec, TopicTime};
use flowc_platform::{FileStamp, lock};
use flowc_records::WriterSchemas;

use crate::arriving::{Arriving, Handing};
use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::files::view::View;
use crate::infer::schema::{SAMPLE_RECORDS, json_columns};
use crate::log::access::access;
use crate::log::block::BlockWriter;
use crate::log::columns;
use crate::log::decoder::Decoder;
use crate::log::file::{ArrivingBlock, BlockFile, records_of};
use crate::log::ranges::{self, Facts, Misfit, blocks, resolve};
use crate::log::reading::{Reading, SharedSchemas};
use crate::source::{Folders, Polled, Source, SourcePart};

/// A range of a topic.
#[derive(Clone)]
pub(crate) struct KafkaSource {
    spec: SourceSpec,
    topic: KafkaTopic,
    /// The folder that relative paths start from.
    base: PathBuf,
    /// The cluster, once it was asked.
    cluster: Arc<Mutex<Option<Arc<dyn Cluster>>>>,
    /// The schemas in which records were written, once one is needed.
    schemas: OnceLock<SharedSchemas>,
}

impl KafkaSource {
    /// Connects when the cluster is first asked.
    pub(crate) fn new(spec: SourceSpec, topic: KafkaTopic, base: &Path) -> Self {
        Self { spec, topic, base: base.to_owned(), cluster: Arc::default(), schemas: OnceLock::new() }
    }

    #[cfg(test)]
    pub(super) fn with_cluster(self, cluster: Arc<dyn Cluster>) -> Self {
        *lock(&self.cluster) = Some(cluster);
        self
    }

    fn cluster(&self) -> Result<Arc<dyn Cluster>, SourceError> {
        let mut cluster = lock(&self.cluster);
        if let Some(cluster) = &*cluster {
            return Ok(cluster.clone());
        }
        let made: Arc<dyn Cluster> = Arc::new(Client::new(access(&self.topic, &self.base)?));
        *cluster = Some(made.clone());
        Ok(made)
    }

    /// The schemas in which records were written, where they name them. Those of Protocol Buffers are in the text of the pipeline.
    fn schemas(&self, folder: &Path) -> Option<SharedSchemas> {
        let Format::Avro(_) = self.spec.format.of_rows() else { return None };
        let registry = self.spec.format.registry()?;
        let made = || SharedSchemas::new(WriterSchemas::new(registry, &self.base, folder));
        Some(self.schemas.get_or_init(made).clone())
    }

    /// The columns that the first records of the range show.
    fn sampled(&self, parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        let (cluster, mut values) = (self.cluster()?, Vec::new());
        for (part, (partition, from)) in parts.iter().filter_map(|part| Some((part, ranges::place(&part.name)?))) {
            let left = SAMPLE_RECORDS.saturating_sub(values.len());
            let count = part.stamp.map_or(0, |stamp| stamp.size).min(left as u64);
            let range = from..from.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
            let read = cluster.read(&self.topic.topic, partition, range, &mut |record| {
                values.extend(record.value.map(<[u8]>::to_vec));
                Ok(())
            });
            read.map_err(SourceError::io(&part.name, "read it"))?.map_err(|error| self.failed(error))?;
        }
        let columns = json_columns(&self.topic.topic, values.iter().map(Vec::as_slice))?;
        columns.ok_or_else(|| {
            self.failed("no record of its range shows columns; declare them: schema { column \"id\" \"Int64\"; ... }")
        })
    }

    fn failed(&self, reason: impl ToString) -> SourceError {
        SourceError::Topic { topic: self.topic.topic.clone(), reason: reason.to_string() }
    }

    /// The partitions to read, of those that there are.
    fn partitions(&self, found: &Topic) -> Result<Vec<i32>, SourceError> {
        let Some(named) = &self.topic.partitions else { return Ok(found.partitions.clone()) };
        match named.iter().find(|partition| !found.partitions.contains(partition)) {
            None => Ok(named.clone()),
            Some(partition) => {
                let count = found.partitions.len();
                Err(self.failed(format!("there is no partition {partition}; it has {count}, from 0 on")))
            }
        }
    }

    /// Refuses a topic that is not the one that the text names, or not the one that was read before.
    fn check_identity(&self, found: &Topic, known: &Polled) -> Result<(), SourceError> {
        let id = found.id.as_deref().unwrap_or("none");
        if let Some(wanted) = self.topic.topic_id.as_deref().filter(|wanted| *wanted != id) {
            return Err(self.failed(format!(
                "its id is {id}, and `topic-id` asks for {wanted}: it was deleted and created again; name the new id to read \
                 the new topic"
            )));
        }
        let is_other = |part: &SourcePart| {
            let Some((partition, from)) = ranges::place(&part.name) else { return true };
            part.stamp.is_none_or(|stamp| stamp.inode != self.identity(found, partition, from))
        };
        match known.parts.iter().any(is_other) {
            false => Ok(()),
            true => Err(self.failed(format!(
                "it is not the topic that was read before: it was deleted and created again, or the broker belongs to another \
                 cluster; to read the new one, say `topic-id \"{id}\"` in `kafka`"
            ))),
        }
    }

    /// Refuses a topic whose records do not have the event time that the text names.
    fn check_event_time(&self, cluster: &dyn Cluster) -> Result<(), SourceError> {
        let Some(event_time) = self.topic.event_time else { return Ok(()) };
        let TopicSettings { compacted, append_time } =
            cluster.settings(&self.topic.topic).map_err(|error| self.failed(error))?;
        let unstamped = match append_time {
            _ if event_time == TopicTime::Column => None,
            Some(true) => None,
            Some(false) => {
                Some("its records have the times that producers gave them (message.timestamp.type=CreateTime)")
            }
            None => Some("the cluster does not tell this user which times its records have (message.timestamp.type)"),
        };
        if let Some(why) = unstamped {
            return Err(
                self.failed(format!("{why}; name the column of `timestamp` in `event-time` instead of \"log-append\""))
            );
        }
        match compacted {
            Some(true) => Err(self.failed(
                "it is compacted (cleanup.policy=compact): records leave its middle, so which rows are late would depend on \
                 when it is read; leave out `event-time`, or read a topic that keeps its records",
            )),
            _ => Ok(()),
        }
    }

    /// What tells the records of a block from all others.
    fn identity(&self, found: &Topic, partition: i32, from: i64) -> u64 {
        let mut hasher = KeyHasher::new("flowc block 1");
        hasher.bytes(found.cluster.as_bytes()).bytes(self.topic.topic.as_bytes());
        hasher.bytes(found.id.as_deref().unwrap_or_default().as_bytes());
        hasher.number(u64::from(self.topic.uncommitted)).number(u64::from(partition.unsigned_abs()));
        hasher.number(from.unsigned_abs());
        let [a, b, c, d, e, f, g, h, ..] = hasher.finish();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn facts(&self, cluster: &dyn Cluster, partition: i32) -> Result<Facts, ClusterError> {
        let topic = &self.topic.topic;
        let at = |position| match position {
            Position::Time(time) => cluster.offset_at(topic, partition, time),
            Position::Earliest | Position::Latest => Ok(None),
        };
        let (at_start, at_until) = (at(self.topic.start.position)?, at(self.topic.until.position)?);
        Ok(Facts { partition, offsets: cluster.offsets(topic, partition)?, at_start, at_until })
    }

    fn misfit(&self, cluster: &dyn Cluster, partition: i32, misfit: Misfit) -> SourceError {
        match misfit {
            Misfit::Forgotten { from, earliest } => self.failed(ClusterError::Forgotten { partition, from, earliest }),
            Misfit::Ahead { wanted, end } => {
                let high = cluster.high_watermark(&self.topic.topic, partition).unwrap_or(end);
                let why = match wanted <= high && high > end {
                    true => format!(
                        "a transaction that began at or after offset {end} is still open; run again when it has ended, or \
                         abort it (`kafka-transactions.sh find-hanging`)"
                    ),
                    false => "name an offset that it has, or a time".to_owned(),
                };
                self.failed(format!("partition {partition} ends at offset {end}, before {wanted}: {why}"))
            }
        }
    }

    /// Where the records of a part are kept: under what tells them from others, and their number.
    fn block_name(stamp: FileStamp) -> String {
        format!("{:016x}-{}", stamp.inode, stamp.size)
    }

    /// Makes the file of a block, of what another file has of it and of the cluster's records, and hands its segments on; gives the bytes of
    /// its content.
    fn assemble(
        &self,
        block: ArrivingBlock,
        stamp: FileStamp,
        range: Range<i64>,
        handing: &Handing,
    ) -> Result<u64, SourceError> {
        let (name, partition, place) = (block.name.clone(), block.reading.partition, block.place.clone());
        let written = SourceError::io(&name, "keep its records");
        let others = others(&place, stamp);
        let other = best(&others, stamp.size);
        let count = other.map_or(0, |(_, count)| i64::try_from(count).unwrap_or(i64::MAX));
        let next = range.start + count.min(range.end - range.start);
        let cluster = if next < range.end { Some(self.cluster_with(partition, next)?) } else { None };
        let mut writer = BlockWriter::create(&place, block.reading.clone()).map_err(&written)?;
        handing.begin(Box::new(block));
        let mut hand_on = |segment| handing.hand_on(segment);
        if let Some((other, _)) = other {
            let records = records_of(View::of_sealed(other, &name)?)?;
            for place in 0..records.places().count() {
                let mut rows = records.read_segment(place, &[0, 1, 2, 3, 4])?;
                while let Some(batch) = rows.batch()? {
                    writer.copy(&batch, range.end, &mut hand_on).map_err(&written)?;
                }
            }
        }
        if let Some(cluster) = cluster {
            let take = &mut |record: &Record<'_>| writer.push(record, &mut hand_on);
            let read = cluster.read(&self.topic.topic, partition, next..range.end, take);
            read.map_err(&written)?.map_err(|error| self.failed(error))?;
        }
        let bytes = writer.finish(&mut hand_on).map_err(&written)?;
        // What the new file holds as well is not needed any more. Whoever looks for it finds the new one.
        let shorter = others.iter().filter(|(_, count)| *count < stamp.size);
        shorter.for_each(|(path, _)| drop(std::fs::remove_file(path)));
        Ok(bytes)
    }

    /// The cluster, which still has a partition's records from an offset on.
    fn cluster_with(&self, partition: i32, from: i64) -> Result<Arc<dyn Cluster>, SourceError> {
        let cluster = self.cluster()?;
        let earliest = cluster.offsets(&self.topic.topic, partition).map_err(|error| self.failed(error))?.start;
        match earliest > from {
            true => Err(self.failed(ClusterError::Forgotten { partition, from, earliest })),
            false => Ok(cluster),
        }
    }
}

/// Files that are kept of the same block and hold another number of offsets.
fn others(place: &Path, stamp: FileStamp) -> Vec<(PathBuf, u64)> {
    let prefix = format!("{:016x}-", stamp.inode);
    let entries = place.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let counted = entries.filter_map(|entry| {
        let count = entry.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok()?;
        Some((entry.path(), count))
    });
    counted.filter(|(_, count)| *count != stamp.size).collect()
}

/// The file that leaves least to be read: the shortest one with all, else the longest.
fn best(others: &[(PathBuf, u64)], wanted: u64) -> Option<(&Path, u64)> {
    let with_all = others.iter().filter(|(_, count)| *count >= wanted).min_by_key(|(_, count)| *count);
    let found = with_all.or_else(|| others.iter().max_by_key(|(_, count)| *count));
    found.filter(|(path, _)| flowc_platform::is_sealed(path)).map(|(path, count)| (path.as_path(), *count))
}

impl Source for KafkaSource {
    fn hash_into(&self, hasher: &mut KeyHasher) {
        let KafkaTopic { brokers, topic, topic_id, partitions, start, until, uncommitted, block, event_time, .. } =
            &self.topic;
        let read = serde_json::json!({
            "brokers": brokers, "topic": topic, "id": topic_id, "partitions": partitions, "start": start, "until": until,
            "uncommitted": uncommitted, "block": block,
        });
        hasher.bytes(canonical_json(&read).as_bytes());
        // What is known of a closed range was found while nothing was asked of the topic's settings.
        if let Some(event_time) = event_time {
            hasher.bytes(canonical_json(&serde_json::json!({ "event_time": event_time })).as_bytes());
        }
    }

    /// A closed range that is known asks no broker.
    fn poll(&self, known: &Polled) -> Result<Polled, SourceError> {
        if known.folders.is_some() {
            return Ok(known.clone());
        }
        let cluster = self.cluster()?;
        let found = cluster.topic(&self.topic.topic).map_err(|error| self.failed(error))?;
        self.check_identity(&found, known)?;
        self.check_event_time(&*cluster)?;
        let mut starts: BTreeMap<i32, i64> = BTreeMap::new();
        for (partition, from) in known.parts.iter().filter_map(|part| ranges::place(&part.name)) {
            let start = starts.entry(partition).or_insert(from);
            *start = from.min(*start);
        }
        let (mut parts, mut closed) = (Vec::new(), true);
        for partition in self.partitions(&found)? {
            let facts = self.facts(&*cluster, partition).map_err(|error| self.failed(error))?;
            let resolved = resolve(&self.topic, &facts, starts.get(&partition).copied());
            let resolved = resolved.map_err(|misfit| self.misfit(&*cluster, partition, misfit))?;
            closed &= resolved.closed;
            for range in blocks(resolved.offsets, self.topic.block) {
                let size = u64::try_from(range.end - range.start).unwrap_or(0);
                let stamp = FileStamp::of_immutable(self.identity(&found, partition, range.start), size);
                let name = ranges::name(&self.topic.topic, partition, range.start);
                parts.push(SourcePart { name, path: None, stamp: Some(stamp) });
            }
        }
        Ok(Polled { parts, folders: closed.then(Vec::new) })
    }

    fn infer_schema(&self, parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        columns::registered(&self.spec, &self.base).unwrap_or_else(|| self.sampled(parts))
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        let unknown = || self.failed(format!("`{}` is no block of it", part.name));
        let (stamp, (partition, from)) = part.stamp.zip(ranges::place(&part.name)).ok_or_else(unknown)?;
        let schemas = self.schemas(&folders.schemas);
        let reading = Arc::new(Reading::new(&self.spec, &self.topic, partition, schema, schemas));
        Decoder::check_types(&self.spec.format, &reading.of_values())?;
        let place = folders.blocks.join(Self::block_name(stamp));
        let view = match View::of_sealed(&place, &part.name) {
            Ok(view) => view,
            Err(_) => {
                let end = from.saturating_add(i64::try_from(stamp.size).unwrap_or(i64::MAX));
                let (name, reading, place) = (part.name.clone(), reading.clone(), place.clone());
                let (source, block) = (self.clone(), ArrivingBlock { name, reading, place: place.clone() });
                let fetch = move |handing: &Handing| source.assemble(block, stamp, from..end, handing).map(Some);
                match Arriving::begin(&part.name, fetch)? {
                    Some(arriving) => return Ok(OpenFile::of_arriving(arriving, &part.name, schema, stamp)),
                    None => View::of_sealed(&place, &part.name)?,
                }
            }
        };
        let block = BlockFile::of_view(view.clone(), reading)?;
        Ok(OpenFile::of_block(block, view, schema, stamp))
    }

    fn kept(&self, part: &SourcePart) -> Option<String> {
        part.stamp.map(Self::block_name)
    }
}

#[cfg(test)]
mod tests;
