//! What is remembered of a topic that was written.

use flowc_kafka::Topic;
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::KafkaSink;
use flowc_platform::FileStamp;

use crate::error::SinkError;
use crate::state::{SinkState, WrittenFile};

/// What a transaction knows of the topic and of the state to remember.
pub(super) struct State {
    result: [u8; 32],
    stamp: FileStamp,
    pub(super) topic: Topic,
}

impl State {
    /// What is known when a result is to be written to a topic.
    pub(super) fn new(result: [u8; 32], topic: Topic) -> Self {
        Self { result, stamp: stamp(&topic), topic }
    }

    /// The state of a sink that has this many rows.
    pub(super) fn finished(&self, kafka: &KafkaSink, layout: [u8; 32], rows: u64) -> SinkState {
        let written = WrittenFile {
            path: kafka.topic.clone(),
            stamp: self.stamp,
            segments: Vec::new(),
            rows,
            bytes_digest: self.result,
        };
        SinkState { result: self.result, layout, files: vec![written], manifest: None }
    }
}

pub(super) fn failed(kafka: &KafkaSink, reason: &dyn ToString) -> SinkError {
    SinkError::Topic { topic: kafka.topic.clone(), reason: reason.to_string() }
}

/// A stamp that tells the topic from others, also from those of its name.
pub(super) fn stamp(topic: &Topic) -> FileStamp {
    let mut hasher = KeyHasher::new("flowc topic 1");
    hasher.bytes(topic.cluster.as_bytes()).bytes(topic.id.as_deref().unwrap_or_default().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finish()[..8]);
    FileStamp::of_immutable(u64::from_le_bytes(first), 0)
}
