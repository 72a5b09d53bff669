//! A topic as a sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_kafka::{Client, ClusterError, Topic, WritableCluster, access};
use flowc_planner::plan::{ChangedRows, KafkaSink, SinkSpec, Target};

use super::registered::registered;
use super::state::{State, failed, stamp};
use super::transaction::TopicTransaction;
use crate::error::SinkError;
use crate::formats::check::check;
use crate::sink::{Dataset, Remembered, Sink, Transaction};
use crate::state::{Intact, SinkState, result_digest};

/// A sink that appends to a topic.
pub(crate) struct TopicSink {
    spec: SinkSpec,
    kafka: KafkaSink,
    /// The folder that relative paths start from.
    base: PathBuf,
}

impl TopicSink {
    /// Connects when the cluster is asked.
    pub(crate) fn new(spec: &SinkSpec, kafka: &KafkaSink, base: &Path) -> Self {
        Self { spec: spec.clone(), kafka: kafka.clone(), base: base.to_owned() }
    }

    fn cluster(&self) -> Result<Arc<dyn WritableCluster>, ClusterError> {
        let KafkaSink { brokers, sasl, tls, .. } = &self.kafka;
        Ok(Arc::new(Client::new(access(brokers, sasl.as_ref(), tls.as_ref(), &self.base)?)))
    }

    fn find(&self) -> Result<Topic, ClusterError> {
        self.cluster()?.topic(&self.kafka.topic)
    }
}

impl Sink for TopicSink {
    fn place(&self) -> Vec<u8> {
        let KafkaSink { topic, id, anchor, .. } = &self.kafka;
        format!("kafka//{anchor}/{id}/{topic}").into_bytes()
    }

    fn result(&self, dataset: &Dataset<'_>) -> [u8; 32] {
        result_digest(&shaping(&self.spec), &dataset.schema, dataset.segments)
    }

    /// Whether the topic is still the one that was written. Of its records it is not asked.
    fn is_intact(&self, state: &SinkState) -> Intact {
        let found = self.find().map(|topic| stamp(&topic)).ok();
        match state.files.first().map(|written| written.stamp) {
            Some(stamp) if found == Some(stamp) => Intact::Yes,
            _ => Intact::Missing(PathBuf::from(&self.kafka.topic)),
        }
    }

    fn open(&self, dataset: &Dataset<'_>, _earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        check(&self.spec, &dataset.schema)?;
        let value = self.kafka.parts.value_columns(&self.spec.format, &dataset.schema);
        let rows = dataset.schema.project(&value).map_err(|error| SinkError::Spec(error.to_string()))?;
        let schema = registered(&self.spec.format, &Arc::new(rows), &self.base)?;
        let schema = schema.map_err(|error| failed(&self.kafka, &error))?;
        let failed = |error: ClusterError| failed(&self.kafka, &error);
        let cluster = self.cluster().map_err(failed)?;
        let topic = cluster.topic(&self.kafka.topic).map_err(failed)?;
        let state = State::new(self.result(dataset), topic);
        let shaping = shaping(&self.spec);
        Ok(Box::new(TopicTransaction::new(cluster, &shaping, &self.kafka, schema, dataset, state)?))
    }
}

/// What of a specification shapes records: not how the cluster is reached, nor what becomes of rows that have changed.
fn shaping(spec: &SinkSpec) -> SinkSpec {
    let Target::Kafka(kafka) = &spec.target else { return spec.clone() };
    let kafka =
        KafkaSink { brokers: Vec::new(), sasl: None, tls: None, changed: ChangedRows::Fail, ..kafka.as_ref().clone() };
    SinkSpec { target: Target::Kafka(Box::new(kafka)), format: spec.format.shaping(), ..spec.clone() }
}
