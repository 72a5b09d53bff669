//! A cluster in memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Mutex;

use flowc_kafka::{Cluster, ClusterError, Record, Topic, TopicSettings};
use flowc_planner::plan::{Bounds, KafkaTopic, Position};
use flowc_platform::lock;

/// All of a topic.
pub(super) fn topic() -> KafkaTopic {
    let bounds = |position| Bounds { position, offsets: BTreeMap::new() };
    KafkaTopic {
        brokers: vec!["broker:9092".to_owned()],
        topic: "bids".to_owned(),
        topic_id: None,
        partitions: None,
        start: bounds(Position::Earliest),
        until: bounds(Position::Latest),
        uncommitted: false,
        block: 4,
        columns: Vec::new(),
        sasl: None,
        tls: None,
        event_time: None,
    }
}

/// A cluster with one topic, of which it is known what was asked of it.
pub(super) struct Memory {
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) cluster: String,
    pub(super) id: String,
    /// Per partition, its first offset and the values of its records; none where an offset has no record.
    pub(super) partitions: Vec<(i64, Vec<Option<String>>)>,
    /// Keys of the first records; those of others are `k`.
    pub(super) keys: Vec<Vec<u8>>,
    /// The ranges that were read.
    pub(super) read: Vec<(i32, Range<i64>)>,
    /// How the topic is configured.
    pub(super) settings: TopicSettings,
    /// How often anything was asked.
    pub(super) questions: usize,
    /// An offset at which the broker dies.
    pub(super) dies_at: Option<i64>,
}

impl Memory {
    /// A topic with this many records in each partition.
    pub(super) fn new(records: &[i64]) -> Self {
        let values = |count: &i64| (0..*count).map(|offset| Some(format!("{{\"n\":{offset}}}"))).collect();
        let partitions = records.iter().map(|count| (0, values(count))).collect();
        let (cluster, id) = ("cluster".to_owned(), "id".to_owned());
        let (keys, read, settings) = (Vec::new(), Vec::new(), TopicSettings::default());
        Self { state: Mutex::new(State { cluster, id, partitions, keys, read, settings, questions: 0, dies_at: None }) }
    }

    /// Changes the topic.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
    }

    /// The ranges that were read since this was last asked.
    pub(super) fn take_read(&self) -> Vec<(i32, Range<i64>)> {
        std::mem::take(&mut lock(&self.state).read)
    }

    fn ask<T>(&self, answer: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        state.questions += 1;
        answer(&mut state)
    }
}

impl Cluster for Memory {
    fn topic(&self, _name: &str) -> Result<Topic, ClusterError> {
        Ok(self.ask(|state| Topic {
            cluster: state.cluster.clone(),
            id: Some(state.id.clone()),
            partitions: (0..).take(state.partitions.len()).collect(),
        }))
    }

    fn settings(&self, _topic: &str) -> Result<TopicSettings, ClusterError> {
        Ok(self.ask(|state| state.settings))
    }

    fn offsets(&self, _topic: &str, partition: i32) -> Result<Range<i64>, ClusterError> {
        Ok(self.ask(|state| {
            let (first, values) = &state.partitions[partition as usize];
            *first..values.len() as i64
        }))
    }

    fn high_watermark(&self, topic: &str, partition: i32) -> Result<i64, ClusterError> {
        self.offsets(topic, partition).map(|offsets| offsets.end)
    }

    fn offset_at(&self, _topic: &str, _partition: i32, time: i64) -> Result<Option<i64>, ClusterError> {
        Ok(self.ask(|_| Some(time)))
    }

    fn read(
        &self,
        _topic: &str,
        partition: i32,
        offsets: Range<i64>,
        take: &mut dyn FnMut(&Record<'_>) -> io::Result<()>,
    ) -> io::Result<Result<(), ClusterError>> {
        self.ask(|state| {
            state.read.push((partition, offsets.clone()));
            for offset in offsets {
                if state.dies_at == Some(offset) {
                    let reason = "it died".to_owned();
                    return Ok(Err(ClusterError::Lost { partition, offset, reason }));
                }
                let Some(value) = &state.partitions[partition as usize].1[offset as usize] else { continue };
                let value = Some(value.as_bytes()).filter(|value| !value.is_empty());
                let key = Some(state.keys.get(offset as usize).map_or(&b"k"[..], Vec::as_slice));
                take(&Record { offset, timestamp: Some(1000 + offset), key, value, headers: &() })?;
            }
            Ok(Ok(()))
        })
    }
}
