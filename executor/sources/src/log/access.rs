//! From the text of a pipeline to a cluster.

use std::path::Path;

use flowc_kafka::{Access, ClusterError};
use flowc_planner::plan::KafkaTopic;

use crate::error::SourceError;

/// How the cluster of a topic is reached. Paths start from `base`.
pub(super) fn access(topic: &KafkaTopic, base: &Path) -> Result<Access, SourceError> {
    match flowc_kafka::access(&topic.brokers, topic.sasl.as_ref(), topic.tls.as_ref(), base) {
        Ok(access) => Ok(Access { uncommitted: topic.uncommitted, ..access }),
        Err(ClusterError::Secret { secret, reason }) => Err(SourceError::Secret { secret, reason }),
        Err(error) => Err(SourceError::Topic { topic: topic.topic.clone(), reason: error.to_string() }),
    }
}
