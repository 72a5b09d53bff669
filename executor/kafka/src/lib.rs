//! Clusters of Apache Kafka, as readers and writers of topics see them. librdkafka lives here alone.
//!
//! [`Cluster`] is all that flowc asks of a cluster; [`Client`] asks brokers. No consumer group is used: partitions are
//! assigned, and nothing is committed to the cluster.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod client;
mod cluster;
mod describe;
mod error;
mod fetched;
mod heard;
mod writer;

pub use access::access;
pub use client::{Client, HAS_TLS};
pub use cluster::{Access, Cluster, Headers, Login, NewRecord, Record, Topic, TopicSettings, WritableCluster, Writer};
pub use error::ClusterError;
